"""`glassway explain`, `check`, `models` and `prices`: what would happen, what is wrong, what there is."""

from __future__ import annotations

import pytest

from glassway.providers.catalogue import ROWS


def test_explain_draws_the_plan_of_a_configuration(shell, config):
    code, out, _ = shell("explain", config())
    assert code == 0
    places = [out.index(f"{number}. {name}") for number, name in enumerate(("Cost", "Cache", "Fallback", "Retry"), 1)]
    assert places == sorted(places)
    assert "| simulated" in out or "▼  simulated" in out


def test_explain_dry_runs_a_prompt(shell, config):
    code, out, _ = shell("explain", config(), "--prompt", "Hi", "-m", "quick")
    assert code == 0
    assert "would go to simulated/gpt-sim-mini" in out
    assert '"content": "Hi"' in out


@pytest.mark.parametrize(("form", "starts"), [("json", "{"), ("mermaid", "flowchart")])
def test_explain_writes_other_formats(shell, config, form, starts):
    assert shell("explain", config(), "--format", form)[1].startswith(starts)


def test_a_good_configuration_is_fine(shell, config):
    code, out, _ = shell("check", config())
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
    strange = """
providers: {simulated: {}}
models: {quick: {target: opnai/gpt}}
pipeline: [cost, cache, fallback: {targets: [antropic/claude]}]
"""
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
