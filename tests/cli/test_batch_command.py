"""`glassway batch`, as a shell sees it: results, exit codes, a kill and what comes after it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest


@pytest.fixture
def requests(tmp_path: Path) -> Path:
    """Thirty questions."""
    path = tmp_path / "questions.jsonl"
    path.write_text("".join(json.dumps(line(number)) + "\n" for number in range(30)))
    return path


def line(number: int, model: str = "simulated/gpt-sim") -> dict[str, object]:
    body = {"model": model, "messages": [{"role": "user", "content": f"Question {number}"}]}
    return {"custom_id": f"q{number}", "method": "POST", "url": "/v1/chat/completions", "body": body}


def results(path: Path) -> list[dict[str, object]]:
    return [json.loads(text) for text in path.read_text().splitlines()]


def test_results_go_beside_the_requests_and_the_screen_says_what_it_came_to(shell, requests):
    code, out, err = shell("batch", str(requests), "--order", "given", "--concurrency", "30")
    assert (code, out) == (0, "")
    assert "30 of 30 answered; 0 failed; 0.0" in err
    found = results(requests.with_suffix(".results.jsonl"))
    assert [each["custom_id"] for each in found] == [f"q{number}" for number in range(30)]


def test_a_failure_is_told_and_is_asked_again_by_the_same_command(shell, tmp_path):
    path, output = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    path.write_text(json.dumps(line(1, "simulated/gpt-sim@fail=invalid_request")) + "\n" + json.dumps(line(2)) + "\n")
    for _ in range(2):
        code, _, err = shell("batch", str(path), "-o", str(output), "-q")
        assert code == 1
        assert "1 of 2 answered" in err
        assert "The same command asks again what has no answer yet." in err
    assert "1 of them by an earlier run" in err
    assert len(results(output)) == 2


def test_too_many_failures_stop_it(shell, tmp_path):
    path = tmp_path / "in.jsonl"
    failing = [line(number, "simulated/gpt-sim@fail=invalid_request") for number in range(20)]
    path.write_text("".join(json.dumps(each) + "\n" for each in failing))
    code, _, err = shell("batch", str(path), "-q", "--max-failures", "3", "--concurrency", "1")
    assert code == 1
    assert "0 of 20 answered; 3 failed" in err
    assert "Stopped: too many failures" in err


def test_a_file_that_is_wrong_is_a_usage_error_and_nothing_is_written(shell, tmp_path):
    path = tmp_path / "in.jsonl"
    path.write_text('{"custom_id": "a", "body": {}}\n')
    code, _, err = shell("batch", str(path))
    assert code == 2
    assert "in.jsonl, line 1: model: expected 'vendor/model'" in err
    assert list(tmp_path.iterdir()) == [path]


def test_an_output_that_is_there_is_refused_without_resume(shell, requests, tmp_path):
    output = tmp_path / "out.jsonl"
    assert shell("batch", str(requests), "-o", str(output), "-q", "--concurrency", "30")[0] == 0
    code, _, err = shell("batch", str(requests), "-o", str(output), "--no-resume")
    assert code == 2
    assert "there are results in it already" in err


def begun(requests: Path, output: Path) -> subprocess.Popen[str]:
    """One at a time, stopped after some of them."""
    command = [sys.executable, "-m", "glassway", "batch", str(requests), "-o", str(output), "--concurrency", "1"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, "COLUMNS": "200"})
    until = time.monotonic() + 60
    while not (output.exists() and output.read_bytes().count(b"\n") >= 2):
        assert time.monotonic() < until, "no results"
        assert process.poll() is None
        time.sleep(0.01)
    return process


@pytest.mark.slow
def test_after_a_kill_the_same_command_goes_on(shell, requests, tmp_path):
    output = tmp_path / "out.jsonl"
    process = begun(requests, output)
    process.kill()
    process.communicate()
    kept = output.read_bytes().count(b"\n")
    assert 2 <= kept < 30
    code, _, err = shell("batch", str(requests), "-o", str(output), "-q", "--concurrency", "30")
    assert code == 0
    assert f"30 of 30 answered, {kept} of them by an earlier run" in err
    assert sorted(each["custom_id"] for each in results(output)) == sorted(f"q{number}" for number in range(30))


@pytest.mark.slow
def test_ctrl_c_keeps_what_was_answered_and_says_how_to_go_on(requests, tmp_path):
    output = tmp_path / "out.jsonl"
    process = begun(requests, output)
    process.send_signal(signal.SIGINT)
    err = process.communicate(timeout=30)[1]
    assert process.returncode == 130
    assert "The same command asks again what has no answer yet." in err
    assert "Traceback" not in err
    assert len(results(output)) >= 2
