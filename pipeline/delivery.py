"""Work that is done off the call's path: a bounded queue in front of functions that may be slow, may fail, and may never hurt a call."""

from __future__ import annotations

import asyncio
import inspect
import itertools
import logging
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
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


class Recipient(NamedTuple):
    """A sink, and whether calling it gives something to await. Found out once, not once an event."""

    sink: Sink
    awaits: bool

    @classmethod
    def of(cls, sink: Sink) -> Recipient:
        """An object whose `__call__` is async counts as async."""
        method = getattr(sink, "__call__", None)  # noqa: B004 - the method itself is asked for
        return cls(sink, inspect.iscoroutinefunction(sink) or inspect.iscoroutinefunction(method))


class Deliverer:
    """Two bounded queues: plain functions run in one background thread, async ones on the event loop that handed them in.

    `offer` never waits and never raises: with a full queue the event is dropped and counted.
    """

    def __init__(self, limit: int) -> None:
        """`limit`: the most events that wait in each queue."""
        self._limit = limit
        self._thread = self._new_thread()
        self._loops: dict[asyncio.AbstractEventLoop, _LoopQueue] = {}
        _live.add(self)

    @property
    def waiting(self) -> int:
        """Events handed in and not yet delivered."""
        self._give_up_closed()
        return self._thread.waiting + sum(loop.waiting for loop in tuple(self._loops.values()))

    def offer(self, recipient: Recipient, event: Any, loop: asyncio.AbstractEventLoop) -> None:
        """Hand in one event for one function, from any thread. Async functions run on `loop`."""
        accepted = (
            self._queue_of(loop).offer(recipient.sink, event, loop)
            if recipient.awaits
            else self._thread.offer(recipient.sink, event)
        )
        if not accepted:
            _tallies["dropped"].add()

    async def flush(self, limit_s: float) -> bool:
        """Wait until everything was delivered, at most `limit_s` of real time; whether it was. May be called from any loop."""
        deadline = time.monotonic() + limit_s
        while self.waiting and time.monotonic() < deadline:  # noqa: ASYNC110 - a thread, and other loops, deliver
            await asyncio.sleep(0.002)
        return not self.waiting

    def close(self) -> None:
        """Drop what still waits, counted, and end the thread."""
        self._thread.close()
        for loop in tuple(self._loops.values()):
            loop.drop()

    def _queue_of(self, loop: asyncio.AbstractEventLoop) -> _LoopQueue:
        waiting = self._loops.get(loop)
        if waiting is None:
            self._give_up_closed()
            waiting = self._loops[loop] = _LoopQueue(self._limit)
        return waiting

    def _give_up_closed(self) -> None:
        """Nobody will run what a closed loop still holds."""
        for loop, waiting in tuple(self._loops.items()):
            if loop.is_closed():
                waiting.drop()
                self._loops.pop(loop, None)

    def forget(self) -> None:
        """In a forked child: the thread and the loops are gone, and what waited is the parent's to deliver."""
        self._thread = self._new_thread()
        self._loops = {}

    def _new_thread(self) -> _ThreadQueue:
        """Whoever is dropped without being closed leaves no thread behind."""
        thread = _ThreadQueue(self._limit)
        weakref.finalize(self, thread.end).atexit = False
        return thread


_PAUSE_S = 0.001
"""How long the thread lets events gather: waking it for each one would cost the call more than the event does; and so would events
that lie about for longer, for what is freed late is not in the processor's cache any more.
"""

_KEPT = 64
"""Delivered events that are kept to be freed one by one."""

_QUIET_PAUSES = 20
"""After so many without an event the thread lets go of what it has delivered, and sleeps until it is woken."""


class _ThreadQueue:
    """Plain functions' events, delivered one after the other by one thread, which is started when first needed."""

    def __init__(self, limit: int) -> None:
        self._events: deque[tuple[Sink, Any]] = deque()
        self._limit = limit
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._news = threading.Event()
        self._closed = False
        self._ending = False
        self._busy = 0
        self._spent: deque[tuple[Sink, Any]] = deque()
        """Delivered. Whoever hands in the next event frees one: memory that another core frees is slow to use again, and thirty
        freed at once, of fifty objects each, are thirty that the garbage collector then sees made anew.
        """

    @property
    def waiting(self) -> int:
        return len(self._events) + self._busy

    def offer(self, sink: Sink, event: Any) -> bool:
        if self._spent:
            self._free_one()
        if len(self._events) >= self._limit or self._closed:
            return False
        self._events.append((sink, event))
        if self._thread is None:
            self._start()
        if not self._news.is_set():
            self._news.set()
        return True

    def _free_one(self) -> None:
        try:
            self._spent.popleft() if len(self._spent) <= _KEPT else self._spent.clear()
        except IndexError:
            return  # the thread has let go of them in this moment

    def close(self) -> None:
        self._closed = True
        self._drop()
        self._news.set()

    def end(self) -> None:
        """Deliver what waits, then stop."""
        self._ending = True
        self._news.set()

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="glassway-delivery", daemon=True)
                self._thread.start()

    def _drop(self) -> None:
        self._spent.clear()
        _drop(self._events)

    def _work(self) -> None:
        quiet = 0
        while not self._closed:
            self._news.wait()
            time.sleep(_PAUSE_S)
            quiet = 0 if self._events else quiet + 1
            self._deliver()
            if self._ending:
                break
            if quiet > _QUIET_PAUSES:
                self._fall_asleep()
        self._drop()  # what came in while it was being closed

    def _fall_asleep(self) -> None:
        self._spent.clear()
        self._news.clear()
        if self._events:  # handed in by somebody who saw us awake
            self._news.set()

    def _deliver(self) -> None:
        while self._events:
            self._busy = 1
            try:
                spent = sink, event = self._events.popleft()
            except IndexError:  # closed in this moment
                self._busy = 0
                return
            try:
                _call(sink, event)
                self._spent.append(spent)
                _tallies["delivered"].add()
            except BaseException:  # noqa: BLE001 - logged; not even SystemExit may end the thread
                _failed(sink)
            finally:
                self._busy = 0


def _call(sink: Sink, event: Any) -> None:
    result = sink(event)
    if result is not None and inspect.iscoroutine(result):
        result.close()
        raise TypeError(
            "A plain callback returned a coroutine. Declare it with `async def`, so that it runs on the call's event loop."
        )


def _drop(events: deque[tuple[Sink, Any]]) -> None:
    with suppress(IndexError):  # until it is empty, whoever else takes from it
        while True:
            events.popleft()
            _tallies["dropped"].add()


def _forget_all() -> None:
    for deliverer in tuple(_live):
        deliverer.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)


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
        if len(self._events) >= self._limit:
            return False
        self._events.append((sink, event))
        try:
            loop.call_soon_threadsafe(self._wake, loop)
        except RuntimeError:  # the loop is closed: what it still held goes with it
            self.drop()
        return True

    def _wake(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._events and (self._task is None or self._task.done()):
            self._task = loop.create_task(self._work())

    def drop(self) -> None:
        _drop(self._events)

    async def _work(self) -> None:
        while self._events:
            sink, event = self._events.popleft()
            self._busy = 1
            try:
                result = sink(event)
                if isinstance(result, Awaitable):
                    await result
                _tallies["delivered"].add()
            except asyncio.CancelledError:
                if not _is_being_cancelled():  # the callback's own affair
                    _failed(sink)
                    continue
                _tallies["dropped"].add()
                self.drop()
                raise
            except Exception:  # noqa: BLE001 - logged and counted
                _failed(sink)
            finally:
                self._busy = 0


def _is_being_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _failed(sink: Sink) -> None:
    _tallies["failed"].add()
    name = getattr(sink, "__qualname__", type(sink).__name__)
    logger.exception("A callback raised (%s); calls go on.", name)  # noqa: LOG004 - called where it was caught
