"""Where measurements go: the board behind a Prometheus registry, its multiprocess files, OpenTelemetry instruments."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol
from weakref import WeakKeyDictionary

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from .board import Board, Labels
from .names import METRICS, OTHER
from .schema import Generation, Label, Metric

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.metrics import Meter

logger = logging.getLogger("glassway")


class Adds(Protocol):
    """A counter or gauge with its labels."""

    @property
    def add(self) -> Callable[[float], object]:
        """Adds an amount to it."""
        ...


class Observes(Protocol):
    """A histogram with its labels."""

    @property
    def observe(self) -> Callable[[float], object]:
        """Takes one value."""
        ...

    def observe_in(self, value: float, exemplar: Mapping[str, str]) -> None:
        """Takes one value; `exemplar` names the trace that it comes from."""
        ...


class Sink(Protocol):
    """Binds declared metrics to labels, which are in the declaration's order and already bounded."""

    @property
    def lock(self) -> AbstractContextManager[object]:
        """Held around all additions for one call."""
        ...

    def number(self, metric: Metric, labels: Labels) -> Adds:
        """Of a counter or a gauge."""
        ...

    def distribution(self, metric: Metric, labels: Labels) -> Observes:
        """Of a histogram."""
        ...

    def fold(self) -> None:
        """Take in what waits to be, where anything does. Called every few hundred calls."""
        ...


class Bounded:
    """Lets the first `limit` values of a label pass; the rest become `other`."""

    __slots__ = ("_limit", "_lock", "_seen")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._seen: set[str] = set()
        self._lock = threading.Lock()

    def __call__(self, value: str, *, admit: bool = True) -> str:
        """The value, or `other`. With `admit` false a new value takes no place."""
        if value in self._seen:
            return value
        if not admit:
            return OTHER
        with self._lock:
            if value not in self._seen and len(self._seen) >= self._limit:
                return OTHER
            self._seen.add(value)
        return value


class Families:
    """The numbers of one registry and the bounds of their labels; every `Telemetry` on that registry shares them."""

    def __init__(self, registry: CollectorRegistry, limits: Mapping[str, int]) -> None:
        self._registry = registry
        self._limits = limits
        self._bounds: dict[str, Bounded] = {}
        self._lock = threading.RLock()
        self._board = Board()
        self._files: FileSink | None = None
        self._registered = False

    def sink(self, generation: Generation) -> Sink:
        """Where to count; its families are there from now on, so that a scrape before the first call shows them."""
        declared = [metric for metric in METRICS.values() if generation in metric.generations and not metric.at_scrape]
        with self._lock:
            if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
                self._files = self._files or FileSink(self._registry)
                return self._files
            for metric in declared:
                self._board.declare(metric)
            if not self._registered:
                self._registry.register(self._board)
                self._registered = True
            return self._board

    def bound(self, label: Label) -> Bounded:
        """The one bound of this label."""
        with self._lock:
            if label.name not in self._bounds:
                self._bounds[label.name] = Bounded(self._limits.get(label.name, label.limit))
            return self._bounds[label.name]


_families: WeakKeyDictionary[CollectorRegistry, Families] = WeakKeyDictionary()
_families_lock = threading.Lock()


def families_of(registry: CollectorRegistry, limits: Mapping[str, int]) -> Families:
    """The registry's families; the first caller's `limits` (label name to most values) hold."""
    with _families_lock:
        if registry not in _families:
            _families[registry] = Families(registry, limits)
        return _families[registry]


class FileSink:
    """prometheus-client's own families, for its multiprocess mode, which writes each number to a shared file."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.lock = nullcontext()
        self._registry = registry
        self._families: dict[str, Any] = {}
        logger.warning(
            "PROMETHEUS_MULTIPROC_DIR is set: metrics carry no exemplars. One scrape port per worker has them."
        )

    def number(self, metric: Metric, labels: Labels) -> Adds:
        """Of a counter or a gauge."""
        return _FileNumber(self._child(metric, labels))

    def distribution(self, metric: Metric, labels: Labels) -> Observes:
        """Of a histogram."""
        return _FileDistribution(self._child(metric, labels))

    def fold(self) -> None:
        """Nothing waits: each number goes to its file at once."""

    def _child(self, metric: Metric, labels: Labels) -> Any:
        if metric.name not in self._families:
            self._families[metric.name] = _client_family(metric, self._registry)
        family = self._families[metric.name]
        return family.labels(*labels) if labels else family


def _client_family(metric: Metric, registry: CollectorRegistry) -> Counter | Gauge | Histogram:
    if metric.kind == "counter":
        return Counter(metric.prometheus, metric.doc, metric.label_names, registry=registry)
    if metric.kind == "gauge":
        return Gauge(metric.prometheus, metric.doc, metric.label_names, registry=registry, multiprocess_mode="livesum")
    return Histogram(metric.prometheus, metric.doc, metric.label_names, registry=registry, buckets=metric.buckets)


class _FileNumber:
    def __init__(self, child: Counter | Gauge) -> None:
        self.add = child.inc


class _FileDistribution:
    def __init__(self, child: Histogram) -> None:
        self.observe = child.observe

    def observe_in(self, value: float, exemplar: Mapping[str, str]) -> None:  # noqa: ARG002 - the files hold none
        self.observe(value)


class MeterSink:
    """OpenTelemetry instruments of the same names, for pushing metrics by OTLP."""

    def __init__(self, meter: Meter) -> None:
        self.lock = nullcontext()
        self._meter = meter
        self._instruments: dict[str, Any] = {}

    def number(self, metric: Metric, labels: Labels) -> Adds:
        """Of a counter or a gauge."""
        return _MeterNumber(self._instrument(metric), _attributes(metric, labels))

    def distribution(self, metric: Metric, labels: Labels) -> Observes:
        """Of a histogram."""
        return _MeterDistribution(self._instrument(metric), _attributes(metric, labels))

    def fold(self) -> None:
        """Nothing waits here: instruments have queues of their own."""

    def _instrument(self, metric: Metric) -> Any:
        if metric.name not in self._instruments:
            self._instruments[metric.name] = self._make(metric)
        return self._instruments[metric.name]

    def _make(self, metric: Metric) -> Any:
        if metric.kind == "counter":
            return self._meter.create_counter(metric.name, metric.unit, metric.doc)
        if metric.kind == "gauge":
            return self._meter.create_up_down_counter(metric.name, metric.unit, metric.doc)
        return self._meter.create_histogram(
            metric.name, metric.unit, metric.doc, explicit_bucket_boundaries_advisory=metric.buckets
        )


class _MeterNumber:
    def __init__(self, instrument: Any, attributes: Mapping[str, str]) -> None:
        self.add = partial(instrument.add, attributes=attributes)


class _MeterDistribution:
    def __init__(self, instrument: Any, attributes: Mapping[str, str]) -> None:
        self.observe = partial(instrument.record, attributes=attributes)

    def observe_in(self, value: float, exemplar: Mapping[str, str]) -> None:
        self.observe(value, context=_context(exemplar))


def _attributes(metric: Metric, labels: Labels) -> dict[str, str]:
    return {label.name: value for label, value in zip(metric.labels, labels, strict=True) if value}


def _context(exemplar: Mapping[str, str]) -> Context:
    """The context that OpenTelemetry's exemplar filter takes the trace from."""
    from opentelemetry import trace as api  # only where OpenTelemetry metrics are in use

    ids = int(exemplar["trace_id"], 16), int(exemplar["span_id"], 16)
    span = api.SpanContext(*ids, is_remote=False, trace_flags=api.TraceFlags(1))
    return api.set_span_in_context(api.NonRecordingSpan(span))
