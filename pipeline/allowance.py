"""Extra requests (retries, hedges) as a share of all calls, so that trouble at a vendor does not multiply the load on it."""

from __future__ import annotations

import math
import threading
from decimal import Decimal

from .errors import ConfigError

_SLOTS = 10
"""A window moves on in so many steps."""


class _Window:
    """The last `window_s` seconds in `_SLOTS` slots, of which the one at `_place` is filled now. Constant space."""

    __slots__ = ("_lock", "_place", "_slot_ns", "_until_ns")

    def __init__(self, window_s: float) -> None:
        self._slot_ns = max(1, int(window_s * 1e9) // _SLOTS)
        self._place = 0
        self._until_ns = 0
        """When the slot at `_place` is over."""
        self._lock = threading.Lock()

    def _move(self, now_ns: int) -> None:
        """To the slot of this time; the slots passed are empty."""
        passed = (now_ns - self._until_ns) // self._slot_ns + 1
        for _ in range(min(passed, _SLOTS)):
            self._place = (self._place + 1) % _SLOTS
            self._clear(self._place)
        self._until_ns += passed * self._slot_ns

    def _clear(self, place: int) -> None:
        raise NotImplementedError


class Allowance(_Window):
    """At most `share` extra requests for each call, and `floor_per_s` beside them, over a rolling window of this process.

    The floor is what programs with few calls live on. Safe from any thread.
    """

    __slots__ = ("_calls", "_extras", "_floor", "_share")

    def __init__(self, share: float, floor_per_s: float, window_s: float) -> None:
        super().__init__(window_s)
        self._share = share
        self._floor = floor_per_s * window_s
        self._calls = [0] * _SLOTS
        self._extras = [0] * _SLOTS

    def count(self, now_ns: int) -> None:
        """A call has come: its share may be spent from now on."""
        with self._lock:
            if now_ns >= self._until_ns:
                self._move(now_ns)
            self._calls[self._place] += 1

    def take(self, now_ns: int) -> bool:
        """Whether one more extra request may be sent; it counts at once."""
        with self._lock:
            if now_ns >= self._until_ns:
                self._move(now_ns)
            if sum(self._extras) + 1 > self._share * sum(self._calls) + self._floor:
                return False
            self._extras[self._place] += 1
            return True

    def _clear(self, place: int) -> None:
        self._calls[place] = self._extras[place] = 0


class Money(_Window):
    """At most `most_usd` over a rolling window of this process: taken before, corrected after. Safe from any thread."""

    __slots__ = ("_most_usd", "_spent")

    def __init__(self, most_usd: Decimal, window_s: float) -> None:
        super().__init__(window_s)
        self._most_usd = most_usd
        self._spent = [Decimal(0)] * _SLOTS

    def take(self, now_ns: int, usd: Decimal) -> bool:
        """Whether there is so much left; it counts at once."""
        with self._lock:
            if now_ns >= self._until_ns:
                self._move(now_ns)
            if sum(self._spent) + usd > self._most_usd:
                return False
            self._spent[self._place] += usd
            return True

    def correct(self, now_ns: int, by_usd: Decimal) -> None:
        """It was so much more, or less, than was taken."""
        with self._lock:
            if now_ns >= self._until_ns:
                self._move(now_ns)
            self._spent[self._place] += by_usd

    def _clear(self, place: int) -> None:
        self._spent[place] = Decimal(0)


def check_allowance(stage: str, names: tuple[str, str, str], share: float, floor_per_s: float, window_s: float) -> None:
    """Raise `ConfigError` for what no allowance can be made of; `names` are the settings' names, in order."""
    for name, value in zip(names[:2], (share, floor_per_s), strict=True):
        if not 0 <= value < math.inf:
            raise ConfigError(f"{stage}.{name}: expected at least 0, found {value}.")
    if not 0 < window_s < math.inf:
        raise ConfigError(f"{stage}.{names[2]}: expected seconds above 0, found {window_s}.")
