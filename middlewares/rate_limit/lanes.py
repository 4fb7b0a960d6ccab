"""Calls that wait for room: in order, in bounded numbers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakKeyDictionary

from ...pipeline.errors import QueueFull


class Lanes:
    """A queue for each window: whoever stands at its head asks for room, the others wait behind. One process's; loops have their own."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._of: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, _Lane]] = WeakKeyDictionary()
        self.waiting = 0

    def is_waited_for(self, keys: list[str]) -> str | None:
        """The first of these windows that others wait for; whoever comes later stands behind them."""
        lanes = self._of.get(asyncio.get_running_loop())
        return next((key for key in keys if key in lanes), None) if lanes else None

    @asynccontextmanager
    async def place(self, key: str) -> AsyncIterator[None]:
        """Wait until one stands at the head; the next one is when the block ends, however it does. Raises `QueueFull`."""
        if self.waiting >= self._most:
            raise QueueFull(
                f"{self.waiting} calls wait for a rate limit already (max_waiting). Send fewer at once, or raise the limit.",
                retryable=True,
            )
        lanes = self._of.setdefault(asyncio.get_running_loop(), {})
        lane = lanes.setdefault(key, _Lane())
        lane.length += 1
        self.waiting += 1
        try:
            async with lane.head:
                yield
        finally:
            self.waiting -= 1
            lane.length -= 1
            if not lane.length:
                del lanes[key]


class _Lane:
    __slots__ = ("head", "length")

    def __init__(self) -> None:
        self.head = asyncio.Lock()  # first come, first served; who is cancelled leaves it
        self.length = 0
