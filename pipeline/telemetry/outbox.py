"""From finished calls to exporters, off the call's path: one bounded queue, one daemon thread, every trace accounted for."""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING
from weakref import WeakSet

from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, attach, set_value
from opentelemetry.sdk.trace.export import SpanExportResult

from .schema import Queueing, TraceCounts
from .setting import told

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter

    from ..record import Record

logger = logging.getLogger("glassway")

Make = Callable[["Record"], Sequence["ReadableSpan"]]

SPANS_PER_EXPORT = 512


class Outbox:
    """Takes finished calls, makes their spans and hands them on, whole traces at a time.

    `put` never waits. When more calls wait than the queue may hold, further ones are dropped and counted: a dead collector costs a
    call nothing. After a fork the child starts empty, with a thread of its own.
    """

    def __init__(
        self,
        make: Make,
        processors: Sequence[SpanProcessor],
        exporters: Sequence[SpanExporter],
        queueing: Queueing,
    ) -> None:
        self._make = make
        self.processors = processors
        self.exporters = exporters
        self._queueing = queueing
        self._closed = False
        self._providers: list[TracerProvider] = []
        self._reset()
        _outboxes.add(self)

    def _reset(self) -> None:
        self._queue: deque[Record] = deque()
        self._lock = threading.RLock()
        self._news = threading.Event()
        self._hurry = threading.Event()
        self._empty = threading.Condition(self._lock)
        self._thread: threading.Thread | None = None
        self._working = 0
        self._exported = self._failed = self._dropped = 0

    def put(self, record: Record) -> bool:
        """Queue a finished call; false if it had to be dropped."""
        if self._queueing.synchronous:
            self._hand_over([record])
            return True
        with self._lock:
            if self._closed or len(self._queue) + self._working >= self._queueing.limit:
                self._dropped += 1
                return False
            self._queue.append(record)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="glassway-telemetry", daemon=True)
                self._thread.start()
        if not self._news.is_set():
            self._news.set()
        return True

    def counts(self) -> TraceCounts:
        """What became of kept traces so far."""
        with self._lock:
            return TraceCounts(len(self._queue) + self._working, self._exported, self._failed, self._dropped)

    def flush(self, timeout_s: float) -> bool:
        """Wait until nothing waits, at most `timeout_s` seconds. Whether it came to that, and the processors' flush too."""
        until = time.monotonic() + timeout_s
        with self._empty:
            self._hurry.set()
            done = self._empty.wait_for(lambda: not self._queue and not self._working, timeout_s)
            self._hurry.clear()
        left_ms = max(0, int((until - time.monotonic()) * 1000))
        flushed = [processor.force_flush(left_ms) for processor in self.processors]
        return done and all(flushed)

    def close_with(self, provider: TracerProvider) -> None:
        """Shut this one down too, within the same seconds."""
        self._providers.append(provider)

    def close(self) -> None:
        """Flush for at most `shutdown_s` seconds and take nothing more. Exporters that hang are left behind."""
        if self._closed:
            return
        self.flush(self._queueing.shutdown_s)
        self._closed = True
        closing = threading.Thread(target=self._shut_down, name="glassway-telemetry-close", daemon=True)
        closing.start()
        closing.join(self._queueing.shutdown_s)

    def _shut_down(self) -> None:
        for provider in self._providers:
            provider.shutdown()
        if self._providers:
            return  # they send through the same processors and exporters, and have shut them down
        for processor in self.processors:
            processor.shutdown()
        for exporter in self.exporters:
            exporter.shutdown()

    def _run(self) -> None:
        # An instrumented HTTP client must not make spans of our own export.
        attach(set_value(_SUPPRESS_INSTRUMENTATION_KEY, value=True))
        while True:
            self._news.wait()
            self._news.clear()
            if self.exporters:
                self._hurry.wait(self._queueing.delay_s)
            while batch := self._take():
                self._hand_over(batch)
                self._settle()

    def _take(self) -> list[Record]:
        with self._lock:
            batch = [self._queue.popleft() for _ in range(min(len(self._queue), 64))]
            self._working = len(batch)
            return batch

    def _settle(self) -> None:
        with self._empty:
            if not self._queue:
                self._empty.notify_all()

    def _hand_over(self, batch: Sequence[Record]) -> None:
        spans: list[ReadableSpan] = []
        made = 0
        for record in batch:
            made_of_it = self._made(record)
            if made_of_it is None:
                self._count(1, ok=False)
                continue
            spans += made_of_it
            made += 1
            if len(spans) >= SPANS_PER_EXPORT:
                self._count(made, ok=self._send(spans))
                spans, made = [], 0
        if made:
            self._count(made, ok=self._send(spans))

    def _made(self, record: Record) -> Sequence[ReadableSpan] | None:
        try:
            return self._make(record)
        except Exception as error:  # noqa: BLE001 - a redaction hook may raise, and what it raises may hold content
            logger.error("No spans could be made of a call (%s); its trace is lost and counted as failed.", told(error))
            return None

    def _send(self, spans: Sequence[ReadableSpan]) -> bool:
        ok = True
        for processor in self.processors:
            ok = _guarded(partial(_end_all, processor, spans)) and ok
        for exporter in self.exporters:
            ok = _guarded(partial(_export, exporter, spans)) and ok
        return ok

    def _count(self, traces: int, *, ok: bool) -> None:
        with self._lock:
            self._working = max(0, self._working - traces)
            if ok:
                self._exported += traces
            else:
                self._failed += traces


def _end_all(processor: SpanProcessor, spans: Sequence[ReadableSpan]) -> bool:
    for span in spans:
        processor.on_end(span)
    return True


def _export(exporter: SpanExporter, spans: Sequence[ReadableSpan]) -> bool:
    return exporter.export(spans) is SpanExportResult.SUCCESS


def _guarded(step: Callable[[], bool]) -> bool:
    try:
        return step()
    except Exception as error:  # noqa: BLE001 - sinks are isolated from each other and from the calls
        logger.error("A span processor or exporter raised (%s); its traces are counted as failed.", told(error))
        return False


_outboxes: WeakSet[Outbox] = WeakSet()


def _after_fork() -> None:
    for outbox in list(_outboxes):
        outbox._reset()  # noqa: SLF001 - ours


def _at_exit() -> None:
    for outbox in list(_outboxes):
        outbox.close()


os.register_at_fork(after_in_child=_after_fork)
atexit.register(_at_exit)
