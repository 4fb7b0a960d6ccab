"""What of an answer and of a call is worth comparing with another run's."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from hashlib import blake2b
from typing import Any

from ...pipeline.facts import ATTEMPTS
from ...pipeline.record import Record
from ...pipeline.types import ChatResponse, Response
from .masking import Mask
from .plain import Plain

_DIGEST_BYTES = 16
_PASSING = frozenset({"id", "created", "model", "usage", "meta"})
"""Fields of an answer that differ from run to run, or that say who answered rather than what."""

_TELLING = ("verdict", "target", "route", "decided_by", "strategy", "rule", "side", "fault", "error", "source", "reason", "action", "parameter", "policy", "outcome", "told_by", "stage")  # fmt: skip
"""Fields of facts that say what was decided; times, ids and counts differ from run to run."""

_NOT_DECIDED = frozenset({"attempts", "cost", "cost_range", "payload", "replays"})


def output_of(response: Response | None, mask: Mask) -> Plain | None:
    """A digest and the size of what an answer says, secrets taken out; None without an answer."""
    if response is None:
        return None
    said = mask.value(_said(response))
    text = json.dumps(said, sort_keys=True, ensure_ascii=False, default=str)
    return {
        "digest": blake2b(text.encode(), digest_size=_DIGEST_BYTES).hexdigest(),
        "characters": len(spoken(response)),
    }


def _said(response: Response) -> Any:
    """The same for a whole answer and for one that was joined of chunks."""
    if not isinstance(response, ChatResponse):
        return _without(response.to_dict())
    return [
        {
            "content": choice.message.text,
            "reasoning": choice.message.reasoning_content or "",
            "refusal": choice.message.refusal or "",
            "tool_calls": [call.function.to_dict() for call in choice.message.tool_calls or () if call.function],
            "finish_reason": choice.finish_reason,
        }
        for choice in response.choices
    ]


def spoken(response: Response | None) -> str:
    """An answer as text that two of can be compared line by line: text, then tool calls."""
    if isinstance(response, ChatResponse):
        calls = [call.function for call in response.tool_calls if call.function is not None]
        return "\n".join(filter(None, [response.text, *(f"{call.name}({call.arguments})" for call in calls)]))
    return response.text if response is not None else ""


def _without(value: Any) -> Any:
    if isinstance(value, Mapping):
        kept = {name: _without(item) for name, item in value.items() if name not in _PASSING}
        return {name: item for name, item in kept.items() if item not in (None, [], {}, "")}
    return [_without(item) for item in value] if isinstance(value, (list, tuple)) else value


def summary_of(record: Record, response: Response | None, mask: Mask, seen_s: float) -> Plain:
    """A call's record in short: how it ended, what it took and cost, what was decided, and a digest of what came out.

    `seen_s`: what it took by another clock, for records without times (telemetry switched off).
    """
    usage = record.usage
    return {
        "requested": record.requested,
        "end": record.end,
        "error": record.error,
        "duration_s": round(record.duration_s or seen_s, 6),
        "cost_usd": None if record.cost_usd is None else format(record.cost_usd, "f"),
        "tokens": None if usage is None else [usage.prompt_tokens, usage.completion_tokens],
        "output": output_of(response, mask),
        "decisions": decisions_of(record),
    }


def decisions_of(record: Record) -> dict[str, list[str]]:
    """What stages and vendors did to a call, by fact, in words that two runs can be compared by."""
    told = [_attempt(attempt) for attempt in record.get(ATTEMPTS)]
    found: dict[str, list[str]] = {"attempts": told} if told else {}
    for name, fact in record.facts.items():
        facts = fact if isinstance(fact, list) else [fact]
        if name not in _NOT_DECIDED and (words := [word for one in facts if (word := _words(one))]):
            found[name] = words
    return found


def _attempt(attempt: Any) -> str:
    return f"{attempt.provider}/{attempt.model} {attempt.error or 'ok'}"


def _words(fact: object) -> str:
    """The telling fields of a fact; nothing where a guardrail passed, which is no decision."""
    words = [str(value) for name in _TELLING if (value := getattr(fact, name, None)) and _is_word(value)]
    return "" if getattr(fact, "verdict", None) == "passed" and hasattr(fact, "side") else " ".join(words)


def _is_word(value: object) -> bool:
    return isinstance(value, str) and len(value) <= 200


def total_usd(amounts: Sequence[str | None]) -> Decimal | None:
    """The sum; None if one of them is unknown."""
    known = [Decimal(amount) for amount in amounts if amount is not None]
    return sum(known, Decimal(0)) if len(known) == len(amounts) else None
