"""The places of one pool: taken, waited for in order, given back from any thread."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from typing import NamedTuple

from ...pipeline.call import Call
from ...pipeline.errors import QueueFull

_SAMPLES = 1000


class PoolStats(NamedTuple):
    """A pool now."""

    name: str
    size: int
    in_use: int
    waiting: int
    queue: int
    """Calls that may wait at once."""
    served: int
    """Calls that had a place and gave it back."""
    refused: int
    """Calls for which there was no room in the queue."""
    timed_out: int
    """Calls that waited in vain."""

    @property
    def utilisation(self) -> float:
        """Places in use, as a share of all; more than 1 for a while after it was made smaller."""
        return self.in_use / self.size

    @property
    def pressure(self) -> float:
        """0 idle, 0.5 all places in use and nobody waiting, 1 the queue full: half of the utilisation and half of the queue's share."""
        waiting = self.waiting / self.queue if self.queue else float(self.in_use >= self.size)
        return min(1.0, self.utilisation) / 2 + waiting / 2


class PoolReport(NamedTuple):
    """How a pool has done: over the last thousand calls."""

    stats: PoolStats
    wait_p50_s: float
    wait_p95_s: float
    service_p50_s: float
    service_p95_s: float
    calls_per_s: float

    def __str__(self) -> str:
        stats = self.stats
        return (
            f"{stats.name}: {stats.in_use} of {stats.size} in use, {stats.waiting} waiting, pressure {stats.pressure:.0%}; "
            f"{stats.served} served ({self.calls_per_s:.1f}/s), {stats.refused} refused, {stats.timed_out} timed out; "
            f"waits p50 {self.wait_p50_s * 1000:.1f} ms, p95 {self.wait_p95_s * 1000:.1f} ms; "
            f"service p50 {self.service_p50_s * 1000:.1f} ms, p95 {self.service_p95_s * 1000:.1f} ms"
        )


class _Done(NamedTuple):
    ended_ns: int
    waited_ns: int
    served_ns: int


class _Waiter(NamedTuple):
    loop: asyncio.AbstractEventLoop
    place: asyncio.Future[None]


class Places:
    """At most `size` calls have a place; the others wait, first come, first served. All threads and event loops of a process share it."""

    def __init__(self, name: str, size: int, queue: int) -> None:
        self.name = name
        self.draining = False
        self._size = size
        self._queue = queue
        self._lock = threading.Lock()
        self._in_use = 0
        self._waiters: deque[_Waiter] = deque()
        self._served = self._refused = self._timed_out = 0
        self._last: deque[_Done] = deque(maxlen=_SAMPLES)

    async def enter(self, call: Call, timeout_s: float) -> float:
        """Seconds that the call waited for its place. Raises `QueueFull` if there is none in time, or the queue is full."""
        if self.draining:
            raise QueueFull(f"The pool {self.name!r} is drained, and lets no call in.")
        with self._lock:
            if self._in_use < self._size and not self._waiters:
                self._in_use += 1
                return 0.0
            if len(self._waiters) >= self._queue:
                self._refused += 1
                raise QueueFull(
                    f"The pool {self.name!r} has its {self._size} places in use, and {self._queue} calls wait already. "
                    "Send fewer at once, or make it larger (size, queue).",
                    retryable=True,
                )
            loop = asyncio.get_running_loop()
            waiter = _Waiter(loop, loop.create_future())
            self._waiters.append(waiter)
        return await self._waited(call, waiter, timeout_s)

    async def _waited(self, call: Call, waiter: _Waiter, timeout_s: float) -> float:
        began_ns = call.clock.now_ns()
        left_s = call.remaining_s()
        patience_s = timeout_s if left_s is None else min(timeout_s, left_s)
        try:
            async with call.clock.limit(patience_s) as limit:
                await waiter.place
        except BaseException as error:
            self._leave_queue(waiter)
            if not isinstance(error, TimeoutError) or not limit.expired():
                raise
            with self._lock:
                self._timed_out += 1
            raise QueueFull(
                f"The pool {self.name!r} had no place within {patience_s:g} s ({self._size} in use). Make it larger, or let calls wait longer.",
                retryable=True,
            ) from None
        return (call.clock.now_ns() - began_ns) / 1e9

    def leave(self, now_ns: int, waited_s: float, served_ns: int) -> None:
        """A call has ended: its place is the next one's."""
        with self._lock:
            self._served += 1
            self._last.append(_Done(now_ns, int(waited_s * 1e9), served_ns))
        self._hand_on()

    def resize(self, size: int) -> None:
        """Another number of places from now on; who has one keeps it."""
        with self._lock:
            more = max(0, size - max(self._size, self._in_use))
            self._size = size
        for _ in range(more):
            with self._lock:
                if not self._waiters or self._in_use >= self._size:
                    return
                self._in_use += 1
            self._hand_on()

    def stats(self) -> PoolStats:
        """Now."""
        with self._lock:
            return PoolStats(
                self.name, self._size, self._in_use, len(self._waiters), self._queue, self._served, self._refused,
                self._timed_out,
            )  # fmt: skip

    def report(self) -> PoolReport:
        """Over the last thousand calls."""
        stats = self.stats()
        last = list(self._last)
        span_s = (last[-1].ended_ns - (last[0].ended_ns - last[0].served_ns)) / 1e9 if last else 0.0
        waits, served = [sorted(each) for each in ([d.waited_ns for d in last], [d.served_ns for d in last])]
        return PoolReport(
            stats,
            wait_p50_s=_quantile(waits, 0.5) / 1e9,
            wait_p95_s=_quantile(waits, 0.95) / 1e9,
            service_p50_s=_quantile(served, 0.5) / 1e9,
            service_p95_s=_quantile(served, 0.95) / 1e9,
            calls_per_s=len(last) / span_s if span_s > 0 else 0.0,
        )

    def _hand_on(self) -> None:
        """A place is free: the first in the queue has it, unless there are more places in use than there should be."""
        with self._lock:
            waiter = self._waiters.popleft() if self._waiters and self._in_use <= self._size else None
            if waiter is None:
                self._in_use -= 1
                return
        try:
            waiter.loop.call_soon_threadsafe(self._give, waiter)
        except RuntimeError:  # its event loop has ended: it will never come
            self._hand_on()

    def _give(self, waiter: _Waiter) -> None:
        if waiter.place.done():  # it has gone away meanwhile
            self._hand_on()
        else:
            waiter.place.set_result(None)

    def _leave_queue(self, waiter: _Waiter) -> None:
        with self._lock:
            if waiter in self._waiters:
                self._waiters.remove(waiter)
                return
        if waiter.place.done() and not waiter.place.cancelled():
            self._hand_on()  # it was given a place in the moment in which it went away
        else:
            waiter.place.cancel()  # the place that is on its way goes on to the next one


def _quantile(ordered: list[int], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0
