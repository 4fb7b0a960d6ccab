"""Work that is done off the call's path: a bounded queue in front of functions that may be slow, may fail, and may never hurt a call."""

from __future__ import annotations

import asyncio
import inspect
import itertools
import logging
import queue
import threading
import time
import weakref
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Literal, NamedTuple

logger = logging.getLogger("glassway")

DeliveryOutcome = Literal["delivered", "failed", "dropped"]
Sink = Callable[[Any], object]
"""A plain function, or an async one."""


class _Tally:
    """A counter that threads may share: `itertools.count` is atomic where `+=` is not."""

    def __init__(self) -> None:
        self._next = itertools.count(1)
        self.value = 0

    def add(self) -> None:
        self.value = next(self._next)


_tallies: dict[DeliveryOutcome, _Tally] = {"delivered": _Tally(), "failed": _Tally(), "dropped": _Tally()}
_live: weakref.WeakSet[Deliverer] = weakref.WeakSet()


class DeliveryCounts(NamedTuple):
    """Events of this process so far, over all queues. Every event ends in exactly one of them or is `waiting`."""

    delivered: int
    failed: int
    dropped: int
    waiting: int


def delivery_counts() -> DeliveryCounts:
    """For metrics and health."""
    waiting = sum(deliverer.waiting for deliverer in tuple(_live))
    return DeliveryCounts(_tallies["delivered"].value, _tallies["failed"].value, _tallies["dropped"].value, waiting)


class Deliverer:
    """Two bounded queues: plain functions run in one background thread, async ones on the event loop that handed them in.

    `offer` never waits and never raises: with a full queue the event is dropped and counted.
    """

    def __init__(self, limit: int) -> None:
        """`limit`: the most events that wait in each queue."""
        self._plain: queue.Queue[tuple[Sink, Any] | None] = queue.Queue(limit)
        self._limit = limit
        self._loops: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _LoopQueue] = weakref.WeakKeyDictionary()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        _live.add(self)

    @property
    def waiting(self) -> int:
        """Events handed in and not yet delivered."""
        return self._plain.unfinished_tasks + sum(loop.waiting for loop in tuple(self._loops.values()))

    def offer(self, sink: Sink, event: Any, loop: asyncio.AbstractEventLoop) -> None:
        """Hand in one event for one function, from any thread. Async functions run on `loop`."""
        accepted = self._offer_async(sink, event, loop) if is_async(sink) else self._offer_plain(sink, event)
        if not accepted:
            _tallies["dropped"].add()

    async def flush(self, limit_s: float) -> bool:
        """Wait until everything was delivered, at most `limit_s` of real time; whether it was. May be called from any loop."""
        deadline = time.monotonic() + limit_s
        while self.waiting and time.monotonic() < deadline:
            await asyncio.sleep(0.005)
        return not self.waiting

    def close(self) -> None:
        """Drop what still waits, counted, and end the thread."""
        with self._lock:
            self._drain()
            if self._thread is not None:
                self._plain.put(None)
                self._thread = None
        for loop in tuple(self._loops.values()):
            loop.drop()

    def _offer_plain(self, sink: Sink, event: Any) -> bool:
        if self._thread is None or not self._thread.is_alive():  # not alive: we are the child of a fork
            self._start()
        try:
            self._plain.put_nowait((sink, event))
        except queue.Full:
            return False
        return True

    def _offer_async(self, sink: Sink, event: Any, loop: asyncio.AbstractEventLoop) -> bool:
        waiting = self._loops.get(loop)
        if waiting is None:
            waiting = self._loops[loop] = _LoopQueue(self._limit)
        return waiting.offer(sink, event, loop)

    def _start(self) -> None:
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=_work, args=(self._plain,), name="glassway-delivery", daemon=True)
                self._thread.start()

    def _drain(self) -> None:
        try:
            while True:
                self._plain.get_nowait()
                self._plain.task_done()
                _tallies["dropped"].add()
        except queue.Empty:
            return


class _LoopQueue:
    """Async functions' events of one event loop, delivered one after the other by one task."""

    def __init__(self, limit: int) -> None:
        self._events: deque[tuple[Sink, Any]] = deque()
        self._limit = limit
        self._task: asyncio.Task[None] | None = None
        self._busy = 0

    @property
    def waiting(self) -> int:
        return len(self._events) + self._busy

    def offer(self, sink: Sink, event: Any, loop: asyncio.AbstractEventLoop) -> bool:
        if len(self._events) >= self._limit or loop.is_closed():
            return False
        self._events.append((sink, event))
        loop.call_soon_threadsafe(self._wake, loop)
        return True

    def _wake(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._events and (self._task is None or self._task.done()):
            self._task = loop.create_task(self._work())

    def drop(self) -> None:
        while self._events:
            self._events.popleft()
            _tallies["dropped"].add()

    async def _work(self) -> None:
        while self._events:
            sink, event = self._events.popleft()
            self._busy = 1
            try:
                result = sink(event)
                if isinstance(result, Awaitable):
                    await result
                _tallies["delivered"].add()
            except asyncio.CancelledError:  # the loop is being shut down under us
                _tallies["dropped"].add()
                self.drop()
                raise
            except Exception:
                _failed(sink)
            finally:
                self._busy = 0


def is_async(sink: Sink) -> bool:
    """Whether calling it gives something to await."""
    return inspect.iscoroutinefunction(sink) or inspect.iscoroutinefunction(getattr(sink, "__call__", None))  # noqa: B004 - an object whose __call__ is async


def _work(events: queue.Queue[tuple[Sink, Any] | None]) -> None:
    while (item := events.get()) is not None:
        sink, event = item
        try:
            sink(event)
            _tallies["delivered"].add()
        except Exception:
            _failed(sink)
        finally:
            events.task_done()
    events.task_done()


def _failed(sink: Sink) -> None:
    _tallies["failed"].add()
    logger.exception("A callback raised (%s); calls go on.", getattr(sink, "__qualname__", type(sink).__name__))
