"""What all commands have in common, as a shell sees it: help, errors, exit codes."""

from __future__ import annotations

import subprocess
import sys

import pytest

from glassway import __version__

COMMANDS = ("demo", "chat", "explain", "check", "models", "prices", "costs", "replay", "batch")


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


def test_debug_shows_the_traceback(process):
    ran = process("--debug", "demo", "--call", "nothing")
    assert "Traceback" in ran.stderr
