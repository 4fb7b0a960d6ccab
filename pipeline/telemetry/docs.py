"""`python -m glassway.pipeline.telemetry.docs > docs/telemetry.md`: the registry of names as a page."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from . import names
from .schema import Attribute, Label, Metric

_EVENTS = f"""Each is a fact that a stage wrote; its attributes are the fact's fields behind the event's name. A fact of your own
stages becomes `{names.FACT_EVENT}.<slot>`. Captured content may also come as `{names.CONTENT_EVENT}`."""


def page() -> str:
    """The whole page."""
    lines = [
        "# Telemetry names",
        "",
        "Made from `pipeline/telemetry/names.py` by `python -m glassway.pipeline.telemetry.docs`; do not edit.",
        "",
        "## Spans",
        "",
        *(f"* **{kind}**: {doc}" for kind, doc in names.SPANS.items()),
        "",
        "## Span attributes",
        "",
        "| Attribute | Type | On | Meaning |",
        "| --- | --- | --- | --- |",
        *(_attribute(attribute) for attribute in names.ATTRIBUTES.values()),
        "",
        "## Span events",
        "",
        _EVENTS,
        "",
        "| Event | Fields | Meaning |",
        "| --- | --- | --- |",
        *(f"| `{event.name}` | {_code(event.fields)} | {event.doc} |" for event in names.EVENTS.values()),
        "",
        "## Metrics",
        "",
        "| Prometheus | Kind | Labels | Meaning |",
        "| --- | --- | --- | --- |",
        *(_metric(metric) for metric in names.METRICS.values()),
        "",
        "## Labels",
        "",
        "| Label | Bound | Meaning |",
        "| --- | --- | --- |",
        *sorted({_label(label) for metric in names.METRICS.values() for label in metric.labels}),
    ]
    return "\n".join(lines) + "\n"


def _attribute(attribute: Attribute) -> str:
    values = f" One of {_code(sorted(attribute.values))}." if attribute.values and len(attribute.values) < 12 else ""
    only = "" if len(attribute.generations) > 1 else f" ({attribute.generations[0]} only)"
    needed = " Always there." if attribute.required else ""
    where = ", ".join(attribute.on)
    return f"| `{attribute.name}` | {attribute.type} | {where} | {attribute.doc}{needed}{values}{only} |"


def _metric(metric: Metric) -> str:
    only = "" if len(metric.generations) > 1 else f" ({metric.generations[0]} only)"
    return f"| `{metric.prometheus}` | {metric.kind} | {_code(metric.label_names)} | {metric.doc}{only} |"


def _label(label: Label) -> str:
    name = label.name.replace(".", "_")
    if label.values is None:
        return f"| `{name}` | {label.limit} values, then `{names.OTHER}` | {label.doc} |"
    return f"| `{name}` | {_code(sorted(value for value in label.values if value))} | {label.doc} |"


def _code(values: Iterable[str]) -> str:
    return ", ".join(f"`{value}`" for value in values) or "-"


if __name__ == "__main__":
    sys.stdout.write(page())
