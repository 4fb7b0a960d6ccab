"""What is written into requests, and what runs beside calls."""

from __future__ import annotations

from glassway.pipeline.telemetry import names

from .board import BAD, GOOD, QUIET, Panel, Query, Row, legend
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

SEMANTIC = Row(
    "Semantic cache",
    (
        Panel(
            "Semantic cache verdicts",
            "Calls per second by what the semantic cache did. `error`: the embedding or the store; the calls went on without.",
            "cps",
            (Query(or_zero(rate(names.SEMANTIC, by=(names.L_SEMANTIC,)), names.L_SEMANTIC), legend(names.L_SEMANTIC)),),
            "stack",
            colours={"hit": GOOD, "error": BAD, "bypassed": QUIET},
        ),
        Panel(
            "Similarity of the best match",
            "Median cosine of a question with the most similar one that is kept. Hits just above the threshold are the ones that are wrong: raise "
            "it if the checks say so. Misses just below it are what a lower one would give.",
            "short",
            (Query(quantile(0.5, names.SEMANTIC_SIMILARITY, by=(names.L_SEMANTIC,)), legend(names.L_SEMANTIC)),),
        ),
        Panel(
            "False hits, by check",
            "Checks of hits per second by what they found (`check_share`). `different` over `same` and `different` is the share of hits that is wrong; "
            "`client.health()` has it with its interval.",
            "cps",
            (
                Query(
                    or_zero(rate(names.SEMANTIC_CHECKS, by=(names.L_CHECKED,)), names.L_CHECKED),
                    legend(names.L_CHECKED),
                ),
            ),
            "stack",
            4,
            colours={"same": GOOD, "different": BAD, "failed": QUIET},
        ),
        Panel(
            "Entries",
            "Kept questions in the indexes of semantic caches, of this process. At `max_entries` each new one takes the place of another.",
            "short",
            (Query(level(names.SEMANTIC_ENTRIES), "entries"),),
            width=4,
        ),
    ),
)

ROWS = (DEFAULTS, SHADOWS, SEMANTIC)
