"""Parameters: what is renamed, clamped, emulated and dropped, and what is said about it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from glassway.pipeline.facts import TRANSLATION
from glassway.providers.codecs.anthropic import AnthropicCodec

CODEC = AnthropicCodec()
OLD, MIDDLE, NEW, NEWEST = "claude-3-5-haiku-20241022", "claude-sonnet-4-5", "claude-opus-4-8", "claude-fable-5"


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def _called(*calls: tuple[str, str, str]) -> dict[str, Any]:
    made = [
        {"id": id_, "type": "function", "function": {"name": name, "arguments": arguments}}
        for id_, name, arguments in calls
    ]
    return {"role": "assistant", "content": None, "tool_calls": made}


TOOL = {"tools": [{"type": "function", "function": {"name": "f"}}]}


def test_max_tokens_is_the_callers_or_what_the_model_can_write(sent: Any) -> None:
    assert sent({"max_completion_tokens": 7})[0]["max_tokens"] == 7
    for model, tokens in (("claude-3-haiku-20240307", 4096), (OLD, 8192), (MIDDLE, 32_000), ("unknown", 4096)):
        body, notes = sent({"model": model})
        assert body["max_tokens"] == tokens
        assert notes["max_tokens"] == "emulated"


def test_a_thinking_budget_fits_into_the_default(sent: Any) -> None:
    assert sent({"thinking": {"type": "enabled", "budget_tokens": 40_000}})[0]["max_tokens"] > 40_000


def test_sampling_on_models_that_take_it(sent: Any) -> None:
    body, notes = sent({"model": OLD, "max_tokens": 5, "temperature": 0.5, "top_p": 0.9, "top_k": 4})
    assert (body["temperature"], body["top_p"], body["top_k"]) == (0.5, 0.9, 4)
    assert notes == {}


@pytest.mark.parametrize(("temperature", "clamped"), [(1.7, 1.0), (-1, 0.0)])
def test_temperature_is_clamped(sent: Any, temperature: float, clamped: float) -> None:
    body, notes = sent({"temperature": temperature})
    assert body["temperature"] == clamped
    assert notes["temperature"] == "clamped"


def test_models_from_4_1_take_temperature_or_top_p(sent: Any) -> None:
    body, notes = sent({"temperature": 0.5, "top_p": 0.9})
    assert "top_p" not in body
    assert notes["top_p"] == "dropped"


@pytest.mark.parametrize("model", ["claude-opus-4-7", NEW, "claude-sonnet-5", NEWEST])
def test_the_newest_models_take_no_sampling(sent: Any, model: str) -> None:
    body, notes = sent({"model": model, "temperature": 0.5, "top_p": 0.9, "top_k": 4})
    assert body.keys() & {"temperature", "top_p", "top_k"} == set()
    assert {name: notes[name] for name in ("temperature", "top_p", "top_k")} == dict.fromkeys(
        ("temperature", "top_p", "top_k"), "dropped"
    )


@pytest.mark.parametrize(
    ("model", "effort", "expected", "action"),
    [
        ("claude-3-7-sonnet-20250219", "low", {"thinking": {"type": "enabled", "budget_tokens": 2048}}, "emulated"),
        (MIDDLE, "high", {"thinking": {"type": "enabled", "budget_tokens": 16_000}}, "emulated"),
        (
            "claude-opus-4-6",
            "medium",
            {"thinking": {"type": "adaptive"}, "output_config": {"effort": "medium"}},
            "renamed",
        ),
        (
            "claude-opus-4-6",
            "xhigh",
            {"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}},
            "clamped",
        ),
        (NEW, "minimal", {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}}, "clamped"),
        (NEW, "xhigh", {"thinking": {"type": "adaptive"}, "output_config": {"effort": "xhigh"}}, "renamed"),
        (NEWEST, "high", {"output_config": {"effort": "high"}}, "renamed"),
        ("claude-sonnet-5", "none", {"thinking": {"type": "disabled"}}, "renamed"),
        (NEW, "none", {}, None),
        (NEWEST, "none", {}, "dropped"),
        (OLD, "high", {}, "dropped"),
        (NEW, "enormous", {}, "dropped"),
    ],
)
def test_reasoning_effort_in_the_words_of_each_generation(
    sent: Any, model: str, effort: str, expected: dict[str, Any], action: str | None
) -> None:
    body, notes = sent({"model": model, "max_tokens": 20_000, "reasoning_effort": effort})
    assert {name: body[name] for name in ("thinking", "output_config") if name in body} == expected
    assert notes.get("reasoning_effort") == action


@pytest.mark.parametrize("max_tokens", [1025, 2000, 5000])
def test_a_budget_leaves_room_for_the_answer(sent: Any, max_tokens: int) -> None:
    budget = sent({"max_tokens": max_tokens, "reasoning_effort": "high"})[0]["thinking"]["budget_tokens"]
    assert 1024 <= budget < max_tokens


def test_too_small_a_limit_leaves_no_room_for_thinking(sent: Any) -> None:
    body, notes = sent({"max_tokens": 1024, "reasoning_effort": "low"})
    assert "thinking" not in body
    assert notes["reasoning_effort"] == "dropped"


def test_thinking_and_a_forced_tool_exclude_each_other(sent: Any) -> None:
    body, notes = sent(TOOL | {"tool_choice": "required", "reasoning_effort": "high"})
    assert "thinking" not in body
    assert notes["reasoning_effort"] == "dropped"


def test_a_tool_loop_without_signed_reasoning_goes_on_without_thinking(sent: Any) -> None:
    messages = [user("x"), _called(("t1", "f", "{}")), {"role": "tool", "tool_call_id": "t1", "content": "r"}]
    body, notes = sent(TOOL | {"messages": messages, "reasoning_effort": "high"})
    assert "thinking" not in body
    assert notes["reasoning_effort"] == "dropped"


def test_thinking_restricts_sampling(sent: Any) -> None:
    body, notes = sent(
        {"model": "claude-sonnet-4-0", "reasoning_effort": "low", "temperature": 0.2, "top_p": 0.5, "top_k": 3}
    )
    assert body["thinking"]["type"] == "enabled"
    assert body.keys() & {"temperature", "top_k"} == set()
    assert body["top_p"] == 0.95
    assert (notes["temperature"], notes["top_k"], notes["top_p"]) == ("dropped", "dropped", "clamped")


def test_the_rest_of_the_parameters(sent: Any) -> None:
    body, notes = sent(
        {
            "max_tokens": 5,
            "stop": ["a", "\n"],
            "user": "u",
            "service_tier": "default",
            "stream": True,
            "stream_options": {"include_usage": True},
        }
    )
    assert body["stop_sequences"] == ["a"]
    assert body["metadata"] == {"user_id": "u"}
    assert body["service_tier"] == "standard_only"
    assert body["stream"] is True
    assert "stream_options" not in body
    assert notes == {"stop": "dropped"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n", 2),
        ("seed", 1),
        ("frequency_penalty", 0.5),
        ("presence_penalty", 0.5),
        ("logit_bias", {"1": 2}),
        ("logprobs", True),
        ("top_logprobs", 3),
        ("modalities", ["audio"]),
        ("audio", {"voice": "x"}),
        ("metadata", {"a": "b"}),
        ("service_tier", "flex"),
        ("store", True),
        ("prediction", {"type": "content"}),
    ],
)
def test_what_the_vendor_has_not_is_dropped_with_a_reason(call_of: Any, name: str, value: Any) -> None:
    call = call_of({name: value})
    body = json.loads(CODEC.encode(call).content)
    assert name not in body
    fact = next(fact for fact in call.trail(TRANSLATION) if fact.parameter == name)
    assert fact.action == "dropped"
    assert fact.reason


@pytest.mark.parametrize(
    ("name", "value"), [("n", 1), ("frequency_penalty", 0), ("logprobs", False), ("modalities", ["text"])]
)
def test_what_asks_for_nothing_is_no_note(sent: Any, name: str, value: Any) -> None:
    assert sent({name: value, "max_tokens": 5})[1] == {}


def test_its_own_parameters_are_passed_on(sent: Any) -> None:
    own = {"thinking": {"type": "disabled"}, "container": "c", "inference_geo": "us", "speed": "fast"}
    body, notes = sent(own | {"max_tokens": 5})
    assert {name: body[name] for name in own} == own
    assert notes == {}


def test_adaptive_thinking_needs_no_room_and_no_signed_reasoning(sent: Any) -> None:
    messages = [user("x"), _called(("t1", "f", "{}")), {"role": "tool", "tool_call_id": "t1", "content": "r"}]
    body, notes = sent(TOOL | {"model": NEW, "messages": messages, "max_tokens": 10, "reasoning_effort": "high"})
    assert body["thinking"] == {"type": "adaptive"}
    assert notes == {"reasoning_effort": "renamed"}
