"""PromQL over declared metrics: what nobody declared fails when the board is built, instead of making an empty panel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from glassway.pipeline.telemetry import names

if TYPE_CHECKING:
    from glassway.pipeline.telemetry.schema import Label, Metric

Part = Literal["", "bucket", "sum", "count"]

INTERVAL = "$__rate_interval"
_FILTERS = (names.L_PROVIDER, names.L_MODEL)


@dataclass(frozen=True, slots=True)
class Matcher:
    """One condition on a label."""

    label: Label
    values: tuple[str, ...]
    equal: bool = True

    def __post_init__(self) -> None:
        unknown = set(self.values) - (self.label.values or set(self.values))
        if unknown:
            raise ValueError(f"Label {self.label.name!r} never has the value {min(unknown)!r}.")

    def __str__(self) -> str:
        sign = ("=" if self.equal else "!") + ("~" if len(self.values) > 1 else "" if self.equal else "=")
        return f'{_label(self.label)}{sign}"{"|".join(self.values)}"'


def one_of(label: Label, *values: str) -> Matcher:
    """The label has one of these values."""
    return Matcher(label, values)


def none_of(label: Label, *values: str) -> Matcher:
    """The label has none of these values."""
    return Matcher(label, values, equal=False)


def series(metric: Metric, *where: Matcher, part: Part = "", filtered: bool = True) -> str:
    """A metric's series under the board's variables. `filtered`: whether the vendor and model chosen there narrow it.

    Raises `ValueError` for a label that the metric does not have, and for a part of what is no histogram.
    """
    if (part != "") != (metric.kind == "histogram"):
        raise ValueError(f"{metric.name} is a {metric.kind}; it has no series {part or 'without a suffix'!r}.")
    for matcher in where:
        _known(metric, matcher.label)
    matchers = ['job=~"$job"']
    if filtered:
        matchers += [f'{label.name}=~"${label.name}"' for label in _FILTERS if label in metric.labels]
    suffix = f"_{part}" if part else ""
    return f"{metric.prometheus}{suffix}{{{','.join([*matchers, *map(str, where)])}}}"


def rate(metric: Metric, *where: Matcher, by: tuple[Label, ...] = (), part: Part = "", filtered: bool = True) -> str:
    """Per second, added up over everything but `by`."""
    return _sum(metric, f"rate({series(metric, *where, part=part, filtered=filtered)}[{INTERVAL}])", by)


def level(metric: Metric, *where: Matcher, by: tuple[Label, ...] = ()) -> str:
    """A gauge as it is, added up over everything but `by`."""
    return _sum(metric, series(metric, *where), by)


def grown(metric: Metric, window: str, *where: Matcher, by: tuple[Label, ...] = ()) -> str:
    """By how much a counter has grown in a window such as `24h`."""
    return _sum(metric, f"increase({series(metric, *where)}[{window}])", by)


def buckets(metric: Metric) -> str:
    """Observations per bucket, for heat maps."""
    return f"sum by (le) (increase({series(metric, part='bucket')}[{INTERVAL}]))"


def quantile(share: float, metric: Metric, *where: Matcher, by: tuple[Label, ...] = ()) -> str:
    """An estimate from a histogram's buckets; `share` 0.95 is the value that 95 % stay under."""
    grouping = ", ".join(["le", *(_known(metric, label) for label in by)])
    return (
        f"histogram_quantile({share}, sum by ({grouping}) (rate({series(metric, *where, part='bucket')}[{INTERVAL}])))"
    )


def per_call(expression: str, *, filtered: bool = True) -> str:
    """Divided by how many calls ended; nothing where none did."""
    return f"{expression} / on () group_left () ({rate(names.CALLS, filtered=filtered)} > 0)"


def ratio(part: str, whole: str) -> str:
    """One sum over another; nothing where the other is 0."""
    return f"{part} / ({whole} > 0)"


def times(factor: int, expression: str) -> str:
    """Multiplied; binds tighter than `or`."""
    return f"{factor} * {expression}"


def or_zero(expression: str, by: Label | None = None) -> str:
    """Zero where nothing of the kind has happened yet; still nothing where no process is scraped.

    Counters with labels have no series before the first event. The zero hangs on a gauge that every process has, so
    that a gateway that is gone does not look like one that is well. With `by`, the zero is called `none`.
    """
    if by is None:
        return f"({expression} or {ZERO})"
    return f'{expression} or on () label_replace({ZERO}, "{_label(by)}", "none", "", "")'


def _sum(metric: Metric, inner: str, by: tuple[Label, ...]) -> str:
    grouping = ", ".join(_known(metric, label) for label in by)
    return f"sum by ({grouping}) ({inner})" if grouping else f"sum({inner})"


def _known(metric: Metric, label: Label) -> str:
    if label not in metric.labels:
        raise ValueError(f"{metric.name} has no label {label.name!r}; it has {', '.join(metric.label_names)}.")
    return _label(label)


def _label(label: Label) -> str:
    return label.name.replace(".", "_")


ZERO = f"0 * {level(names.QUEUE_DEPTH)}"
"""0 as long as a process is scraped."""
