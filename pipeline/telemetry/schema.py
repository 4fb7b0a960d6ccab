"""What a declared name consists of: attributes, events, labels and metrics as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Generation = Literal["g2", "g3"]
"""Of the GenAI conventions: `g2` is v1.37-v1.41 with the newer token attributes, `g3` the separate GenAI repository."""

SpanType = Literal["call", "stage", "attempt", "tool"]
AttributeType = Literal["string", "int", "double", "bool", "string[]"]
MetricKind = Literal["counter", "gauge", "histogram"]

BOTH: tuple[Generation, ...] = ("g2", "g3")


@dataclass(frozen=True, slots=True)
class Attribute:
    """An attribute of spans. A name that ends in `*` stands for all names that begin so."""

    name: str
    type: AttributeType
    doc: str
    on: tuple[SpanType, ...] = ("call",)
    required: bool = False
    values: frozenset[str] | None = None
    """The closed list of values; None where any value of the type may stand."""
    generations: tuple[Generation, ...] = BOTH


@dataclass(frozen=True, slots=True)
class Event:
    """A span event made of a fact: its attributes are the fact's fields, behind the event's name and a dot."""

    name: str
    fact: str
    doc: str
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Label:
    """A metric label, bounded: by a closed list of values, or by a most number of values with `other` for the rest."""

    name: str
    doc: str
    values: frozenset[str] | None = None
    limit: int = 0


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric under its OpenTelemetry name; `prometheus` is the same by the exporter's rules.

    Source: https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/
    """

    name: str
    kind: MetricKind
    unit: str
    doc: str
    labels: tuple[Label, ...] = ()
    buckets: tuple[float, ...] = ()
    fact: str = ""
    """The fact that it is made of; empty where every call has it."""
    generations: tuple[Generation, ...] = BOTH
    at_scrape: bool = False
    """Whether it is read when it is asked for, instead of counted on a call's path."""

    @property
    def prometheus(self) -> str:
        """The name in the Prometheus exposition, with `_total` on counters."""
        seconds = "_seconds" if self.unit == "s" and not self.name.endswith("_seconds") else ""
        total = "_total" if self.kind == "counter" else ""
        return f"{self.name.replace('.', '_')}{seconds}{total}"

    @property
    def label_names(self) -> tuple[str, ...]:
        """The labels' names in the Prometheus exposition."""
        return tuple(label.name.replace(".", "_") for label in self.labels)


@dataclass(frozen=True, slots=True)
class TraceCounts:
    """What became of kept traces: `waiting + exported + failed + dropped` is how many were kept."""

    waiting: int = 0
    exported: int = 0
    failed: int = 0
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class Queueing:
    """How kept traces wait for their export."""

    limit: int
    delay_s: float
    shutdown_s: float
    synchronous: bool = False
