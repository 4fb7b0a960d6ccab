"""Time limits of blocks, like `asyncio.timeout`, at a quarter of its price.

Nearly every limit is lifted long before it is over, so that a timer of its own in the event loop's heap is wasted on it. Here
all limits of a loop share one timer, which is set for the nearest of them that was known when it was set.
"""

from __future__ import annotations

import asyncio
import contextvars
import math
import threading
import time
from types import TracebackType
from typing import Self


class Limit:
    """A block that is cancelled, and raises `TimeoutError`, when `seconds` are over. For one use."""

    __slots__ = ("_cancelling", "_expired", "_seconds", "_task", "_watch", "until_s")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._expired = False

    def expired(self) -> bool:
        """Whether it ran out."""
        return self._expired

    async def __aenter__(self) -> Self:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("A time limit needs a task to cancel. Run this in one.")
        self._task = task
        self._cancelling = task.cancelling()
        watch = self._watch = _watch()
        self.until_s = until_s = watch.now_s() + self._seconds
        watch.limits[self] = None
        if until_s < watch.due_s:
            watch.ring_at(until_s)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._watch.limits.pop(self, None)
        if self._expired and self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def expire(self) -> None:
        """The time is over."""
        self._expired = True
        self._task.cancel()


class _Watch:
    """The limits of one event loop that hold now."""

    __slots__ = ("_context", "_timer", "due_s", "limits", "loop", "now_s")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        # the monotonic clock, as the loop says itself where it is asyncio's own
        self.now_s = time.monotonic if type(loop).time is asyncio.BaseEventLoop.time else loop.time
        self.limits: dict[Limit, None] = {}
        self.due_s = math.inf
        self._timer: asyncio.TimerHandle | None = None
        # empty, so that the timer keeps nothing of whoever set it; the loop's own, for no two threads may be in one context
        self._context = contextvars.Context()

    def ring_at(self, due_s: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self.due_s = due_s
        self._timer = self.loop.call_at(due_s, self._ring, context=self._context)

    def _ring(self) -> None:
        now_s, self._timer, self.due_s = self.now_s(), None, math.inf
        over = [limit for limit in self.limits if limit.until_s <= now_s]
        for limit in over:
            del self.limits[limit]
            limit.expire()
        if self.limits:
            self.ring_at(min(limit.until_s for limit in self.limits))


class _Here(threading.local):
    watch: _Watch | None = None


_here = _Here()


def _watch() -> _Watch:
    """Of the loop that runs in this thread."""
    loop = asyncio.get_running_loop()
    watch = _here.watch
    if watch is None or watch.loop is not loop:
        watch = _here.watch = _Watch(loop)
    return watch
