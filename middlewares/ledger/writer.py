"""Rows on their way to the database: a bounded queue and one thread, which writes in batches and never hurts a call."""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

from ...pipeline.gauges import Reading, watch
from ...pipeline.record import Record
from ...pipeline.telemetry import names
from .database import Database
from .row import row_of

logger = logging.getLogger("glassway")

_PRUNE_EVERY_S = 3600.0
_LONGEST_PAUSE_S = 30.0


class Counts(NamedTuple):
    """Calls so far: each was written, was dropped, or waits."""

    written: int
    dropped: int
    waiting: int


class Writer:
    """`offer` never waits and never raises: with a full queue the call is dropped and counted.

    A database that is away is tried again, with growing pauses; what waits is kept meanwhile, up to the queue's limit.
    """

    def __init__(self, database: Database, *, queue: int, batch: int, every_s: float, keep_days: float | None) -> None:
        self.database = database
        self._limit = queue
        self._batch = batch
        self._every_s = every_s
        self._keep_days = keep_days
        self._waiting: deque[Record] = deque()
        self._lock = threading.Lock()
        self._news = threading.Condition(self._lock)
        self._thread: threading.Thread | None = None
        self._ending = False
        self._flushing = 0
        self._written = self._dropped = 0
        self._pruned_s: float | None = None
        watch(self)
        _live.add(self)

    @property
    def counts(self) -> Counts:
        """For health and tests."""
        return Counts(self._written, self._dropped, len(self._waiting))

    def offer(self, record: Record) -> None:
        """Take a call down, soon."""
        if len(self._waiting) >= self._limit:
            self._dropped += 1
            if self._dropped == 1:
                logger.warning(
                    "The ledger's queue is full (%d calls wait): calls are dropped and counted.", self._limit
                )
            return
        self._waiting.append(record)
        if self._thread is None:
            self._start()
        elif len(self._waiting) >= self._batch:
            with self._lock:
                self._news.notify()

    def flush(self, limit_s: float) -> bool:
        """Wait until everything is written, at most `limit_s`; whether it is."""
        until_s = time.monotonic() + limit_s
        with self._lock:
            self._flushing += 1
            self._news.notify_all()
            while self._waiting and self._thread is not None and (left_s := until_s - time.monotonic()) > 0:
                self._news.wait(min(left_s, 0.05))
            self._flushing -= 1
        return not self._waiting

    def close(self) -> None:
        """End the thread; what still waits is dropped and counted. The next `offer` starts another."""
        with self._lock:
            self._ending = True
            thread, self._thread = self._thread, None
            self._news.notify_all()
        if thread is not None:
            thread.join()
        with self._lock:
            self._ending = False
            self._dropped += len(self._waiting)
            self._waiting.clear()
        self.database.close()

    def forget(self) -> None:
        """In a forked child: the thread is the parent's, and so is what waits."""
        self._lock = threading.Lock()
        self._news = threading.Condition(self._lock)
        self._waiting = deque()
        self._thread = None

    def readings(self) -> Iterable[Reading]:
        """Gauges of the queue."""
        for outcome, count in self.counts._asdict().items():
            yield Reading(names.LEDGER_CALLS.name, (outcome,), count)

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="glassway-ledger", daemon=True)
                self._thread.start()

    def _work(self) -> None:
        me, pause_s = threading.current_thread(), self._every_s
        while True:
            with self._lock:
                if self._ending or self._thread is not me:
                    return
                if not self._flushing and len(self._waiting) < self._batch:
                    self._news.wait(pause_s)
            pause_s = self._every_s if self._write() else min(_LONGEST_PAUSE_S, max(0.1, pause_s * 2))

    def _write(self) -> bool:
        """Write what waits, batch by batch; false if the database failed."""
        while batch := [self._waiting[index] for index in range(min(self._batch, len(self._waiting)))]:
            try:
                self.database.insert([row_of(record) for record in batch])
            except Exception as error:  # noqa: BLE001 - whatever a driver raises; what waits is kept
                self.database.close()
                # The kind of error only: a driver's message may hold its URL with the password in it.
                logger.warning(
                    "The ledger cannot be written (%s); %d calls wait.", type(error).__name__, len(self._waiting)
                )
                return False
            with self._lock:
                for _ in batch:
                    self._waiting.popleft()
                self._written += len(batch)
                self._news.notify_all()
        self._prune()
        return True

    def _prune(self) -> None:
        now_s = time.monotonic()
        if self._keep_days is None or (self._pruned_s is not None and now_s - self._pruned_s < _PRUNE_EVERY_S):
            return
        self._pruned_s = now_s
        try:
            self.database.prune(int((time.time() - self._keep_days * 86_400) * 1e6))
        except Exception as error:  # noqa: BLE001 - as above; it is tried again in an hour
            logger.warning("Old calls could not be taken out of the ledger (%s).", type(error).__name__)


_live: weakref.WeakSet[Writer] = weakref.WeakSet()


def _forget_all() -> None:
    for writer in tuple(_live):
        writer.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
