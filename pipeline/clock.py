"""Time, as the chain sees it: one object, so that tests can bring their own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from .limits import Limit


class TimeLimit(Protocol):
    """What tells a limit that ran out from a `TimeoutError` of somebody inside it."""

    def expired(self) -> bool:
        """Whether it ran out."""
        ...


class Timer(Protocol):
    """What will happen later, unless it is cancelled."""

    def cancel(self) -> object:
        """Let it not happen. Nothing if it has."""
        ...


class Clock(Protocol):
    """Monotonic nanoseconds, the wall, waiting, and a time limit that raises `TimeoutError`."""

    def now_ns(self) -> int:
        """Monotonic nanoseconds; only differences mean something."""
        ...

    def wall_ns(self) -> int:
        """Nanoseconds since 1970, for timestamps that leave the process."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait; cancellable."""
        ...

    def limit(self, seconds: float) -> AbstractAsyncContextManager[TimeLimit]:
        """A block that is cancelled, and raises `TimeoutError`, when `seconds` are over."""
        ...

    def call_later(self, seconds: float, callback: Callable[[], object]) -> Timer:
        """Run `callback` on the current event loop, in the current context, when `seconds` are over."""
        ...


class SystemClock:
    """The machine's own clocks."""

    __slots__ = ()

    now_ns = staticmethod(time.perf_counter_ns)
    wall_ns = staticmethod(time.time_ns)

    async def sleep(self, seconds: float) -> None:
        """Wait by the event loop's clock."""
        await asyncio.sleep(seconds)

    def limit(self, seconds: float) -> AbstractAsyncContextManager[TimeLimit]:
        """By the event loop's clock."""
        return Limit(seconds)

    def call_later(self, seconds: float, callback: Callable[[], object]) -> Timer:
        """The event loop's own."""
        return asyncio.get_running_loop().call_later(seconds, callback)


SYSTEM_CLOCK: Clock = SystemClock()
