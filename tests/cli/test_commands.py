"""The commands, as a shell sees them: output, standard error, exit codes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from glassway import __version__
from glassway.cli.app import run
from glassway.cli.chat import usual_model
from glassway.cli.clients import client_of
from glassway.cli.scenarios import SCENARIOS
from glassway.providers.catalogue import ROWS

COMMANDS = ("demo", "chat", "explain", "check", "models", "prices")


@pytest.fixture(autouse=True)
def no_keys(monkeypatch):
    """An environment in which no vendor has a key."""
    for row in ROWS:
        for variable in row.key_variables:
            monkeypatch.delenv(variable, raising=False)


@pytest.fixture
def shell(capsys):
    """Runs a command line in this process: (exit code, standard output, standard error)."""

    def execute(*arguments):
        try:
            code = run(arguments)
        except SystemExit as ended:
            code = ended.code
        return (code, *capsys.readouterr())

    return execute


def _process(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "glassway", *arguments],
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_version(shell):
    assert shell("--version")[:2] == (0, f"glassway {__version__}\n")


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_each_command_teaches_by_examples(shell, command):
    code, out, _ = shell(command, "--help")
    assert code == 0
    assert f"glassway {command}" in out.split("Examples:")[1]


def test_help_names_every_command_and_the_exit_codes(shell):
    out = shell("--help")[1]
    assert all(command in out for command in COMMANDS)
    assert "Exit codes" in out


def test_an_unknown_command_is_a_usage_error(shell):
    assert shell("dance")[0] == 2


def test_without_the_cli_extra_it_says_what_to_install():
    script = "import sys; sys.modules['typer'] = None; from glassway.cli import main; sys.exit(main())"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert ran.returncode == 2
    assert ran.stderr == "error: The command line needs an optional package. Run: pip install 'glassway[cli]'\n"


def test_help_loads_neither_rich_nor_httpx():
    script = (
        "import sys; from glassway.cli.app import app; import typer.main; typer.main.get_command(app); "
        "print([name for name in ('rich', 'httpx', 'prometheus_client', 'opentelemetry.sdk') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_an_error_of_ours_is_one_line(shell):
    code, out, err = shell("demo", "--call", "nothing")
    assert (code, out) == (2, "")
    assert err.startswith("error: --call nothing: expected one of")
    assert err.count("\n") == 1


def test_debug_shows_the_traceback():
    ran = _process("--debug", "demo", "--call", "nothing")
    assert "Traceback" in ran.stderr


# -- demo


@pytest.mark.slow
def test_the_demonstration_shows_every_scenario_and_the_totals():
    began_s = time.monotonic()
    ran = _process("demo", "--fast", COLUMNS="80")
    assert ran.returncode == 0, ran.stderr
    assert time.monotonic() - began_s < 10
    assert all(f"[{scenario.name}]" in ran.stdout for scenario in SCENARIOS)
    assert ran.stdout.count("self times add up") >= len(SCENARIOS)
    assert "in the records = $" in ran.stdout
    assert max(map(len, ran.stdout.splitlines())) <= 80


@pytest.mark.slow
@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"TERM": "dumb"}, {}], ids=["NO_COLOR", "dumb", "pipe"])
def test_without_a_capable_terminal_there_is_no_escape_code(environment):
    ran = _process("demo", "--fast", "--call", "fallback", **environment)
    assert ran.returncode == 0
    assert "\x1b" not in ran.stdout + ran.stderr


@pytest.mark.slow
def test_a_terminal_without_unicode_gets_ascii():
    ran = _process("demo", "--fast", "--call", "cut", PYTHONIOENCODING="ascii", COLUMNS="80")
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
        process.stdout.readline()
        time.sleep(1)  # somewhere in the middle of its real waits
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "Traceback" not in err


# -- chat


def test_chat_without_keys_asks_the_embedded_vendor_and_says_so(shell):
    code, out, err = shell("chat", "What is the capital of France?", "--show", "none")
    assert (code, out) == (0, "The capital of France is Paris.\n")
    assert "simulated/gpt-sim" in err
    assert "no vendor's key" in err


@pytest.mark.parametrize("mode", ["--stream", "--no-stream"])
def test_chat_answers_the_same_streamed_or_not(shell, mode):
    assert shell("chat", "What is 2 + 2?", "-m", "simulated/gpt-sim", mode)[1] == "2 + 2 = 4\n"


def test_chat_reads_standard_input(shell, monkeypatch, tmp_path):
    prompt = tmp_path / "prompt"
    prompt.write_text("What is 20 + 1?")
    with prompt.open() as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        assert shell("chat", "-", "-m", "simulated/gpt-sim")[1] == "20 + 1 = 21\n"


def test_chat_shows_the_waterfall_beside_the_answer(shell):
    _, out, err = shell("chat", "What is 2 + 2?", "-m", "simulated/gpt-sim", "--show", "record")
    assert out == "2 + 2 = 4\n"
    assert "self times add up" in err
    assert "cost" in err


def test_a_failed_call_exits_with_1_and_shows_what_happened(shell):
    code, _, err = shell("chat", "Hi", "-m", "simulated/unknown-model", "--show", "waterfall")
    assert code == 1
    assert "not_found" in err
    assert "error: " in err


def test_a_missing_key_is_a_configuration_error_that_names_the_variable(shell):
    code, _, err = shell("chat", "Hi", "-m", "openai/gpt-4o-mini", "--show", "none")
    assert code == 2
    assert "OPENAI_API_KEY" in err


def test_the_first_vendor_with_a_key_is_chosen(monkeypatch, capsys):
    monkeypatch.setenv("ANTHROPIC_API_KEY", "set")
    with client_of(None) as client:
        assert usual_model(client).startswith("anthropic/")
    assert "ANTHROPIC_API_KEY is set" in capsys.readouterr().err


def test_a_configuration_says_whom_to_ask(shell, config):
    code, out, err = shell("chat", "What is 2 + 2?", "--config", config(CONFIG))
    assert (code, out) == (0, "2 + 2 = 4\n")
    assert "quick" in err


def test_an_empty_prompt_is_refused(shell):
    assert shell("chat", " ")[0] == 2


# -- explain, check, models, prices

CONFIG = """
providers:
  simulated: {}
models:
  quick: {target: simulated/gpt-sim-mini}
pipeline: [cost, cache: {ttl_s: 60}, fallback: {targets: [simulated/gpt-sim]}, retry: {attempts: 2}]
"""


@pytest.fixture
def config(tmp_path):
    """Writes a configuration; returns its path as an argument."""

    def write(text):
        path = tmp_path / "glassway.yaml"
        path.write_text(text)
        return str(path)

    return write


def test_explain_draws_the_plan_of_a_configuration(shell, config):
    code, out, _ = shell("explain", config(CONFIG))
    assert code == 0
    places = [out.index(f"{number}. {name}") for number, name in enumerate(("Cost", "Cache", "Fallback", "Retry"), 1)]
    assert places == sorted(places)
    assert "| simulated" in out or "▼  simulated" in out


def test_explain_dry_runs_a_prompt(shell, config):
    code, out, _ = shell("explain", config(CONFIG), "--prompt", "Hi", "-m", "quick")
    assert code == 0
    assert "would go to simulated/gpt-sim-mini" in out
    assert '"content": "Hi"' in out


@pytest.mark.parametrize(("form", "starts"), [("json", "{"), ("mermaid", "flowchart")])
def test_explain_writes_other_formats(shell, config, form, starts):
    assert shell("explain", config(CONFIG), "--format", form)[1].startswith(starts)


def test_a_good_configuration_is_fine(shell, config):
    code, out, _ = shell("check", config(CONFIG))
    assert code == 0
    assert out.endswith("fine\n")


def test_check_tells_every_problem_with_its_path(shell, config):
    wrong = """
providers:
  simulated: {api_key: "${NOT_SET_ANYWHERE}"}
  nobody: {}
models:
  quick: {target: 3}
pipeline: [cost, retry: {tries: 2}, dance]
timeout: 3
"""
    code, out, _ = shell("check", config(wrong))
    assert code == 1
    for part in ("NOT_SET_ANYWHERE", "nobody", "models.quick.target", "'tries'", "'dance'", "timeout: unknown key"):
        assert part in out, out


def test_check_tells_a_wrong_order(shell, config):
    code, out, _ = shell("check", config("providers: {simulated: {}}\npipeline: [cache, cost]"))
    assert code == 1
    assert "Cost" in out
    assert "Cache" in out


def test_check_tells_where_the_yaml_breaks(shell, config):
    code, out, _ = shell("check", config("pipeline: [cost"))
    assert code == 1
    assert "line 1" in out


def test_check_warns_of_targets_that_are_no_provider(shell, config):
    strange = CONFIG.replace("simulated/gpt-sim-mini", "opnai/gpt").replace("[simulated/gpt-sim]", "[antropic/claude]")
    code, out, _ = shell("check", config(strange))
    assert code == 0
    assert "models.quick.target: 'opnai' is no provider" in out
    assert "pipeline[2].fallback.targets[0]: 'antropic' is no provider" in out


def test_check_gives_advice(shell, config):
    code, out, _ = shell("check", config("providers: {simulated: {}}\npipeline: [retry, callbacks]"))
    assert code == 0
    assert "advice: Move Callbacks before Retry" in out


def test_check_of_a_file_that_is_not_there(shell):
    code, out, _ = shell("check", "/nowhere/glassway.yaml")
    assert code == 1
    assert "cannot be read" in out


def test_models_lists_the_vendors_and_their_keys(shell):
    out = shell("models")[1]
    assert all(row.name in out for row in ROWS)
    assert "OPENAI_API_KEY" in out


def test_models_of_one_vendor(shell):
    code, out, _ = shell("models", "--provider", "simulated")
    assert code == 0
    assert "gpt-sim" in out.splitlines()


def test_models_of_an_unknown_vendor(shell):
    code, _, err = shell("models", "--provider", "nobody")
    assert code == 2
    assert "nobody" in err


def test_prices_say_where_they_are_from_and_unknown_is_not_free(shell):
    out = shell("prices", "openai/gpt-4o-mini", "openai/never-heard-of")[1]
    assert "$0.15" in out
    assert "genai-prices" in out
    assert "unknown" in out
