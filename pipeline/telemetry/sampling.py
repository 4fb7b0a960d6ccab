"""The decision which finished traces are kept."""

from __future__ import annotations

from ..facts import COST, FALLBACKS, GUARDRAILS
from ..record import Record
from .policy import Keep

_FAILED = frozenset({"failed", "interrupted", "timeout"})
_RATIO_BITS = 56
"""As many as W3C calls random in a trace id, so that other services' ratio samplers agree.

Source: https://www.w3.org/TR/trace-context-2/#random-trace-id-flag
"""


def in_ratio(trace_id: int, ratio: float) -> bool:
    """Whether this trace is in the share of ordinary ones; the same for everybody who asks."""
    return (trace_id & ((1 << _RATIO_BITS) - 1)) < ratio * (1 << _RATIO_BITS)


def why_kept(record: Record, keep: Keep, trace_id: int, *, parent_sampled: bool) -> str | None:
    """The reason for keeping a finished trace, the most telling first; None if it is let go."""
    if keep.blocked and _blocked(record):
        return "blocked"
    if keep.errors and record.end in _FAILED:
        return "error"
    if keep.fallback and record.facts.get(FALLBACKS.name):
        return "fallback"
    if keep.slow_s is not None and record.duration_s >= keep.slow_s:
        return "slow"
    if keep.cost_usd is not None and _costly(record, keep.cost_usd):
        return "cost"
    if parent_sampled:
        return "parent"
    return "ratio" if in_ratio(trace_id, keep.ratio) else None


def _blocked(record: Record) -> bool:
    return record.error == "guardrail_blocked" or any(
        verdict.verdict == "blocked" for verdict in record.facts.get(GUARDRAILS.name, ())
    )


def _costly(record: Record, limit_usd: float) -> bool:
    cost = record.facts.get(COST.name)
    return cost is not None and cost.amount_usd is not None and float(cost.amount_usd) >= limit_usd
