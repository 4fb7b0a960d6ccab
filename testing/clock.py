"""A clock that only moves when told to, or when everybody sleeps."""

from __future__ import annotations

import asyncio
import contextvars
import heapq
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..pipeline.clock import TimeLimit, Timer

_QUIET_TICKS = 25
"""Rounds of the event loop without news after which everybody is taken to be asleep."""

_BEGIN_NS = 1_000_000_000
"""No clock of a machine that runs stands at 0, and a frame that ended at 0 would be taken for one that runs on."""


@dataclass(order=True, slots=True)
class _Waiter:
    until_ns: int
    order: int
    wake: Callable[[], object] = field(compare=False)
    sleeper: bool = field(compare=False)
    gone: bool = field(default=False, compare=False)

    def cancel(self) -> None:
        """Let it not wake, and let go of what it would have woken: it may lie here for long."""
        self.gone = True
        self.wake = _nothing


class FakeClock:
    """A `Clock` for tests: `sleep` returns as soon as nothing else is left to do, and time has moved by exactly that much.

    `tick_ns`: how far each look at the clock moves it, so that work takes time too. `start_s`: wall time at the beginning,
    seconds since 1970. One per test; not for several event loops.
    """

    def __init__(self, *, tick_ns: int = 0, start_s: int = 1_750_000_000) -> None:
        self._now_ns = _BEGIN_NS
        self._tick_ns = tick_ns
        self._start_ns = start_s * 1_000_000_000
        self._order = itertools.count()
        self._waiting: list[_Waiter] = []
        self._pumping = False
        self._news = 0

    def now_ns(self) -> int:
        """Monotonic nanoseconds."""
        self._now_ns += self._tick_ns
        return self._now_ns

    def wall_ns(self) -> int:
        """Nanoseconds since 1970."""
        return self._start_ns + self._now_ns - _BEGIN_NS

    @property
    def slept_s(self) -> float:
        """Seconds that have passed on this clock."""
        return (self._now_ns - _BEGIN_NS) / 1e9

    def advance(self, seconds: float) -> None:
        """Let time pass: wakes who slept until then, and fires limits that are over."""
        self._advance_to(self._now_ns + int(seconds * 1e9))

    async def sleep(self, seconds: float) -> None:
        """Wait on this clock; takes no real time."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        woken = asyncio.get_running_loop().create_future()
        waiter = self._wait(seconds, lambda: _wake(woken), sleeper=True)
        self._pump()
        try:
            await woken
        finally:
            waiter.cancel()

    def limit(self, seconds: float) -> AbstractAsyncContextManager[TimeLimit]:
        """A block that raises `TimeoutError` when `seconds` of this clock are over."""
        return self._limit(seconds)

    @asynccontextmanager
    async def _limit(self, seconds: float) -> AsyncIterator[TimeLimit]:
        async with asyncio.timeout(None) as timeout:
            waiter = self._wait(seconds, lambda: timeout.reschedule(0), sleeper=False)
            try:
                yield timeout
            finally:
                waiter.cancel()

    def call_later(self, seconds: float, callback: Callable[[], object]) -> Timer:
        """Run `callback` when `seconds` of this clock are over. Nobody's time passes for its sake alone."""
        context = contextvars.copy_context()
        return self._wait(seconds, lambda: context.run(callback), sleeper=False)

    def _wait(self, seconds: float, wake: Callable[[], object], *, sleeper: bool) -> _Waiter:
        self._news += 1
        waiter = _Waiter(self._now_ns + int(seconds * 1e9), next(self._order), wake, sleeper)
        heapq.heappush(self._waiting, waiter)
        return waiter

    def _advance_to(self, until_ns: int) -> None:
        while self._waiting and self._waiting[0].until_ns <= until_ns:
            waiter = heapq.heappop(self._waiting)
            if not waiter.gone:
                self._now_ns = max(self._now_ns, waiter.until_ns)
                waiter.wake()
        self._now_ns = max(self._now_ns, until_ns)

    def _pump(self) -> None:
        if not self._pumping:
            self._pumping = True
            asyncio.get_running_loop().call_soon(self._when_quiet, _QUIET_TICKS, self._news)

    def _when_quiet(self, ticks: int, news: int) -> None:
        loop = asyncio.get_running_loop()
        if news != self._news:
            loop.call_soon(self._when_quiet, _QUIET_TICKS, self._news)
        elif ticks:
            loop.call_soon(self._when_quiet, ticks - 1, news)
        else:
            self._pumping = False
            self._wake_next()

    def _wake_next(self) -> None:
        while self._waiting and self._waiting[0].gone:
            heapq.heappop(self._waiting)
        if any(waiter.sleeper and not waiter.gone for waiter in self._waiting):
            self._advance_to(self._waiting[0].until_ns)
            self._pump()


def _nothing() -> None: ...


def _wake(woken: asyncio.Future[None]) -> None:
    if not woken.done():
        woken.set_result(None)
