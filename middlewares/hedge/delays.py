"""How long answers take, observed in a bounded window for each target: when one is slow enough to ask again."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Hashable
from math import ceil

_EVERY = 50
"""Answers after which the quantile is looked at anew."""

_MOST_TARGETS = 256
"""Targets whose times are kept; the one that came first goes first, and begins anew when it comes again."""


class Times:
    """The last times of one target, and after how long an answer of it is slow. Safe from any thread."""

    __slots__ = ("_count", "_fewest", "_last", "_lock", "_quantile", "slow_s")

    def __init__(self, quantile: float, most: int, fewest: int) -> None:
        self._quantile = quantile
        self._fewest = fewest
        self._last: deque[float] = deque(maxlen=most)
        self._count = 0
        self._lock = threading.Lock()
        self.slow_s: float | None = None
        """The quantile of the last times, as it was a few answers ago; None while too few are known."""

    def note(self, seconds: float) -> None:
        """An answer took so long; one that was not waited for, at least so long."""
        with self._lock:
            self._last.append(seconds)
            self._count += 1
            if self._count == self._fewest or (self._count % _EVERY == 0 and self._count > self._fewest):
                by_size = sorted(self._last)
                self.slow_s = by_size[ceil(self._quantile * len(by_size)) - 1]


class Delays:
    """The times of each target. Safe from any thread."""

    __slots__ = ("_lock", "_settings", "_targets")

    def __init__(self, quantile: float, most: int, fewest: int) -> None:
        """`most` times are kept for each target; with less than `fewest` there is no quantile."""
        self._settings = quantile, most, fewest
        self._targets: dict[Hashable, Times] = {}
        self._lock = threading.Lock()

    def of(self, target: Hashable) -> Times:
        """Its times so far."""
        times = self._targets.get(target)
        return self._first(target) if times is None else times

    def _first(self, target: Hashable) -> Times:
        with self._lock:
            if len(self._targets) >= _MOST_TARGETS:
                del self._targets[next(iter(self._targets))]
            return self._targets.setdefault(target, Times(*self._settings))
