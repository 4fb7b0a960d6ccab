"""What a pipeline has done so far, added up: in all, and by the target that answered."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal, NamedTuple

from .errors import Kind
from .facts import given_again
from .pricing import add_usd
from .record import Record

MOST_TARGETS = 200
"""Targets that are kept apart; those beyond are added up as `other`."""
RECENT = 20
"""Attempts of a provider by which its health is judged."""
_DOWN_AFTER = 3
_FAILED = frozenset({"failed", "interrupted", "timeout"})

Condition = Literal["ok", "degraded", "down", "unknown"]


@dataclass(slots=True)
class Totals:
    """Calls that have ended, added up. Money and tokens of failed attempts are in it."""

    calls: int = 0
    successes: int = 0
    failures: int = 0
    """Calls that ended with an error. The rest, neither: the caller went away."""
    cache_hits: int = 0
    attempts: int = 0
    duration_s: float = 0.0
    cost_usd: Decimal = Decimal(0)
    """Of the calls whose cost is known."""
    wasted_usd: Decimal = Decimal(0)
    saved_usd: Decimal = Decimal(0)
    priced_calls: int = 0
    unpriced_calls: int = 0
    """Calls whose cost is not known, in whole or in part: they are not in `cost_usd`."""
    prompt_tokens: int = 0
    completion_tokens: int = 0

    @property
    def success_rate(self) -> float | None:
        """Successes among successes and failures, 0 to 1; None before the first."""
        decided = self.successes + self.failures
        return self.successes / decided if decided else None

    @property
    def average_latency_s(self) -> float | None:
        """Seconds from a call's start to its end, streams to theirs; None before the first."""
        return self.duration_s / self.calls if self.calls else None

    @property
    def average_cost_usd(self) -> Decimal | None:
        """US dollars per call of known cost; None before the first."""
        return self.cost_usd / self.priced_calls if self.priced_calls else None

    def add(self, record: Record, attempts: int) -> None:
        """One more call, which sent `attempts` requests."""
        self.calls += 1
        if record.end == "completed":
            self.successes += 1
        elif record.end in _FAILED:
            self.failures += 1
        self.attempts += attempts
        self.duration_s += record.duration_s
        if given_again(record.facts) is not None:
            self.cache_hits += 1
        usage, cost = record.usage, record.cost
        if usage is not None:
            counts = usage.__dict__  # pydantic's attributes cost several times as much
            self.prompt_tokens += counts["prompt_tokens"]
            self.completion_tokens += counts["completion_tokens"]
        if cost is None:
            return
        if cost.saved_usd:
            self.saved_usd = add_usd(self.saved_usd, cost.saved_usd)
        if cost.amount_usd is None:
            self.unpriced_calls += 1
            return
        self.priced_calls += 1
        self.cost_usd = add_usd(self.cost_usd, cost.amount_usd)
        if cost.wasted_usd:
            self.wasted_usd = add_usd(self.wasted_usd, cost.wasted_usd)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON-ready data. Money is text, so that it stays exact."""
        names = (*self.__dataclass_fields__, "success_rate", "average_latency_s", "average_cost_usd")
        plain = {name: getattr(self, name) for name in names}
        return {name: format(value, "f") if isinstance(value, Decimal) else value for name, value in plain.items()}


@dataclass(frozen=True, slots=True)
class Stats:
    """A pipeline's calls at one moment. `str()` draws a table."""

    total: Totals
    by_target: Mapping[str, Totals]
    """By `provider/model` of the one that answered, or that was asked last."""

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON-ready data."""
        targets = {name: totals.to_dict() for name, totals in self.by_target.items()}
        return {"total": self.total.to_dict(), "by_target": targets}

    def __str__(self) -> str:
        width = max(map(len, (*self.by_target, "target")))
        head = f"{'target':<{width}} {'calls':>7} {'ok':>7} {'failed':>7} {'average':>10} {'cost':>14}"
        rows = [_row(name, totals, width) for name, totals in self.by_target.items()]
        return "\n".join([head, *rows, _row("all", self.total, width)])


def _row(name: str, totals: Totals, width: int) -> str:
    average = "-" if totals.average_latency_s is None else f"{totals.average_latency_s * 1000:.1f} ms"
    unknown = f" + {totals.unpriced_calls} unpriced" if totals.unpriced_calls else ""
    cost = f"${totals.cost_usd:f}" if totals.priced_calls else "-"
    return f"{name:<{width}} {totals.calls:>7} {totals.successes:>7} {totals.failures:>7} {average:>10} {cost:>14}{unknown}"


class ProviderCondition(NamedTuple):
    """How a provider's last attempts went."""

    condition: Condition
    """`down`: at least three, and all of them failed by its own or the network's fault. `degraded`: half of them. `unknown`: none."""
    attempts: int
    """How many were looked at, at most 20."""
    failures: int
    last_error: Kind | None = None
    """The kind of the newest failure among them."""


@dataclass(slots=True)
class _Recent:
    ends: deque[Kind | None] = field(default_factory=lambda: deque(maxlen=RECENT))

    def condition(self) -> ProviderCondition:
        failures = [kind for kind in self.ends if kind is not None]
        count = len(self.ends)
        word: Condition = "ok"
        if not count:
            word = "unknown"
        elif len(failures) == count >= _DOWN_AFTER:
            word = "down"
        elif 2 * len(failures) >= count:
            word = "degraded"
        return ProviderCondition(word, count, len(failures), failures[-1] if failures else None)


ITS_FAULT: frozenset[Kind] = frozenset(
    {
        "auth",
        "bad_response",
        "connect",
        "overloaded",
        "permission",
        "rate_limited",
        "server_error",
        "stream_interrupted",
        "timeout",
    }
)
"""Failures of an attempt that speak against the provider, its key or the way to it, and not against the request."""


class Statistics:
    """Adds up a pipeline's calls, from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_target: dict[str, Totals] = {}
        self._recent: dict[str, _Recent] = {}

    def note(self, record: Record) -> None:
        """A call has ended."""
        with self._lock:
            attempts = record.attempts
            self._target(record).add(record, len(attempts))
            for attempt in attempts:
                if attempt.error != "cancelled":
                    recent = self._recent.get(attempt.provider)
                    if recent is None:
                        recent = self._recent[attempt.provider] = _Recent()
                    recent.ends.append(attempt.error if attempt.error in ITS_FAULT else None)

    def snapshot(self) -> Stats:
        """The state now: later calls do not change it."""
        with self._lock:
            copies = {name: _sum([totals]) for name, totals in sorted(self._by_target.items())}
            return Stats(_sum(copies.values()), copies)

    def condition(self, provider: str) -> ProviderCondition:
        """How the provider of that name does."""
        with self._lock:
            return self._recent.get(provider, _Recent()).condition()

    def _target(self, record: Record) -> Totals:
        name = f"{record.provider}/{record.model}" if record.provider else str(record.model)
        found = self._by_target.get(name)
        if found is not None:
            return found
        if len(self._by_target) >= MOST_TARGETS or record.fault == "caller":
            name = "other"  # made-up names of callers take nobody's place
        return self._by_target.setdefault(name, Totals())


def _sum(parts: Iterable[Totals]) -> Totals:
    whole = Totals()
    for part in parts:
        for name in part.__dataclass_fields__:
            one, other = getattr(whole, name), getattr(part, name)
            setattr(whole, name, add_usd(one, other) if isinstance(one, Decimal) else one + other)
    return whole
