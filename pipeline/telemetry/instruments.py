"""Where measurements are added up: Prometheus families, once per registry, and OpenTelemetry instruments of the same names."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol
from weakref import WeakKeyDictionary

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from .names import METRICS, OTHER
from .schema import Generation, Label, Metric

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.metrics import Meter

Labels = tuple[str, ...]


class Sink(Protocol):
    """Takes measurements under declared metrics; `labels` are in the declaration's order and already bounded."""

    def add(self, metric: Metric, labels: Labels, amount: float = 1) -> None:
        """Add to a counter or a gauge."""
        ...

    def observe(self, metric: Metric, labels: Labels, value: float, exemplar: Mapping[str, str] | None = None) -> None:
        """One value of a histogram; `exemplar` names the trace that it comes from."""
        ...

    def observe_all(self, metric: Metric, labels: Labels, values: Sequence[float]) -> None:
        """Many values of a histogram at once."""
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
            if len(self._seen) >= self._limit:
                return OTHER
            self._seen.add(value)
        return value


class Families:
    """The metric families of one registry and the bounds of their labels; every `Telemetry` on that registry shares them."""

    def __init__(self, registry: CollectorRegistry, limits: Mapping[str, int]) -> None:
        self._registry = registry
        self._limits = limits
        self._families: dict[str, Any] = {}
        self._bounds: dict[str, Bounded] = {}
        self._lock = threading.Lock()

    def declare(self, generation: Generation) -> None:
        """Make the families of a generation, so that a scrape before the first call shows them."""
        for metric in METRICS.values():
            if generation in metric.generations and metric.name not in COLLECTED:
                self.family(metric)

    def family(self, metric: Metric) -> Any:
        """The one family of this metric."""
        with self._lock:
            if metric.name not in self._families:
                self._families[metric.name] = _family(metric, self._registry)
            return self._families[metric.name]

    def bound(self, label: Label) -> Bounded:
        """The one bound of this label."""
        with self._lock:
            if label.name not in self._bounds:
                self._bounds[label.name] = Bounded(self._limits.get(label.name, label.limit))
            return self._bounds[label.name]


COLLECTED = frozenset(
    {
        "glassway.callbacks",
        "glassway.callbacks_waiting",
        "glassway.observer_failures",
        "glassway.telemetry.queue_depth",
        "glassway.telemetry.traces",
    }
)
"""Metrics that are read where they are kept, at each scrape, instead of being counted on a call's path."""

_families: WeakKeyDictionary[CollectorRegistry, Families] = WeakKeyDictionary()
_families_lock = threading.Lock()


def families_of(registry: CollectorRegistry, limits: Mapping[str, int]) -> Families:
    """The registry's families; the first caller's `limits` (label name to most values) hold."""
    with _families_lock:
        if registry not in _families:
            _families[registry] = Families(registry, limits)
        return _families[registry]


def _family(metric: Metric, registry: CollectorRegistry) -> Any:
    if metric.kind == "counter":
        return Counter(metric.prometheus, metric.doc, metric.label_names, registry=registry)
    if metric.kind == "gauge":
        return Gauge(metric.prometheus, metric.doc, metric.label_names, registry=registry, multiprocess_mode="livesum")
    return Histogram(metric.prometheus, metric.doc, metric.label_names, registry=registry, buckets=metric.buckets)


class PrometheusSink:
    """Adds to bound children, which are looked up once per label set."""

    __slots__ = ("_children", "_families")

    def __init__(self, families: Families) -> None:
        self._families = families
        self._children: dict[tuple[str, Labels], Any] = {}

    def add(self, metric: Metric, labels: Labels, amount: float = 1) -> None:
        """Add to a counter or a gauge."""
        (self._children.get((metric.name, labels)) or self._bind(metric, labels)).inc(amount)

    def observe(self, metric: Metric, labels: Labels, value: float, exemplar: Mapping[str, str] | None = None) -> None:
        """One value of a histogram."""
        (self._children.get((metric.name, labels)) or self._bind(metric, labels)).observe(value, exemplar)

    def observe_all(self, metric: Metric, labels: Labels, values: Sequence[float]) -> None:
        """Many values of a histogram, with one addition per bucket instead of one per value."""
        child = self._children.get((metric.name, labels)) or self._bind(metric, labels)
        counts = [0] * (len(metric.buckets) + 1)
        for value in values:
            counts[bisect_left(metric.buckets, value)] += 1
        # The client has no public way to add many; a stream of 100 chunks would cost 60 us one by one.
        child._sum.inc(sum(values))  # noqa: SLF001
        for bucket, count in zip(child._buckets, counts, strict=True):  # noqa: SLF001
            if count:
                bucket.inc(count)

    def _bind(self, metric: Metric, labels: Labels) -> Any:
        family = self._families.family(metric)
        child = family.labels(*labels) if labels else family
        return self._children.setdefault((metric.name, labels), child)


class MeterSink:
    """Records to OpenTelemetry instruments, for pushing metrics by OTLP."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._instruments: dict[str, Any] = {}

    def add(self, metric: Metric, labels: Labels, amount: float = 1) -> None:
        """Add to a counter or a gauge."""
        self._instrument(metric).add(amount, _attributes(metric, labels))

    def observe(self, metric: Metric, labels: Labels, value: float, exemplar: Mapping[str, str] | None = None) -> None:
        """One value of a histogram."""
        self._instrument(metric).record(value, _attributes(metric, labels), context=_context(exemplar))

    def observe_all(self, metric: Metric, labels: Labels, values: Sequence[float]) -> None:
        """Many values of a histogram."""
        instrument, attributes = self._instrument(metric), _attributes(metric, labels)
        for value in values:
            instrument.record(value, attributes)

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


def _attributes(metric: Metric, labels: Labels) -> dict[str, str]:
    return {label.name: value for label, value in zip(metric.labels, labels, strict=True) if value}


def _context(exemplar: Mapping[str, str] | None) -> Context | None:
    """The context that OpenTelemetry's exemplar filter takes the trace from."""
    if not exemplar:
        return None
    from opentelemetry import trace as api  # only where OpenTelemetry metrics are in use

    span = api.SpanContext(
        int(exemplar["trace_id"], 16), int(exemplar["span_id"], 16), is_remote=False, trace_flags=api.TraceFlags(1)
    )
    return api.set_span_in_context(api.NonRecordingSpan(span))
