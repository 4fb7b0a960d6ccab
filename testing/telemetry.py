"""Telemetry of your own stacks as something that a test can read: spans as a tree, metrics as numbers, names checked."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import Sampler
from prometheus_client import CollectorRegistry

from ..pipeline.telemetry import Keep, Telemetry, names
from ..pipeline.telemetry.policy import Trust
from ..pipeline.telemetry.schema import Attribute, Generation, Metric, SpanType

_MASKED = frozenset({names.CALL_ID.name, "glassway.cache.key", "glassway.cache.origin_trace_id"})
_TIMES = re.compile(r"(_s|time_to_first_chunk)$")
_TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "int": (int,),
    "double": (float, int),
    "bool": (bool,),
    "string[]": (tuple, list),
}


@dataclass(frozen=True, slots=True)
class RecordedTelemetry:
    """What one `record_telemetry` block has seen. Spans are there as soon as their call has ended."""

    telemetry: Telemetry
    """For `Pipeline(telemetry=...)`."""
    exporter: InMemorySpanExporter

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        """All spans so far, each call's own first."""
        return tuple(self.exporter.get_finished_spans())

    @property
    def metrics(self) -> dict[str, float]:
        """All samples by `name{label="value",...}`, as Prometheus shows them; empty labels left out."""
        return {
            _sample_name(sample.name, sample.labels): sample.value
            for family in self.telemetry.registry.collect()
            for sample in family.samples
            if not sample.name.endswith("_created")
        }


@contextmanager
def record_telemetry(
    *, keep: Keep | None = None, sampler: Sampler | None = None, generation: Generation = "g2", trust: Trust = "always"
) -> Iterator[RecordedTelemetry]:
    """A `Telemetry` of its own: own registry, spans in memory and made before the call returns. Nothing global is touched."""
    exporter = InMemorySpanExporter()
    telemetry = Telemetry(
        registry=CollectorRegistry(),
        span_exporters=[exporter],
        keep=keep or Keep(),
        sampler=sampler,
        generation=generation,
        trust=trust,
        synchronous=True,
    )
    yield RecordedTelemetry(telemetry, exporter)


def span_tree(spans: Sequence[ReadableSpan], *, times: bool = False) -> str:
    """The spans as indented text for a snapshot: `name [KIND STATUS] attribute=value`, events behind `!`, links behind `~`.

    Ids are masked. Attributes that are times are masked too unless `times`, which wants a `FakeClock`.
    """
    ids = {_id(span) for span in spans}
    roots = [span for span in spans if span.parent is None or span.parent.span_id not in ids]
    return "\n".join(line for root in roots for line in _lines(root, spans, 0, times))


def assert_conformant(
    spans: Sequence[ReadableSpan], metrics: Mapping[str, float] | None = None, *, generation: Generation = "g2"
) -> None:
    """Every name is declared; types, closed values and required attributes are as declared. Raises `AssertionError` with all that is not."""
    wrong = [fault for span in spans for fault in _span_faults(span, generation)]
    wrong += [fault for name in metrics or () for fault in _metric_faults(name, generation)]
    if wrong:
        raise AssertionError("Telemetry that is not as declared:\n  " + "\n  ".join(wrong))


def _sample_name(name: str, labels: Mapping[str, str]) -> str:
    shown = ",".join(f'{label}="{value}"' for label, value in sorted(labels.items()) if value)
    return f"{name}{{{shown}}}" if shown else name


def _id(span: ReadableSpan) -> int:
    context = span.get_span_context()
    return context.span_id if context is not None else 0


def _lines(span: ReadableSpan, spans: Sequence[ReadableSpan], depth: int, times: bool) -> Iterator[str]:
    indent = "  " * depth
    status = "" if span.status.status_code.name == "UNSET" else f" {span.status.status_code.name}"
    yield f"{indent}{span.name} [{span.kind.name}{status}]{_shown(span.attributes or {}, times)}"
    for event in span.events:
        yield f"{indent}  ! {event.name}{_shown(event.attributes or {}, times)}"
    for _ in span.links:
        yield f"{indent}  ~ link"
    for child in spans:
        if child.parent is not None and child.parent.span_id == _id(span):
            yield from _lines(child, spans, depth + 1, times)


def _shown(attributes: Mapping[str, Any], times: bool) -> str:
    return "".join(f" {name}={_value(name, value, times)}" for name, value in sorted(attributes.items()))


def _value(name: str, value: object, times: bool) -> str:
    if name in _MASKED or (not times and _TIMES.search(name)):
        return "*"
    if isinstance(value, float):
        return f"{value:.9g}"
    return str(list(value)) if isinstance(value, tuple) else str(value)


def _span_faults(span: ReadableSpan, generation: Generation) -> Iterator[str]:
    attributes = span.attributes or {}
    kind = _span_type(span)
    for name, value in attributes.items():
        declared = names.attribute_of(name)
        if declared is None:
            yield f"{span.name}: attribute {name} is not declared"
        else:
            yield from (
                f"{span.name}: {name}={value!r} {fault}"
                for fault in _attribute_faults(declared, value, kind, generation)
            )
    for declared in names.ATTRIBUTES.values():
        if declared.required and kind in declared.on and declared.name not in attributes:
            yield f"{span.name}: attribute {declared.name} is missing"
    for event in span.events:
        if (
            event.name not in names.EVENTS
            and event.name not in (names.CONTENT_EVENT, "exception")
            and not event.name.startswith(names.FACT_EVENT)
        ):
            yield f"{span.name}: event {event.name} is not declared"


def _span_type(span: ReadableSpan) -> SpanType:
    attributes = span.attributes or {}
    if names.CALL_ID.name in attributes:
        return "call"
    if names.TOOL_NAME.name in attributes:
        return "tool"
    return "stage" if names.STAGE_INDEX.name in attributes else "attempt"


def _attribute_faults(declared: Attribute, value: object, kind: SpanType, generation: Generation) -> Iterator[str]:
    if not isinstance(value, _TYPES[declared.type]) or (isinstance(value, bool) and declared.type != "bool"):
        yield f"is not of type {declared.type}"
    if declared.values is not None and value not in declared.values:
        yield "is outside its closed values"
    if kind not in declared.on:
        yield f"does not belong on a span of type {kind}"
    if generation not in declared.generations:
        yield f"is not of generation {generation}"


_LABEL = re.compile(r'(\w+)="([^"]*)"')


def _metric_faults(sample: str, generation: Generation) -> Iterator[str]:
    name, _, labels = sample.partition("{")
    declared = _metric_of(name)
    if declared is None or generation not in declared.generations:
        yield f"metric {name} is not declared"
        return
    closed = {label.name.replace(".", "_"): label.values for label in declared.labels}
    for label, value in _LABEL.findall(labels):
        if label != "le" and label not in closed:
            yield f"metric {name}: label {label} is not declared"
        elif closed.get(label) is not None and value not in (closed[label] or ()):
            yield f"metric {name}: {label}={value!r} is outside its closed values"


def _metric_of(sample: str) -> Metric | None:
    for metric in names.METRICS.values():
        suffixes = ("_bucket", "_count", "_sum") if metric.kind == "histogram" else ("",)
        if sample in {metric.prometheus + suffix for suffix in suffixes}:
            return metric
    return None
