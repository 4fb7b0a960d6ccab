"""What is written into requests, and what runs beside calls."""

from __future__ import annotations

from glassway.pipeline.telemetry import names

from .board import Panel, Query, Row, legend
from .promql import level, or_zero, quantile, rate, times

_HOUR = 3600

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

SHADOWS = Row(
    "Shadows",
    (
        Panel(
            "Shadow verdicts",
            "Shadows per second by what they would have done. `differed` is for reading: give the stage a `compare` that knows what matters. "
            "`would_refuse`: what would be blocked if the stage were in force. `failed`: the shadow's own trouble; no call felt it.",
            "cps",
            (
                Query(
                    or_zero(rate(names.SHADOW_RUNS, by=(names.L_SHADOW, names.L_SHADOWED)), names.L_SHADOW),
                    legend(names.L_SHADOW, names.L_SHADOWED),
                ),
            ),
            "stack",
        ),
        Panel(
            "Shadow or call, which is slower",
            "Median of how much later the slower of the two had its reply (of a stream, its first chunk), by which one it was.",
            "s",
            (
                Query(
                    quantile(0.5, names.SHADOW_GAP, by=(names.L_SHADOW, names.L_SLOWER)),
                    legend(names.L_SHADOW, names.L_SLOWER),
                ),
            ),
        ),
        Panel(
            "Cost of shadows",
            "US dollars per hour. It is on no caller's bill and in no other panel. Cap it: `Shadow(most_usd=...)`.",
            "currencyUSD",
            (
                Query(
                    times(_HOUR, or_zero(rate(names.SHADOW_COST, by=(names.L_SHADOW,)), names.L_SHADOW)), "{{shadow}}"
                ),
            ),
        ),
        Panel(
            "Shadows under way",
            "At this moment. At the stage's `most_in_flight` further ones are dropped.",
            "short",
            (Query(level(names.SHADOWS_RUNNING, by=(names.L_SHADOW,)), legend(names.L_SHADOW)),),
            width=12,
        ),
        Panel(
            "Shadows dropped",
            "Per second, of those that the sample wanted, by why. `too_many`: raise `most_in_flight` or lower `share`. `money_spent`: the cap "
            "holds. `unpriced`: give the target a price.",
            "cps",
            (
                Query(
                    or_zero(rate(names.SHADOW_DROPS, by=(names.L_SHADOW, names.L_UNSHADOWED)), names.L_SHADOW),
                    legend(names.L_SHADOW, names.L_UNSHADOWED),
                ),
            ),
            "stack",
            12,
        ),
    ),
)

ROWS = (DEFAULTS, SHADOWS)
