"""One budget, as it is written, and its windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from math import ceil, inf
from typing import Literal, NamedTuple, get_args

from ...pipeline.call import Call
from ...pipeline.errors import ConfigError
from ...pipeline.pricing import times_usd, usd
from ...pipeline.scope import Scope
from ...stores import Window

Period = Literal["hour", "day", "week", "month", "year"]

MICRO = Decimal(1_000_000)
"""Micro-dollars of a dollar: what is counted."""

_DAY_S = 86_400.0
HOUR_NS = 3_600_000_000_000
_CLAIMS_KEPT = 1000
_SPARE_S = _DAY_S
"""A calendar's window is kept this much longer than it lasts."""
_LENGTHS_S: dict[Period, float] = {
    "hour": 3600.0,
    "day": _DAY_S,
    "week": 7 * _DAY_S,
    "month": 31 * _DAY_S,
    "year": 366 * _DAY_S,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetOf(Scope):
    """At most `usd` US dollars in each `period`, for whom `per` says."""

    usd: Decimal | float | str
    period: Period | float = "month"
    """`hour`, `day`, `week` (from Monday), `month`, `year` of the calendar in UTC; or seconds: then any window of that length holds."""
    warn_at: float = 0.8
    """The share of it at which a warning is given, once in a period."""
    micro: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        try:
            amount = usd(self.usd)
        except ValueError as error:
            raise ConfigError(f"BudgetOf.usd: {error}.") from None
        micro = micro_of(amount)
        if not 0 < micro < 2**53:
            raise ConfigError(
                f"BudgetOf.usd: expected a millionth of a dollar to nine thousand million, found {amount}."
            )
        object.__setattr__(self, "micro", micro)
        if isinstance(self.period, str):
            if self.period not in get_args(Period):
                raise ConfigError(
                    f"BudgetOf.period: expected {', '.join(get_args(Period))} or seconds, found {self.period!r}."
                )
        elif isinstance(self.period, bool) or not 0 < self.period < inf:
            raise ConfigError(f"BudgetOf.period: expected seconds above 0, found {self.period!r}.")
        if not 0 < self.warn_at <= 1:
            raise ConfigError(f"BudgetOf.warn_at: expected a share above 0, 1 at most, found {self.warn_at!r}.")
        per = "function" if callable(self.per) else self.per if isinstance(self.per, str) else "+".join(self.per)
        about = "".join(f" {one}" for one in (self.tenant, self.model) if one is not None)
        length = self.period if isinstance(self.period, str) else f"{self.period:g}s"
        self.prepare("BudgetOf", f"{per}/{length}{about}")

    def window(self, share: str, wall_ns: int) -> Window:
        """Where it is counted now."""
        if not isinstance(self.period, str):
            return Window(f"budget:{self.name}:{share}", self.micro, self.period)
        key = f"budget:{self.name}:{_stamp(self.period, wall_ns // HOUR_NS)}:{share}"
        return Window(key, self.micro, _LENGTHS_S[self.period] + _SPARE_S, fixed=True)

    def left_s(self, wall_ns: int) -> float | None:
        """Seconds until a calendar's next period; None for a length in seconds."""
        if not isinstance(self.period, str):
            return None
        now = moment(wall_ns)
        return (_next(self.period, beginning(self.period, now)) - now).total_seconds()


class Claim(NamedTuple):
    """One budget that a call takes from, and what is to be known of it for an hour."""

    budget: BudgetOf
    share: str
    window: Window
    limit_usd: Decimal
    """The window's limit, as facts say it."""
    period: str
    """The budget's, as facts say it."""
    warn_micro: float
    """From here on a warning is given."""
    gauge: str | None
    """The budget's name, if all calls share it."""

    @classmethod
    def of(cls, budget: BudgetOf, share: str, hour: int) -> Claim:
        """For whoever has this share, in this hour since 1970: it is in one period only."""
        window = budget.window(share, hour * HOUR_NS)
        period = budget.period if isinstance(budget.period, str) else f"{budget.period:g} s"
        gauge = budget.name if budget.is_one else None
        return cls(budget, share, window, budget.micro / MICRO, period, budget.warn_at * window.limit, gauge)


class Claims(NamedTuple):
    """All budgets that a call takes from."""

    each: tuple[Claim, ...]
    windows: tuple[Window, ...]


class Purse:
    """Budgets, and the claims on them of the calls of an hour."""

    __slots__ = ("_known", "_plain", "budgets")

    def __init__(self, budgets: Sequence[BudgetOf]) -> None:
        self.budgets = tuple(budgets)
        self._plain: tuple[str | None, ...] | None = (
            ("",) * len(budgets) if all(budget.is_plain for budget in budgets) else None
        )
        """The shares, where they are the same for all calls."""
        self._known: dict[tuple[int, tuple[str | None, ...]], Claims] = {}
        """By hour and shares; at most a thousand."""

    def claims(self, call: Call) -> Claims:
        """What the call takes from; nothing if no budget is about it."""
        hour = call.state.clock.wall_ns() // HOUR_NS
        shares = self._plain or tuple([budget.share(call) for budget in self.budgets])
        return self._known.get((hour, shares)) or self._made(hour, shares)

    def _made(self, hour: int, shares: tuple[str | None, ...]) -> Claims:
        if len(self._known) >= _CLAIMS_KEPT:
            self._known.clear()
        each = tuple(
            Claim.of(budget, share, hour)
            for budget, share in zip(self.budgets, shares, strict=True)
            if share is not None
        )
        claims = self._known[hour, shares] = Claims(each, tuple(claim.window for claim in each))
        return claims


@lru_cache(maxsize=64)
def _stamp(period: Period, hour: int) -> str:
    """When the calendar's period began that this hour since 1970 is in."""
    return f"{beginning(period, moment(hour * HOUR_NS)):%Y-%m-%dT%H}"


def moment(wall_ns: int) -> datetime:
    """In UTC."""
    return datetime.fromtimestamp(wall_ns / 1e9, UTC)


def beginning(period: Period, now: datetime) -> datetime:
    """When the calendar's period began."""
    hour = now.replace(minute=0, second=0, microsecond=0)
    if period == "hour":
        return hour
    day = hour.replace(hour=0)
    if period == "week":
        return day - timedelta(days=day.weekday())
    if period == "month":
        return day.replace(day=1)
    return day if period == "day" else day.replace(month=1, day=1)


def _next(period: Period, begins: datetime) -> datetime:
    return beginning(period, begins + timedelta(seconds=_LENGTHS_S[period] + (1 if period in ("month", "year") else 0)))


def micro_of(amount: Decimal) -> int:
    """Whole micro-dollars, rounded up: nothing that costs is counted as nothing."""
    return ceil(times_usd(amount, MICRO))
