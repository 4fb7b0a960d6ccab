"""How hard to think: `reasoning_effort` as the vendor's `thinking`.

Source: https://docs.cohere.com/docs/reasoning
"""

from __future__ import annotations

import re
from typing import Any, Final

from ...pipeline.types import ChatRequest
from .notes import Note

Json = dict[str, Any]

_THINKERS: Final = re.compile(r"reasoning|command-a-plus")
"""Models that think, unless told not to; others refuse the parameter."""

_BUDGETS: Final[dict[str, int | None]] = {
    "minimal": 512,
    "low": 2_048,
    "medium": 8_192,
    "high": None,
    "xhigh": None,
    "max": None,
}
"""Tokens; None: as many as it takes, which the vendor advises for the best answers."""


def put_thinking(body: Json, request: ChatRequest, model: str, note: Note) -> None:
    """Put `reasoning_effort` into `body`; a caller's own `thinking` goes before it. A budget leaves a fifth of `max_tokens` for the answer."""
    effort = request.reasoning_effort
    if "thinking" in body:
        _fit(body, model, note)
    if effort is None or "thinking" in body:
        return
    if not _THINKERS.search(model):
        if effort != "none":
            note("reasoning_effort", "dropped", "this model does not think")
    elif effort == "none":
        body["thinking"] = {"type": "disabled"}
        note("reasoning_effort", "renamed", "sent as thinking")
    elif effort not in _BUDGETS:
        note("reasoning_effort", "dropped", f"expected one of none, {', '.join(_BUDGETS)}")
    else:
        _enable(body, _BUDGETS[effort], note)


def _fit(body: Json, model: str, note: Note) -> None:
    """Another vendor has `thinking` too, with other fields in it: Anthropic's budget has another name here."""
    thinking = body["thinking"]
    if not isinstance(thinking, dict) or (
        thinking.keys() <= {"type", "token_budget"} and thinking.get("type") != "adaptive"
    ):
        return
    if not _THINKERS.search(model):
        del body["thinking"]
        note("thinking", "dropped", "this model does not think")
    else:
        kind = "disabled" if thinking.get("type") == "disabled" else "enabled"
        budget = thinking.get("token_budget", thinking.get("budget_tokens"))
        body["thinking"] = {"type": kind} | ({"token_budget": budget} if budget is not None else {})
        note("thinking", "renamed", "sent as the vendor's own, whose budget is called token_budget")


def _enable(body: Json, budget: int | None, note: Note) -> None:
    body["thinking"] = {"type": "enabled"}
    if "max_tokens" in body:
        room = max(1, body["max_tokens"] * 4 // 5)
        budget = room if budget is None else min(budget, room)
    if budget is None:
        note("reasoning_effort", "renamed", "sent as thinking without a limit")
        return
    body["thinking"]["token_budget"] = budget
    note("reasoning_effort", "emulated", f"sent as a thinking budget of {budget} tokens")
