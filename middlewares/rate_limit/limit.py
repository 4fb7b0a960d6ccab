"""One limit, as it is written."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

from ...pipeline.call import Call
from ...pipeline.errors import ConfigError
from ...pipeline.scope import Scope
from ...stores import Window

Unit = Literal["requests", "tokens"]

_new_tuple = tuple.__new__  # half the time of a named tuple's own constructor

_UNITS: tuple[Unit, ...] = ("requests", "tokens")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit(Scope):
    """At most so many `requests` and `tokens` (prompt and output) in any `per_s` seconds, for whom `per` says."""

    requests: int | None = None
    tokens: int | None = None
    per_s: float = 60.0

    def __post_init__(self) -> None:
        for unit in _UNITS:
            most = getattr(self, unit)
            if most is not None and (isinstance(most, bool) or not isinstance(most, int) or not 0 <= most < 2**53):
                raise ConfigError(f"Limit.{unit}: expected a whole number from 0, found {most!r}.")
        if self.requests is None and self.tokens is None:
            raise ConfigError("Limit: expected requests or tokens, found neither. Say how many may pass.")
        if not isinstance(self.per_s, (int, float)) or not 0 < self.per_s < math.inf:
            raise ConfigError(f"Limit.per_s: expected seconds above 0, found {self.per_s!r}.")
        per = "function" if callable(self.per) else self.per if isinstance(self.per, str) else "+".join(self.per)
        about = "".join(f" {one}" for one in (self.tenant, self.model) if one is not None)
        self.prepare("Limit", f"{per}/{self.per_s:g}s{about}")


class Bound(NamedTuple):
    """One window of a limit, for those who share it."""

    limit: Limit
    unit: Unit
    window: Window


class Claims(NamedTuple):
    """What a call takes: from each bound's window an amount."""

    bounds: tuple[Bound, ...]
    windows: tuple[Window, ...]
    amounts: tuple[int, ...]

    def __add__(self, other: Claims) -> Claims:  # type: ignore[override]  # of what they hold, not of what they are
        return Claims(self.bounds + other.bounds, self.windows + other.windows, self.amounts + other.amounts)

    @property
    def none(self) -> tuple[int, ...]:
        """Amounts that only look."""
        return (0,) * len(self.windows)


NO_CLAIMS = Claims((), (), ())


class Windows:
    """The windows of one limit, by whose they are: made once for each, and the last thousand kept at hand."""

    __slots__ = ("_known", "_plain", "limit")

    def __init__(self, limit: Limit) -> None:
        self.limit = limit
        self._plain = limit.is_plain
        self._known: dict[str, tuple[tuple[Bound, ...], tuple[Window, ...]]] = {}

    def claims(self, call: Call, tokens: int) -> Claims:
        """What the call takes; nothing if the limit is not about it."""
        limit = self.limit
        share = "" if self._plain else limit.share(call)
        if share is None:
            return NO_CLAIMS
        known = self._known.get(share)
        if known is None:
            if len(self._known) >= _AT_HAND:
                self._known.clear()
            bounds = self.bounds(share)
            known = self._known[share] = (bounds, tuple(bound.window for bound in bounds))
        if limit.tokens is None:
            amounts: tuple[int, ...] = (1,)
        else:
            amounts = (tokens,) if limit.requests is None else (1, tokens)
        return _new_tuple(Claims, (*known, amounts))

    def bounds(self, share: str) -> tuple[Bound, ...]:
        """One for each unit, requests first."""
        limit = self.limit
        return tuple(
            Bound(limit, unit, Window(f"rate:{limit.name}:{unit}:{share}", most, limit.per_s))
            for unit in _UNITS
            if (most := getattr(limit, unit)) is not None
        )


_AT_HAND = 1000
