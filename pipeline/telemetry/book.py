"""Measurements by metric and labels, each bound to its place in a sink once."""

from __future__ import annotations

from .board import Labels
from .instruments import Adds, Observes, Sink
from .schema import Metric


class Book:
    """Remembers every binding; there are as many as label bounds allow."""

    __slots__ = ("_distributions", "_numbers", "_sink", "lock")

    def __init__(self, sink: Sink) -> None:
        self.lock = sink.lock
        self._sink = sink
        self._numbers: dict[tuple[str, Labels], Adds] = {}
        self._distributions: dict[tuple[str, Labels], Observes] = {}

    def add(self, metric: Metric, labels: Labels, amount: float = 1) -> None:
        """Add to a counter or a gauge."""
        (self._numbers.get((metric.name, labels)) or self._bind(metric, labels)).add(amount)

    def observe(self, metric: Metric, labels: Labels, value: float) -> None:
        """One value of a histogram."""
        self.distribution(metric, labels).observe(value)

    def distribution(self, metric: Metric, labels: Labels) -> Observes:
        """The bound histogram, for those who keep it."""
        key = (metric.name, labels)
        found = self._distributions.get(key)
        if found is None:
            found = self._distributions[key] = self._sink.distribution(metric, labels)
        return found

    def number(self, metric: Metric, labels: Labels) -> Adds:
        """The bound counter or gauge, for those who keep it."""
        return self._numbers.get((metric.name, labels)) or self._bind(metric, labels)

    def fold(self) -> None:
        """Take in what waits in the sink."""
        self._sink.fold()

    def _bind(self, metric: Metric, labels: Labels) -> Adds:
        bound = self._numbers[metric.name, labels] = self._sink.number(metric, labels)
        return bound
