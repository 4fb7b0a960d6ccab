"""Extra requests (retries, hedges) as a share of all calls, so that trouble at a vendor does not multiply the load on it."""

from __future__ import annotations

import math
import threading
from decimal import Decimal
from typing import Generic, TypeVar

from .errors import ConfigError

Number = TypeVar("Number", int, Decimal)

_SLOTS = 10
"""A window moves on in so many steps."""


class Rolling(Generic[Number]):
    """A sum over the last `window_s` seconds, in constant space. Not for several threads at once."""

    __slots__ = ("_place", "_slot_ns", "_slots", "_sum", "_until_ns", "_zero")

    def __init__(self, window_s: float, zero: Number) -> None:
        self._slot_ns = max(1, int(window_s * 1e9) // _SLOTS)
        self._slots: list[Number] = [zero] * _SLOTS
        self._sum: Number = zero
        self._zero: Number = zero
        self._place = 0
        self._until_ns = 0
        """When the slot at `_place` is over."""

    def add(self, now_ns: int, amount: Number) -> None:
        """Add at this time; what is older than the last addition counts as now."""
        if now_ns >= self._until_ns:
            self._move(now_ns)
        self._slots[self._place] += amount
        self._sum += amount

    def total(self, now_ns: int) -> Number:
        """The sum of what was added within the window."""
        if now_ns >= self._until_ns:
            self._move(now_ns)
        return self._sum

    def _move(self, now_ns: int) -> None:
        passed = (now_ns - self._until_ns) // self._slot_ns + 1
        for _ in range(min(passed, _SLOTS)):
            self._place = (self._place + 1) % _SLOTS
            self._sum -= self._slots[self._place]
            self._slots[self._place] = self._zero
        self._until_ns += passed * self._slot_ns


class Allowance:
    """At most `share` extra requests for each call, and `floor_per_s` beside them, over a rolling window of this process.

    The floor is what programs with few calls live on. Safe from any thread.
    """

    __slots__ = ("_calls", "_extras", "_floor", "_lock", "_share")

    def __init__(self, share: float, floor_per_s: float, window_s: float) -> None:
        self._share = share
        self._floor = floor_per_s * window_s
        self._calls = Rolling(window_s, 0)
        self._extras = Rolling(window_s, 0)
        self._lock = threading.Lock()

    def count(self, now_ns: int) -> None:
        """A call has come: its share may be spent from now on."""
        with self._lock:
            self._calls.add(now_ns, 1)

    def take(self, now_ns: int) -> bool:
        """Whether one more extra request may be sent; it counts at once."""
        with self._lock:
            if self._extras.total(now_ns) + 1 > self._share * self._calls.total(now_ns) + self._floor:
                return False
            self._extras.add(now_ns, 1)
            return True


def check_allowance(stage: str, names: tuple[str, str, str], share: float, floor_per_s: float, window_s: float) -> None:
    """Raise `ConfigError` for what no allowance can be made of; `names` are the settings' names, in order."""
    for name, value in zip(names[:2], (share, floor_per_s), strict=True):
        if not 0 <= value < math.inf:
            raise ConfigError(f"{stage}.{name}: expected at least 0, found {value}.")
    if not 0 < window_s < math.inf:
        raise ConfigError(f"{stage}.{names[2]}: expected seconds above 0, found {window_s}.")
