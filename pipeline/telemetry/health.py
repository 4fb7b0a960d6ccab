"""Telemetry's own state, read at each scrape instead of counted on a call's path."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary, WeakSet

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector, CollectorRegistry

from ..delivery import delivery_counts
from ..gauges import readings
from ..outcome import observer_failures
from . import names

if TYPE_CHECKING:
    from .telemetry import Telemetry

_by_registry: WeakKeyDictionary[CollectorRegistry, Health] = WeakKeyDictionary()


class Health(Collector):
    """One per registry. Sums up over all `Telemetry` that count into it."""

    def __init__(self) -> None:
        self._watched: WeakSet[Telemetry] = WeakSet()

    @classmethod
    def of(cls, registry: CollectorRegistry) -> Health:
        """The registry's one."""
        if registry not in _by_registry:
            health = _by_registry[registry] = cls()
            registry.register(health)
        return _by_registry[registry]

    def watch(self, telemetry: Telemetry) -> None:
        """Report on this one too, as long as it lives."""
        self._watched.add(telemetry)

    def collect(self) -> Iterator[Metric]:
        """Called at a scrape."""
        failures = CounterMetricFamily(names.OBSERVER_FAILURES.prometheus, names.OBSERVER_FAILURES.doc)
        failures.add_metric([], observer_failures())
        yield failures
        yield from _callbacks()
        counts = [each.trace_counts() for each in list(self._watched)]
        depth = GaugeMetricFamily(names.QUEUE_DEPTH.prometheus, names.QUEUE_DEPTH.doc)
        depth.add_metric([], sum(count.waiting for count in counts))
        yield depth
        traces = CounterMetricFamily(names.TRACES.prometheus, names.TRACES.doc, labels=names.TRACES.label_names)
        for outcome in sorted(names.L_TRACES.values or ()):
            traces.add_metric([outcome], sum(getattr(count, outcome) for count in counts))
        yield traces
        yield from _gauges()


def _callbacks() -> Iterator[Metric]:
    counts = delivery_counts()
    events = CounterMetricFamily(names.CALLBACKS.prometheus, names.CALLBACKS.doc, labels=names.CALLBACKS.label_names)
    for outcome in sorted(names.L_DELIVERY.values or ()):
        events.add_metric([outcome], getattr(counts, outcome))
    yield events
    waiting = GaugeMetricFamily(names.CALLBACKS_WAITING.prometheus, names.CALLBACKS_WAITING.doc)
    waiting.add_metric([], counts.waiting)
    yield waiting


def _gauges() -> Iterator[Metric]:
    """What stages are like now. Readings of one name and labels (two pipelines with the same pool) are added up."""
    values: dict[str, dict[tuple[str, ...], float]] = {}
    for reading in readings():
        by_labels = values.setdefault(reading.metric, {})
        if reading.labels in by_labels or len(by_labels) < _MOST_READINGS:
            by_labels[reading.labels] = by_labels.get(reading.labels, 0.0) + reading.value
    for name, by_labels in sorted(values.items()):
        metric = names.METRICS[name]
        family = GaugeMetricFamily(metric.prometheus, metric.doc, labels=metric.label_names)
        for labels, value in sorted(by_labels.items()):
            family.add_metric(list(labels), value)
        yield family


_MOST_READINGS = 200
"""Label sets of one gauge; those beyond are not shown."""
