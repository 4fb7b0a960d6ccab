"""What is written into requests, and what runs beside calls."""

from __future__ import annotations

from glassway.pipeline.telemetry import names

from .board import Panel, Query, Row, legend
from .promql import or_zero, rate

DEFAULTS = Row(
    "Defaults",
    (
        Panel(
            "Defaults applied",
            "Fields per second that `Defaults` wrote into requests, by what it did. Much `forced` or `capped`: callers ask for what "
            "they do not get; tell them, or raise the cap.",
            "cps",
            (
                Query(
                    or_zero(rate(names.DEFAULTS, by=(names.L_FIELD, names.L_DEFAULT)), names.L_FIELD),
                    legend(names.L_FIELD, names.L_DEFAULT),
                ),
            ),
            "stack",
            24,
        ),
    ),
)

ROWS = (DEFAULTS,)
