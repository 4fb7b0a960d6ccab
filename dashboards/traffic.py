"""How much, how well, how fast."""

from __future__ import annotations

from glassway.pipeline.telemetry import names

from .board import BAD, FAIR, GOOD, POOR, QUIET, Panel, Query, Row, legend
from .promql import buckets, level, none_of, one_of, or_zero, per_call, quantile, rate, ratio, times

_HOUR = 3600
_FAILED = one_of(names.L_END, "failed", "interrupted", "timeout")
_HIT = one_of(names.L_VERDICT, "hit", "shared")
_LOOKED_UP = none_of(names.L_VERDICT, "bypassed")
_OUR_OWN = none_of(names.L_STAGE, "provider", "consumer")

FAILED_SHARE = per_call(or_zero(rate(names.CALLS, _FAILED)))
HIT_SHARE = ratio(or_zero(rate(names.CACHE, _HIT)), rate(names.CACHE, _LOOKED_UP))

GLANCE = Row(
    "At a glance",
    height=4,
    panels=(
        Panel(
            "Calls per second",
            "Calls that have ended. A sudden fall: look at Calls by end, and whether the gateway is scraped at all.",
            "cps",
            (Query(rate(names.CALLS), "calls"),),
            "number",
            3,
        ),
        Panel(
            "Failed",
            "Share of calls that failed, were cut or ran out of time. Above 1 %: Errors by kind says why, Attempts that failed says where.",
            "percentunit",
            (Query(FAILED_SHARE, "failed"),),
            "number",
            3,
            ((0.01, FAIR), (0.05, BAD)),
        ),
        Panel(
            "Duration, p95",
            "95 % of calls are over within this time, streams to their end. If it rises, Where does the time go says in which stage.",
            "s",
            (Query(quantile(0.95, names.CALL_DURATION), "p95"),),
            "number",
            3,
        ),
        Panel(
            "First content, p95",
            "How long people wait before they see something, in streams. Above 2 s it is felt: try a smaller model, or a shorter prompt.",
            "s",
            (Query(quantile(0.95, names.FIRST_CONTENT_S), "p95"),),
            "number",
            3,
            ((2.0, FAIR), (5.0, BAD)),
        ),
        Panel(
            "Our own share",
            "Mean time a call spends outside the vendor and the consumer: all stages, waits of retries included. "
            "If it rises, find the stage in Mean self time.",
            "s",
            (
                Query(
                    per_call(rate(names.STAGE_SELF, _OUR_OWN, part="sum"), filtered=False),
                    "own share",
                ),
            ),
            "number",
            3,
        ),
        Panel(
            "US dollars per hour",
            "What vendors charge at the present rate, failed attempts included. If it jumps, Cost by model says where.",
            "currencyUSD",
            (Query(times(_HOUR, or_zero(rate(names.COST))), "spent"),),
            "number",
            3,
        ),
        Panel(
            "Cache hits",
            "Share of the calls that asked the cache and were answered by it. A collapse usually means that something in the "
            "prompt changes every time: compare two keys with `explain`.",
            "percentunit",
            (Query(HIT_SHARE, "hits"),),
            "number",
            3,
        ),
        Panel(
            "Fallbacks per call",
            "How often a call had to move to another target. Above 5 % a vendor is in trouble: see Fallbacks and its status page.",
            "percentunit",
            (Query(per_call(or_zero(rate(names.FALLBACKS)), filtered=False), "fallbacks"),),
            "number",
            3,
            ((0.05, FAIR), (0.2, BAD)),
        ),
    ),
)

_END_COLOURS = {
    "completed": GOOD,
    "failed": BAD,
    "interrupted": POOR,
    "timeout": "dark-red",
    "cancelled": QUIET,
    "closed": "light-blue",
    "abandoned": "purple",
}

TRAFFIC = Row(
    "Traffic and errors",
    (
        Panel(
            "Calls by end",
            "Calls per second by how they ended. `cancelled` and `closed` are the caller's choice; many `abandoned` mean that "
            "streams are dropped unclosed: close them, or read them to the end.",
            "cps",
            (Query(rate(names.CALLS, by=(names.L_END,)), legend(names.L_END)),),
            "stack",
            colours=_END_COLOURS,
        ),
        Panel(
            "Errors by kind",
            "Share of all calls by kind of error. `rate_limited` and `overloaded`: slow down or add a fallback. `invalid_request`, "
            "`context_length`, `auth`: the caller must change something. `connect`, `timeout`: look at the network.",
            "percentunit",
            (
                Query(
                    or_zero(
                        per_call(rate(names.CALLS, none_of(names.L_ERROR, ""), by=(names.L_ERROR,))), names.L_ERROR
                    ),
                    legend(names.L_ERROR),
                ),
            ),
            "stack",
        ),
        Panel(
            "In flight",
            "Calls that have not ended, and open streams among them. If it grows while calls per second do not, streams are not "
            "closed or a vendor hangs: set a timeout.",
            "short",
            (
                Query(or_zero(level(names.IN_FLIGHT, one_of(names.L_STREAM, "false"))), "unary calls"),
                Query(or_zero(level(names.IN_FLIGHT, one_of(names.L_STREAM, "true"))), "open streams"),
            ),
        ),
        Panel(
            "Calls by vendor",
            "Calls per second by the vendor that answered, or was asked last; `none` are those answered by the cache or stopped "
            "before any vendor. A shift nobody asked for is a fallback at work.",
            "cps",
            (Query(rate(names.CALLS, by=(names.L_PROVIDER,)), legend(names.L_PROVIDER)),),
            "stack",
        ),
        Panel(
            "Calls by model",
            "Calls per second by model. `other` means that more models are in use than the label has room for: raise "
            "`label_limits`, or register names for models.",
            "cps",
            (Query(rate(names.CALLS, by=(names.L_MODEL,)), legend(names.L_MODEL)),),
            "stack",
        ),
        Panel(
            "Calls by tenant",
            "Calls per second by tenant, of calls that name one. One that dwarfs the others may need a limit or a budget.",
            "cps",
            (
                Query(
                    or_zero(rate(names.TENANT_CALLS, by=(names.L_TENANT,)), names.L_TENANT),
                    legend(names.L_TENANT),
                ),
            ),
            "stack",
        ),
    ),
)

_QUANTILES = ((0.5, "p50"), (0.95, "p95"), (0.99, "p99"))

LATENCY = Row(
    "Latency",
    (
        Panel(
            "Duration",
            "Whole calls, streams to their end. Click a dot to open the trace behind it. If p99 leaves p50 behind, open a dot at "
            "the top: it is usually a retry, a fallback or a long output.",
            "s",
            tuple(Query(quantile(share, names.CALL_DURATION), name, exemplars=True) for share, name in _QUANTILES),
        ),
        Panel(
            "Durations",
            "How durations spread. Two bands are two kinds of calls (hits and misses, short and long); a new band on top is a new problem.",
            "s",
            (Query(buckets(names.CALL_DURATION), "{{le}}", exemplars=True),),
            "heatmap",
        ),
        Panel(
            "Duration by model, p95",
            "A model that is slower than it was: its vendor has trouble, or prompts have grown (Tokens).",
            "s",
            (Query(quantile(0.95, names.CALL_DURATION, by=(names.L_MODEL,)), legend(names.L_MODEL)),),
        ),
        Panel(
            "Attempt duration by vendor, p95",
            "One request to a vendor, from sending to the end of the body. What Duration has more than this is waiting and "
            "trying again.",
            "s",
            (Query(quantile(0.95, names.ATTEMPT_DURATION, by=(names.L_PROVIDER,)), legend(names.L_PROVIDER)),),
            width=12,
        ),
        Panel(
            "Unary and streams, p95",
            "Streams last as long as their output; judge them by their first content instead.",
            "s",
            (
                Query(quantile(0.95, names.CALL_DURATION, one_of(names.L_STREAM, "false")), "unary"),
                Query(quantile(0.95, names.CALL_DURATION, one_of(names.L_STREAM, "true")), "streams"),
            ),
            width=12,
        ),
    ),
)

STREAMING = Row(
    "Streaming",
    (
        Panel(
            "First chunk by model, p95",
            "From the call's start to the first chunk. Click a dot for the trace. High while attempts are quick: something "
            "before the vendor waits (retries, guardrails).",
            "s",
            (Query(quantile(0.95, names.FIRST_CHUNK_S, by=(names.L_MODEL,)), legend(names.L_MODEL), exemplars=True),),
        ),
        Panel(
            "First content by model, p95",
            "To the first chunk with output. What it has more than the first chunk is the model thinking, or a guardrail "
            "holding chunks back.",
            "s",
            (Query(quantile(0.95, names.FIRST_CONTENT_S, by=(names.L_MODEL,)), legend(names.L_MODEL), exemplars=True),),
        ),
        Panel(
            "Gap between chunks by model, p95",
            "Measured on the vendor's side, so a slow reader does not show here. Gaps above 0.5 s look like stutter: the "
            "vendor is overloaded, or a proxy in between collects chunks.",
            "s",
            (Query(quantile(0.95, names.CHUNK_GAP, by=(names.L_MODEL,)), legend(names.L_MODEL)),),
        ),
    ),
)

ROWS = (GLANCE, TRAFFIC, LATENCY, STREAMING)
