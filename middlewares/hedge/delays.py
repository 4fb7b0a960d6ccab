"""How long answers take, observed in a bounded window for each target: when one is slow enough to ask again."""

from __future__ import annotations

import threading
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Hashable
from math import ceil

_MOST_TARGETS = 256
"""Targets whose times are kept; the one that came first goes first, and begins anew when it comes again."""


class Times:
    """The last times of one target, and after how long an answer of it is slow. Safe from any thread."""

    __slots__ = ("_by_size", "_fewest", "_lock", "_most", "_quantile", "_recent", "slow_s")

    def __init__(self, quantile: float, most: int, fewest: int) -> None:
        self._quantile = quantile
        self._most = most
        self._fewest = fewest
        self._recent: deque[float] = deque()
        self._by_size: list[float] = []
        self._lock = threading.Lock()
        self.slow_s: float | None = None
        """The quantile of the last times; None while too few are known."""

    def note(self, seconds: float) -> None:
        """An answer took so long; one that was not waited for, at least so long."""
        with self._lock:
            by_size = self._by_size
            if len(self._recent) == self._most:
                del by_size[bisect_left(by_size, self._recent.popleft())]
            self._recent.append(seconds)
            insort(by_size, seconds)
            size = len(by_size)
            if size >= self._fewest:
                self.slow_s = by_size[ceil(self._quantile * size) - 1]


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
