"""`glassway chat`: the answer on standard output, everything else on standard error."""

from __future__ import annotations

import sys

import pytest

from glassway.cli.chat import usual_model
from glassway.cli.clients import client_of


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
    code, out, err = shell("chat", "What is 2 + 2?", "--config", config())
    assert (code, out) == (0, "2 + 2 = 4\n")
    assert "quick" in err


def test_an_empty_prompt_is_refused(shell):
    assert shell("chat", " ")[0] == 2
