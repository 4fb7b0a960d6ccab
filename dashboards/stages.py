"""What the stages did: time, attempts, cache, guardrails."""

from __future__ import annotations

from glassway.pipeline.telemetry import names

from .board import BAD, FAIR, GOOD, POOR, QUIET, Panel, Query, Row, legend
from .promql import level, none_of, one_of, or_zero, per_call, quantile, rate, ratio, times
from .traffic import HIT_SHARE

_HOUR = 3600

_ATTRIBUTED = ratio(rate(names.STAGE_SELF, part="sum"), rate(names.CALL_DURATION, part="sum", filtered=False))

TIME = Row(
    "Where does the time go",
    (
        Panel(
            "Mean self time per call by stage",
            "What each stage takes itself, without what is inside it; the stack is as high as the mean duration. `provider` is the vendor, "
            "`consumer` the reader of a stream, `call` the pipeline. The widest band is the one to work on.",
            "s",
            (
                Query(
                    per_call(rate(names.STAGE_SELF, by=(names.L_STAGE,), part="sum"), filtered=False),
                    legend(names.L_STAGE),
                ),
            ),
            "stack",
            12,
        ),
        Panel(
            "Self time by stage, p95",
            "A stage of ours belongs below a millisecond. More: a guardrail that calls a service, a cache over a slow disk or "
            "network, a retry that waits.",
            "s",
            (Query(quantile(0.95, names.STAGE_SELF, by=(names.L_STAGE,)), legend(names.L_STAGE)),),
            width=6,
        ),
        Panel(
            "Attributed time",
            "Self times of all stages over durations of all calls: 1 as long as every moment of a call belongs to exactly one "
            "stage. Hedged requests run side by side and lift it. Below 0.99 time is lost: please report it.",
            "percentunit",
            (Query(_ATTRIBUTED, "attributed"),),
            width=6,
        ),
    ),
)

RESILIENCE = Row(
    "Attempts, retries, fallbacks",
    (
        Panel(
            "Attempts per call",
            "Requests to vendors for each call. 1 is quiet; below 1 the cache answers; above 1.5 retries multiply the load "
            "on a vendor that is struggling: lower `Retry(attempts=...)`.",
            "short",
            (Query(per_call(or_zero(rate(names.ATTEMPTS_SENT, filtered=False)), filtered=False), "attempts per call"),),
            limits=((1.5, FAIR), (2.5, BAD)),
        ),
        Panel(
            "Attempts by reason",
            "Requests per second by why they were sent. Only `first` is work; the rest is repair.",
            "cps",
            (Query(rate(names.ATTEMPTS_SENT, by=(names.L_REASON,)), legend(names.L_REASON)),),
            "stack",
            colours={"first": GOOD, "retry": FAIR, "fallback": POOR, "hedge": QUIET},
        ),
        Panel(
            "Attempts that failed",
            "Per second, by vendor and kind of error, repaired or not. This moves before callers notice anything.",
            "cps",
            (
                Query(
                    or_zero(
                        rate(
                            names.ATTEMPTS_SENT,
                            none_of(names.L_ERROR, ""),
                            by=(names.L_PROVIDER, names.L_ERROR),
                        ),
                        names.L_PROVIDER,
                    ),
                    legend(names.L_PROVIDER, names.L_ERROR),
                ),
            ),
            "stack",
        ),
        Panel(
            "Retries by kind",
            "Per second, by the error that was retried. `rate_limited` all day: ask for a higher limit, or spread over "
            "several targets.",
            "cps",
            (
                Query(
                    or_zero(rate(names.RETRIES, by=(names.L_ERROR,)), names.L_ERROR),
                    legend(names.L_ERROR),
                ),
            ),
            "stack",
        ),
        Panel(
            "Time spent waiting to retry",
            "Seconds of waiting per second, by who set the wait: our backoff, or the vendor's `Retry-After`. 1 means that at any moment one "
            "call waits. Long `retry_after` waits: fall back instead.",
            "s",
            (
                Query(
                    or_zero(rate(names.RETRY_WAIT, by=(names.L_TOLD_BY,)), names.L_TOLD_BY),
                    legend(names.L_TOLD_BY),
                ),
            ),
            "stack",
        ),
        Panel(
            "Fallbacks",
            "Moves per second, from the target that failed to the one taken instead. Steady moves: make the second target "
            "the first.",
            "cps",
            (
                Query(
                    or_zero(rate(names.FALLBACKS, by=(names.L_SOURCE, names.L_TARGET)), names.L_SOURCE),
                    "{{source}} → {{target}}",
                ),
            ),
            "stack",
        ),
        Panel(
            "Retries that were not made",
            "Failed tries per second that might have passed and were not followed by another, by why. `retry_budget_spent`: a general "
            "outage, whose load is not multiplied. `wait_too_long`: the vendor asks for more than `longest_wait_s`.",
            "cps",
            (
                Query(
                    or_zero(rate(names.RETRY_STOPS, by=(names.L_STOPPED,)), names.L_STOPPED),
                    legend(names.L_STOPPED),
                ),
            ),
            "stack",
            12,
        ),
        Panel(
            "Hedges",
            "Second requests for slow ones per second, by which of the two answered first. Much `first_won`: hedge later. Much "
            "`not_sent`: everything is slow, or a cap is low.",
            "cps",
            (Query(or_zero(rate(names.HEDGES, by=(names.L_HEDGE,)), names.L_HEDGE), legend(names.L_HEDGE)),),
            "stack",
            12,
            colours={"hedge_won": GOOD, "first_won": FAIR, "neither_won": BAD, "not_sent": QUIET},
        ),
        Panel(
            "Cost of hedging",
            "US dollars per hour for requests that lost against another, by the second request's target. Above what the time is "
            "worth: `Hedge(most_usd=...)`.",
            "currencyUSD",
            (
                Query(
                    times(_HOUR, or_zero(rate(names.HEDGE_WASTE, by=(names.L_TARGET,)), names.L_TARGET)), "{{target}}"
                ),
            ),
            width=12,
        ),
        Panel(
            "Broken streams, mended or not",
            "Streams per second that broke after output under a `mid_stream` policy, by why nobody went on; the empty reason is a stream that was mended. "
            "`tool_call` and `structured_output` cannot be.",
            "cps",
            (
                Query(
                    or_zero(rate(names.SPLICES, by=(names.L_SPLICE, names.L_UNSPLICED)), names.L_SPLICE),
                    legend(names.L_SPLICE, names.L_UNSPLICED),
                ),
            ),
            "stack",
            12,
        ),
    ),
)

CACHE = Row(
    "Cache",
    (
        Panel(
            "Cache verdicts",
            "Calls per second by what the cache did. `error`: the store is ill. Much `not_stored`: answers that may not be "
            "kept (cut, refused, too long). `shared` waited for an equal call in flight.",
            "cps",
            (Query(or_zero(rate(names.CACHE, by=(names.L_VERDICT,)), names.L_VERDICT), legend(names.L_VERDICT)),),
            "stack",
            12,
            colours={
                "hit": GOOD,
                "shared": "light-green",
                "stored": QUIET,
                "miss": "light-blue",
                "not_stored": FAIR,
                "bypassed": "text",
                "error": BAD,
            },
        ),
        Panel(
            "Identical calls",
            "Calls per second that passed `Deduplicate`: `led` asked, `followed` got another's answer. Much `alone`: answers take longer than "
            "`wait_s`, or cannot be had in the form that was asked for.",
            "cps",
            (Query(or_zero(rate(names.DEDUPLICATION, by=(names.L_ROLE,)), names.L_ROLE), legend(names.L_ROLE)),),
            "stack",
            12,
            colours={"led": QUIET, "followed": GOOD, "alone": FAIR},
        ),
        Panel(
            "Sent together",
            "Calls per second that went out with others: of embeddings `sent` carried them, `joined` was carried; much `alone`: inputs are refused, "
            "and every request is sent twice. `together` are chats that left at the same moment.",
            "cps",
            (Query(or_zero(rate(names.BATCH, by=(names.L_BATCH,)), names.L_BATCH), legend(names.L_BATCH)),),
            "stack",
            12,
            colours={"sent": QUIET, "joined": GOOD, "together": GOOD, "alone": FAIR},
        ),
        Panel(
            "Hit ratio",
            "Hits and shared answers among the calls that asked the cache. If it falls after a release, something in the "
            "request now differs every time (a date, an id): `explain` shows what is in the key.",
            "percentunit",
            (Query(HIT_SHARE, "hit ratio"),),
            width=12,
            highest=1,
        ),
    ),
)

GUARDRAILS = Row(
    "Guardrails and translations",
    (
        Panel(
            "Guardrail verdicts",
            "Per second, over all rules. `would_block` and `would_redact` come from rules in shadow mode: look here before you "
            "arm them. `not_run` means that a rule was skipped; its reason is in the record.",
            "cps",
            (Query(or_zero(rate(names.GUARDRAILS, by=(names.L_GUARD,)), names.L_GUARD), legend(names.L_GUARD)),),
            "stack",
            colours={
                "passed": GOOD,
                "blocked": BAD,
                "redacted": POOR,
                "annotated": QUIET,
                "would_block": "light-red",
                "would_redact": "light-orange",
                "not_run": "purple",
            },
        ),
        Panel(
            "Blocked and redacted by rule",
            "Per hour, by rule and side. A rule that jumps after a release is either an attack or too strict: open one of its "
            "traces, which are always kept.",
            "short",
            (
                Query(
                    or_zero(
                        times(
                            _HOUR,
                            rate(
                                names.GUARDRAILS,
                                one_of(names.L_GUARD, "blocked", "redacted"),
                                by=(names.L_RULE, names.L_SIDE, names.L_GUARD),
                            ),
                        ),
                        names.L_RULE,
                    ),
                    legend(names.L_RULE, names.L_SIDE, names.L_GUARD),
                ),
            ),
            "bars",
        ),
        Panel(
            "Translated parameters",
            "Per hour: parameters that a vendor takes differently, by what was done. `dropped` means that the vendor never saw it; decide "
            "whether that is right for you, or set the policy to `strict`.",
            "short",
            (
                Query(
                    or_zero(
                        times(
                            _HOUR, rate(names.TRANSLATIONS, by=(names.L_PROVIDER, names.L_PARAMETER, names.L_ACTION))
                        ),
                        names.L_PROVIDER,
                    ),
                    legend(names.L_PROVIDER, names.L_PARAMETER, names.L_ACTION),
                ),
            ),
            "bars",
        ),
    ),
)

PROVING = Row(
    "Faults and recordings",
    (
        Panel(
            "Faults on purpose",
            "Failures per second that the stage `Faults` made, by kind. They are not the vendor's: in production this panel is empty, "
            "and a line here says that somebody left the stage on.",
            "cps",
            (Query(or_zero(rate(names.FAULTS, by=(names.L_FAULT,)), names.L_FAULT), legend(names.L_FAULT)),),
            "bars",
        ),
        Panel(
            "Played from cassettes",
            "Requests per second that `Replay` stood in for, or did not. `missed` failed because they were not recorded; `recorded` and "
            "`passed` went to the vendor.",
            "cps",
            (Query(or_zero(rate(names.REPLAYS, by=(names.L_REPLAY,)), names.L_REPLAY), legend(names.L_REPLAY)),),
            "stack",
            colours={"played": GOOD, "missed": BAD, "recorded": QUIET, "passed": "text"},
        ),
        Panel(
            "Recorded exchanges",
            "Exchanges for `Record` since the process began, by what became of them. `full`: the cassette has reached its limit. "
            "`dropped`: more came than could be written. `failed`: the disk, or a `redact` hook that raised.",
            "short",
            (Query(level(names.CASSETTE, by=(names.L_CASSETTE,)), legend(names.L_CASSETTE)),),
            "stack",
            colours={"written": GOOD, "full": POOR, "failed": BAD, "dropped": BAD, "waiting": QUIET},
        ),
    ),
)

ROWS = (TIME, RESILIENCE, CACHE, GUARDRAILS, PROVING)
