"""How hard to think, and sampling, which thinking and the newer models restrict."""

from __future__ import annotations

from typing import Any, Final

from ...pipeline.types import ChatRequest
from .anthropic_models import Traits
from .notes import Note

LEAST_BUDGET: Final = 1_024
"""Tokens. Source: https://platform.claude.com/docs/en/build-with-claude/extended-thinking"""

_BUDGETS: Final = {
    "minimal": LEAST_BUDGET,
    "low": 2_048,
    "medium": 8_192,
    "high": 16_384,
    "xhigh": 24_576,
    "max": 24_576,
}
_LEAST_TOP_P: Final = 0.95


def reason(body: dict[str, Any], request: ChatRequest, traits: Traits, note: Note) -> None:
    """Put `reasoning_effort` into `body` as the model's generation takes it; a caller's own `thinking` goes before it."""
    effort = request.reasoning_effort
    if "thinking" in body:
        _fit(body, traits, note)
    if effort is None or "thinking" in body or "effort" in (body.get("output_config") or {}):
        return
    if effort == "none":
        _switch_off(body, traits, note)
    elif effort not in _BUDGETS:
        note("reasoning_effort", "dropped", f"expected one of none, {', '.join(_BUDGETS)}")
    elif obstacle := _obstacle(body, traits):
        note("reasoning_effort", "dropped", obstacle)
    elif traits.thinks_adaptively:
        _adapt(body, effort, traits, note)
    else:
        _budget(body, effort, note)


def _fit(body: dict[str, Any], traits: Traits, note: Note) -> None:
    """`thinking` that came from elsewhere: other vendors have one with other fields, and tools called without signed reasoning."""
    thinking = body["thinking"]
    if not isinstance(thinking, dict):
        del body["thinking"]
        note("thinking", "dropped", "expected an object with a type")
    elif thinking.get("type") != "enabled":
        return
    elif not traits.thinks_adaptively and _unsigned_call(body["messages"]):
        del body["thinking"]
        note("thinking", "dropped", "the last tool call came without signed reasoning")
    elif "budget_tokens" not in thinking:
        budget = max(LEAST_BUDGET, thinking.get("token_budget") or _BUDGETS["medium"])
        if budget >= body["max_tokens"]:
            del body["thinking"]
            note("thinking", "dropped", f"a budget of {budget} tokens needs more than that of output")
        else:
            body["thinking"] = {"type": "enabled", "budget_tokens": budget}
            note("thinking", "renamed", "sent as the vendor's own, whose budget is called budget_tokens")


def _switch_off(body: dict[str, Any], traits: Traits, note: Note) -> None:
    if traits.always_thinks:
        note("reasoning_effort", "dropped", "this model's thinking cannot be switched off")
    elif traits.thinks_by_default:
        body["thinking"] = {"type": "disabled"}
        note("reasoning_effort", "renamed", "sent as thinking")


def _obstacle(body: dict[str, Any], traits: Traits) -> str | None:
    """Why the vendor would refuse to think. Source: https://platform.claude.com/docs/en/build-with-claude/extended-thinking#feature-compatibility"""
    if not traits.thinks:
        return "this model does not think"
    if (body.get("tool_choice") or {}).get("type") in ("any", "tool"):
        return "thinking and a forced tool exclude each other"
    if traits.thinks_adaptively:
        return None
    if body["max_tokens"] <= LEAST_BUDGET:
        return f"thinking needs more than {LEAST_BUDGET} tokens of output"
    return "the last tool call came without signed reasoning" if _unsigned_call(body["messages"]) else None


def _unsigned_call(turns: list[dict[str, Any]]) -> bool:
    """In a tool loop the assistant's turn must begin with its thinking."""
    last = next((turn["content"] for turn in reversed(turns) if turn["role"] == "assistant"), "")
    kinds = [block["type"] for block in last] if isinstance(last, list) else []
    return "tool_use" in kinds and kinds[0] not in ("thinking", "redacted_thinking")


def _adapt(body: dict[str, Any], effort: str, traits: Traits, note: Note) -> None:
    level = {"minimal": "low"}.get(effort, effort)
    if level not in traits.efforts:
        level = "high"
    if not traits.always_thinks:
        body["thinking"] = {"type": "adaptive"}
    body["output_config"] = {**(body.get("output_config") or {}), "effort": level}
    note("reasoning_effort", "renamed" if level == effort else "clamped", f"sent as output_config.effort {level}")


def _budget(body: dict[str, Any], effort: str, note: Note) -> None:
    """Thinking counts towards `max_tokens`; at least a fifth of it is left for the answer."""
    budget = max(LEAST_BUDGET, min(_BUDGETS[effort], body["max_tokens"] * 4 // 5))
    body["thinking"] = {"type": "enabled", "budget_tokens": budget}
    note("reasoning_effort", "emulated", f"sent as a thinking budget of {budget} tokens")


def sample(body: dict[str, Any], request: ChatRequest, traits: Traits, note: Note) -> None:
    """Put `temperature`, `top_p` and `top_k` into `body` as far as model and thinking take them."""
    wanted = {"temperature": request.temperature, "top_p": request.top_p, "top_k": request.top_k}
    given = {name: value for name, value in wanted.items() if value is not None}
    if not traits.takes_sampling:
        for name in given:
            note(name, "dropped", "this model takes no sampling parameters")
        return
    body |= _in_range(given, note)
    if "temperature" in body and "top_p" in body and traits.takes_one_of_temperature_and_top_p:
        del body["top_p"]
        note("top_p", "dropped", "this model takes temperature or top_p, not both")
    if (body.get("thinking") or {}).get("type") in ("enabled", "adaptive"):
        _restrict(body, note)


def _in_range(given: dict[str, float], note: Note) -> dict[str, float]:
    temperature = given.get("temperature")
    if temperature is not None and not 0 <= temperature <= 1:
        note("temperature", "clamped", "the vendor's range is 0 to 1")
        return given | {"temperature": min(1.0, max(0.0, temperature))}
    return given


def _restrict(body: dict[str, Any], note: Note) -> None:
    """Source: https://platform.claude.com/docs/en/build-with-claude/extended-thinking#feature-compatibility"""
    if body.get("temperature", 1) != 1:
        del body["temperature"]
        note("temperature", "dropped", "thinking allows 1 only")
    if "top_k" in body:
        del body["top_k"]
        note("top_k", "dropped", "thinking does not allow it")
    if body.get("top_p", 1) < _LEAST_TOP_P:
        body["top_p"] = _LEAST_TOP_P
        note("top_p", "clamped", f"thinking allows {_LEAST_TOP_P} to 1")
