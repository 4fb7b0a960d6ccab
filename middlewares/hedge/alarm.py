"""Timers for many calls of which hardly any rings: one timer of the event loop stands for all of them."""

from __future__ import annotations

import asyncio
import itertools
import math
from heapq import heapify, heappop, heappush
from typing import Protocol

from ...pipeline.clock import Clock, Timer

_DEAD = 100
"""So many cancelled bells may lie about."""


class Bell(Protocol):
    """What rings once at its time, unless it is cancelled before; then it should hold nothing any more."""

    @property
    def cancelled(self) -> bool:
        """Whether it will not ring."""
        ...

    def ring(self) -> None:
        """It is time."""
        ...


class Alarm:
    """The bells of one event loop, by one clock."""

    __slots__ = ("_armed_ns", "_bells", "_dead", "_order", "_timer", "clock")

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self._bells: list[tuple[int, int, Bell]] = []
        self._dead = 0
        self._order = itertools.count()
        self._armed_ns: float = math.inf
        self._timer: Timer | None = None

    def set(self, due_ns: int, bell: Bell) -> None:
        """Ring it at this time of the clock."""
        heappush(self._bells, (due_ns, next(self._order), bell))
        if due_ns < self._armed_ns:
            self._arm(due_ns)

    def forget_one(self) -> None:
        """One of the bells is cancelled. When most are, they are thrown out, so that there are never many more than calls."""
        self._dead += 1
        if self._dead > _DEAD and self._dead * 2 > len(self._bells):
            self._bells = [entry for entry in self._bells if not entry[2].cancelled]
            heapify(self._bells)
            self._dead = 0

    def _arm(self, due_ns: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._armed_ns = due_ns
        self._timer = self.clock.call_later(max(0, due_ns - self.clock.now_ns()) / 1e9, self._ring)

    def _ring(self) -> None:
        now_ns = self.clock.now_ns()
        self._timer, self._armed_ns = None, math.inf
        while self._bells and (self._bells[0][0] <= now_ns or self._bells[0][2].cancelled):
            bell = heappop(self._bells)[2]
            if bell.cancelled:
                self._dead -= 1
            else:
                bell.ring()
        if self._bells and self._bells[0][0] < self._armed_ns:
            self._arm(self._bells[0][0])


class Alarms:
    """An alarm for each event loop."""

    __slots__ = ("_by_loop",)

    def __init__(self) -> None:
        self._by_loop: dict[asyncio.AbstractEventLoop, Alarm] = {}

    def of(self, clock: Clock) -> Alarm:
        """The running loop's."""
        loop = asyncio.get_running_loop()
        alarm = self._by_loop.get(loop)
        if alarm is None or alarm.clock is not clock:
            self._by_loop = {other: kept for other, kept in self._by_loop.items() if not other.is_closed()}
            alarm = self._by_loop[loop] = Alarm(clock)
        return alarm
