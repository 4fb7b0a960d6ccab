"""Time, as the chain sees it: one object, so that tests can bring their own."""

from __future__ import annotations

import asyncio
import time
from contextlib import AbstractAsyncContextManager
from typing import Protocol


class TimeLimit(Protocol):
    """What tells a limit that ran out from a `TimeoutError` of somebody inside it."""

    def expired(self) -> bool:
        """Whether it ran out."""
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


class SystemClock:
    """The machine's own clocks."""

    __slots__ = ()

    now_ns = staticmethod(time.perf_counter_ns)
    wall_ns = staticmethod(time.time_ns)

    async def sleep(self, seconds: float) -> None:
        """Wait by the event loop's clock."""
        await asyncio.sleep(seconds)

    def limit(self, seconds: float) -> AbstractAsyncContextManager[TimeLimit]:
        """`asyncio.timeout`."""
        return asyncio.timeout(seconds)


SYSTEM_CLOCK: Clock = SystemClock()
