"""Tokens and what they cost."""

from __future__ import annotations

from glassway.pipeline.telemetry import names

from .board import BAD, FAIR, GOOD, QUIET, Panel, Query, Row, legend
from .promql import grown, one_of, or_zero, per_call, rate, ratio, times

_MINUTE, _HOUR = 60, 3600
_INPUT = one_of(names.L_TYPE, "input")
_OUTPUT = one_of(names.L_TYPE, "output")
_BILLED = one_of(names.L_TYPE, "input", "output")
_CACHE_READ = one_of(names.L_TYPE, "cache_read")
_USEFUL = one_of(names.L_USEFUL, "true")
_WASTED = one_of(names.L_USEFUL, "false")

_USEFUL_COLOURS = {"useful": GOOD, "wasted": BAD}

TOKENS = Row(
    "Tokens",
    (
        Panel(
            "Tokens per minute by type",
            "As vendors count them. Cached and written tokens are part of the input, reasoning part of the output. Input that "
            "grows while calls do not: conversations are not shortened.",
            "short",
            (Query(times(_MINUTE, rate(names.TOKENS, by=(names.L_TYPE,))), legend(names.L_TYPE)),),
        ),
        Panel(
            "Useful and wasted tokens per minute",
            "Wasted are those of attempts whose answer nobody got: failed, cut, or lost a race. If waste grows, see Retries "
            "by kind; cut streams cost most.",
            "short",
            (
                Query(times(_MINUTE, or_zero(rate(names.TOKENS, _BILLED, _USEFUL))), "useful"),
                Query(times(_MINUTE, or_zero(rate(names.TOKENS, _BILLED, _WASTED))), "wasted"),
            ),
            "stack",
            colours=_USEFUL_COLOURS,
        ),
        Panel(
            "Input read from vendors' caches",
            "Share of input tokens. Low for long, equal beginnings of prompts: put what never changes first, and mark it "
            "(`cache_control`) where the vendor wants that.",
            "percentunit",
            (Query(ratio(or_zero(rate(names.TOKENS, _CACHE_READ)), rate(names.TOKENS, _INPUT)), "read from cache"),),
            highest=1,
        ),
        Panel(
            "Output tokens per minute by model",
            "Output is the dear part, and the slow one. If a model's output jumps, look for a missing `max_tokens`.",
            "short",
            (Query(times(_MINUTE, rate(names.TOKENS, _OUTPUT, by=(names.L_MODEL,))), legend(names.L_MODEL)),),
            "stack",
            width=12,
        ),
        Panel(
            "Token counts that contradict themselves",
            "Per minute, by vendor: cached above prompt, reasoning above completion, a total that is no sum, or less than 0. Then bills are "
            "estimates, on the dear side. Anything here is worth a bug report, to the vendor or to us.",
            "short",
            (
                Query(
                    or_zero(times(_MINUTE, rate(names.ANOMALIES, by=(names.L_PROVIDER,))), names.L_PROVIDER),
                    legend(names.L_PROVIDER),
                ),
            ),
            "bars",
            width=12,
        ),
    ),
)

COST = Row(
    "Cost",
    (
        Panel(
            "Cost by model",
            "US dollars per hour at the present rate. If one model dominates, try a smaller one behind the same name and "
            "compare.",
            "currencyUSD",
            (Query(times(_HOUR, rate(names.COST, by=(names.L_MODEL,))), legend(names.L_MODEL)),),
            "stack",
        ),
        Panel(
            "Useful and wasted cost",
            "US dollars per hour. Wasted is what failed attempts cost. Above a tenth: fewer retries, or a fallback sooner.",
            "currencyUSD",
            (
                Query(times(_HOUR, or_zero(rate(names.COST, _USEFUL))), "useful"),
                Query(times(_HOUR, or_zero(rate(names.COST, _WASTED))), "wasted"),
            ),
            "stack",
            colours=_USEFUL_COLOURS,
        ),
        Panel(
            "Saved by the cache",
            "US dollars per hour that hits did not cost. Nothing here although calls repeat: see Cache verdicts.",
            "currencyUSD",
            (Query(times(_HOUR, or_zero(rate(names.SAVED))), "saved"),),
            colours={"saved": GOOD},
        ),
        Panel(
            "Unpriced calls per hour",
            "Calls whose cost is unknown, in whole or in part: a model without a price, or an answer without token counts. "
            "They are in no sum above. Give the model a price: `Cost(overrides=...)`.",
            "short",
            (Query(times(_HOUR, or_zero(rate(names.UNPRICED))), "unpriced"),),
            width=6,
            limits=((1, FAIR),),
        ),
        Panel(
            "Cost by certainty",
            "US dollars per hour by how sure the amount is. `estimated` tokens were not counted by the vendor, "
            "or contradict themselves. Much of it: let streams end, so that their usage arrives.",
            "currencyUSD",
            (
                Query(
                    or_zero(times(_HOUR, rate(names.COST, by=(names.L_STATUS,))), names.L_STATUS),
                    legend(names.L_STATUS),
                ),
            ),
            "stack",
            6,
            colours={"exact": GOOD, "estimated": FAIR},
        ),
        Panel(
            "Cost per call",
            "Mean US dollars a call. If it rises at the same models, prompts or outputs have grown.",
            "currencyUSD",
            (Query(per_call(or_zero(rate(names.COST))), "per call"),),
            width=6,
        ),
        Panel(
            "Spent in 24 hours",
            "US dollars of the past day, by tenant and in all. A tenant above its share: set a budget.",
            "currencyUSD",
            (
                Query(or_zero(grown(names.COST, "24h")), "all"),
                Query(
                    or_zero(grown(names.TENANT_COST, "24h", by=(names.L_TENANT,)), names.L_TENANT),
                    legend(names.L_TENANT),
                ),
            ),
            width=6,
            colours={"all": QUIET},
        ),
    ),
)

ROWS = (TOKENS, COST)
