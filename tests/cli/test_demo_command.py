"""`glassway demo`, on terminals of all kinds."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from glassway.cli.scenarios import SCENARIOS

pytestmark = pytest.mark.over_http


@pytest.mark.slow
def test_the_demonstration_shows_every_scenario_and_the_totals(process):
    began_s = time.monotonic()
    ran = process("demo", "--fast", COLUMNS="80")
    assert ran.returncode == 0, ran.stderr
    assert time.monotonic() - began_s < 10
    assert all(f"[{scenario.name}]" in ran.stdout for scenario in SCENARIOS)
    assert ran.stdout.count("self times add up") >= len(SCENARIOS)
    assert "in the records = $" in ran.stdout
    assert max(map(len, ran.stdout.splitlines())) <= 80


@pytest.mark.slow
@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"TERM": "dumb"}, {}], ids=["NO_COLOR", "dumb", "pipe"])
def test_without_a_capable_terminal_there_is_no_escape_code(process, environment):
    ran = process("demo", "--fast", "--call", "fallback", **environment)
    assert ran.returncode == 0
    assert "\x1b" not in ran.stdout + ran.stderr


@pytest.mark.slow
def test_a_terminal_without_unicode_gets_ascii(process):
    ran = process("demo", "--fast", "--call", "cut", PYTHONIOENCODING="ascii", COLUMNS="80")
    assert ran.returncode == 0
    assert "#####" in ran.stdout


def test_records_as_json_lines(shell):
    code, out, _ = shell("demo", "--fast", "--json", "--call", "cached", "--call", "unary")
    records = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert [record["scenario"] for record in records] == ["unary", "cached", "cached"]
    assert [record["facts"]["cache"]["verdict"] for record in records] == ["stored", "stored", "hit"]


def test_the_list_names_every_scenario(shell):
    out = shell("demo", "--list")[1]
    assert all(scenario.name in out and scenario.title in out for scenario in SCENARIOS)


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_ctrl_c_ends_the_demonstration_without_a_traceback():
    with subprocess.Popen(
        [sys.executable, "-m", "glassway", "demo"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        while "[unary]" not in process.stdout.readline():
            pass
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "Traceback" not in err
