"""One budget, as it is written, and its windows."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from math import ceil, inf
from typing import Literal, NamedTuple, get_args

from ...pipeline.errors import ConfigError
from ...pipeline.pricing import times_usd, usd
from ...pipeline.scope import Scope
from ...stores import Window

Period = Literal["hour", "day", "week", "month", "year"]

MICRO = Decimal(1_000_000)
"""Micro-dollars of a dollar: what is counted."""

_DAY_S = 86_400.0
HOUR_NS = 3_600_000_000_000
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
    """What a call takes from one budget."""

    budget: BudgetOf
    share: str
    window: Window
    limit_usd: Decimal
    """The window's limit, as facts say it."""


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
