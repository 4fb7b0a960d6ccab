"""The numbers behind a scrape: one lock per registry, taken once per call, instead of two per observation.

A call makes some twenty observations; prometheus-client's own children cost 1 us each, most of it locking. The families
that a scrape shows are prometheus-client's, exemplars included.
"""

from __future__ import annotations

import os
import threading
import time
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from weakref import WeakSet

from prometheus_client.core import CounterMetricFamily, Exemplar, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.core import Metric as Family
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from .schema import Metric

Labels = tuple[str, ...]
Line = tuple[str, float] | tuple[str, float, Exemplar]

_as_client_writes: Callable[[float], str] = floatToGoString


class Number:
    """A counter's or a gauge's value for one set of labels."""

    __slots__ = ("_waiting", "add", "value")

    def __init__(self) -> None:
        self.value: float = 0
        """Without what waits."""
        self._waiting: list[float] = []
        self.add: Callable[[float], None] = self._waiting.append
        """Add to it: one call in C, for a call adds some ten numbers."""

    def fold(self) -> None:
        """Take in what waits."""
        self.value += sum(_taken(self._waiting))


class Distribution:
    """A histogram's buckets for one set of labels."""

    __slots__ = ("_waiting", "buckets", "counts", "exemplars", "observe", "sum")

    def __init__(self, buckets: Sequence[float]) -> None:
        self.buckets = buckets
        self.counts = [0] * (len(buckets) + 1)
        """These and `sum`: without what waits."""
        self.exemplars: dict[int, Exemplar] = {}
        self.sum = 0.0
        self._waiting: list[float] = []
        self.observe: Callable[[float], None] = self._waiting.append
        """One value: one call in C, for a call observes some fifteen."""

    def observe_in(self, value: float, exemplar: Mapping[str, str]) -> None:
        """One value; the exemplar replaces an older one in its bucket."""
        self._waiting.append(value)
        self.exemplars[bisect_left(self.buckets, value)] = Exemplar(dict(exemplar), value, time.time())

    def fold(self) -> None:
        """Take in what waits."""
        values = _taken(self._waiting)
        if not values:
            return
        self.sum += sum(values)
        values.sort()  # so that each bucket is looked for once, and not each value
        counts, below = self.counts, 0
        for place, bound in enumerate(self.buckets):
            up_to = bisect_right(values, bound, below)
            counts[place] += up_to - below
            below = up_to
        counts[-1] += len(values) - below

    def lines(self) -> list[Line]:
        """Cumulative counts by upper bound."""
        total = 0
        lines: list[Line] = []
        for place, bound in enumerate((*self.buckets, float("inf"))):
            total += self.counts[place]
            exemplar = self.exemplars.get(place)
            line = (_as_client_writes(bound), float(total))
            lines.append(line if exemplar is None else (*line, exemplar))
        return lines


def _taken(waiting: list[float]) -> list[float]:
    """What waits, taken away. What a finaliser adds meanwhile, in this thread, waits on."""
    taken = waiting[:]
    del waiting[: len(taken)]
    return taken


class Board(Collector):
    """The numbers of one registry. `lock` is held by whoever adds, and while a scrape reads."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        _boards.add(self)
        self._folding = False
        self._metrics: dict[str, Metric] = {}
        self._numbers: dict[str, dict[Labels, Number]] = {}
        self._distributions: dict[str, dict[Labels, Distribution]] = {}

    def declare(self, metric: Metric) -> None:
        """Show this family from the first scrape on."""
        self._metrics.setdefault(metric.name, metric)

    def number(self, metric: Metric, labels: Labels) -> Number:
        """The one value of these labels."""
        self.declare(metric)
        return self._numbers.setdefault(metric.name, {}).setdefault(labels, Number())

    def distribution(self, metric: Metric, labels: Labels) -> Distribution:
        """The one distribution of these labels."""
        self.declare(metric)
        return self._distributions.setdefault(metric.name, {}).setdefault(labels, Distribution(metric.buckets))

    def fold(self) -> None:
        """Take in what waits. Held lists stay short where this is called every few hundred calls."""
        with self.lock:
            if self._folding:  # by this thread, further out: a finaliser has ended a call
                return
            self._folding = True
            try:
                for numbers in list(self._numbers.values()):
                    for number in list(numbers.values()):
                        number.fold()
                for distributions in list(self._distributions.values()):
                    for distribution in list(distributions.values()):
                        distribution.fold()
            finally:
                self._folding = False

    def describe(self) -> Iterator[Family]:
        """The families' names, so that the registry can refuse a second of the same."""
        return iter([_family(metric) for metric in list(self._metrics.values())])

    def collect(self) -> Iterator[Family]:
        """Called at a scrape."""
        with self.lock:
            self.fold()
            return iter([self._filled(metric) for metric in self._metrics.values()])

    def _filled(self, metric: Metric) -> Family:
        family = _family(metric)
        if isinstance(family, HistogramMetricFamily):
            for labels, distribution in self._distributions.get(metric.name, {}).items():
                family.add_metric(labels, distribution.lines(), distribution.sum)
        else:
            for labels, number in self._numbers.get(metric.name, {}).items():
                family.add_metric(labels, number.value)
        return family


def _family(metric: Metric) -> HistogramMetricFamily | CounterMetricFamily | GaugeMetricFamily:
    if metric.kind == "histogram":
        return HistogramMetricFamily(metric.prometheus, metric.doc, labels=metric.label_names)
    if metric.kind == "counter":
        return CounterMetricFamily(metric.prometheus, metric.doc, labels=metric.label_names)
    return GaugeMetricFamily(metric.prometheus, metric.doc, labels=metric.label_names)


_boards: WeakSet[Board] = WeakSet()
_held: list[Board] = []


def _hold_all() -> None:
    """A child that is forked while another thread counts would inherit a lock that nobody releases."""
    _held.extend(_boards)
    for board in _held:
        board.lock.acquire()


def _release_all() -> None:
    for board in _held:
        board.lock.release()
    _held.clear()


os.register_at_fork(before=_hold_all, after_in_parent=_release_all, after_in_child=_release_all)
