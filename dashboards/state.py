"""What outlives a call: where it went, what is kept of it, and the state that calls share."""

from __future__ import annotations

from glassway.pipeline.telemetry import names

from .board import BAD, GOOD, POOR, QUIET, Panel, Query, Row, legend
from .promql import level, or_zero, rate

CIRCUITS = Row(
    "Circuits",
    (
        Panel(
            "What circuit breakers did",
            "Per second, by target. `refused` calls were not sent: have a Fallback outside. `probe` tries whether the target is back; `opened` and "
            "`closed` are the changes.",
            "cps",
            (
                Query(
                    or_zero(rate(names.CIRCUITS, by=(names.L_CIRCUIT, names.L_CIRCUIT_EVENT)), names.L_CIRCUIT),
                    legend(names.L_CIRCUIT, names.L_CIRCUIT_EVENT),
                ),
            ),
            "stack",
            12,
        ),
        Panel(
            "Open circuits",
            "By target: 0 closed, 1 half-open, 2 open, added up over processes. A target that is open for long is down, or its `count` of errors is "
            "too wide.",
            "short",
            (Query(level(names.CIRCUIT_STATE, by=(names.L_CIRCUIT,)), legend(names.L_CIRCUIT)),),
            width=12,
        ),
    ),
)

POOLS = Row(
    "Pools",
    (
        Panel(
            "What pools did",
            "Calls per second by pool. Steady `waited`: the pool is the bottleneck, or the vendor is slow. `refused`: the queue is full, or nobody got a "
            "place in time.",
            "cps",
            (
                Query(
                    or_zero(rate(names.POOLS, by=(names.L_POOL, names.L_POOLED)), names.L_POOL),
                    legend(names.L_POOL, names.L_POOLED),
                ),
            ),
            "stack",
            6,
        ),
        Panel(
            "Places in use",
            "Calls under way by pool, over all processes. At the size of the pool, the next call waits: make it larger if the vendor can take "
            "more, or send less.",
            "short",
            (
                Query(level(names.POOL_IN_USE, by=(names.L_POOL,)), "{{pool}} in use"),
                Query(level(names.POOL_SIZE, by=(names.L_POOL,)), "{{pool}} size"),
            ),
            width=6,
        ),
        Panel(
            "Calls that wait for a place",
            "Calls in the queues of pools now. A queue that never empties means that more comes in than goes out, and every call waits for all "
            "before it.",
            "short",
            (Query(level(names.POOL_WAITING, by=(names.L_POOL,)), legend(names.L_POOL)),),
            width=6,
        ),
        Panel(
            "Waiting for a place",
            "Seconds of waiting per second: 1 means that at any moment one call waits. It is part of what callers wait, and of no vendor's "
            "latency.",
            "s",
            (Query(or_zero(rate(names.POOL_WAIT, by=(names.L_POOL,)), names.L_POOL), legend(names.L_POOL)),),
            "stack",
            6,
        ),
    ),
)

STATE = Row(
    "Routes, ledger, shared state",
    (
        Panel(
            "Routes",
            "Calls per second by the target that a router chose. A weight that is not kept: look in the record of a call at what was "
            "skipped and why.",
            "cps",
            (
                Query(
                    or_zero(rate(names.ROUTES, by=(names.L_ROUTE, names.L_ROUTED)), names.L_ROUTE),
                    "{{route}} → {{target}}",
                ),
            ),
            "stack",
        ),
        Panel(
            "Calls for the ledger",
            "Calls since the process began by what became of their rows. `dropped`: the database is away or too slow, and `glassway costs` "
            "says too little. `waiting` is written within moments.",
            "short",
            (Query(level(names.LEDGER_CALLS, by=(names.L_LEDGER,)), legend(names.L_LEDGER)),),
            "stack",
            colours={"written": GOOD, "dropped": BAD, "waiting": QUIET},
        ),
        Panel(
            "Stores that could not be reached",
            "Per second, by stage and by what became of the call. `fail_open`: it went on without the limit, the budget or the cache; "
            "`fail_closed`: it was refused. Bring the store back; nothing has to be restarted.",
            "cps",
            (
                Query(
                    or_zero(rate(names.STORE_FAILURES, by=(names.L_STAGE, names.L_POLICY)), names.L_STAGE),
                    legend(names.L_STAGE, names.L_POLICY),
                ),
            ),
            "stack",
            colours={"fail_open": POOR, "fail_closed": BAD},
        ),
    ),
)

BOUNDS = Row(
    "Limits and budgets",
    (
        Panel(
            "Limits",
            "Calls per second by limit and what it said. Steady `refused` or `waited`: a tenant that needs more, or a loop that should be slower. "
            "`not_checked`: the store is away.",
            "cps",
            (
                Query(
                    or_zero(rate(names.LIMITS, by=(names.L_LIMIT, names.L_LIMITED)), names.L_LIMIT),
                    legend(names.L_LIMIT, names.L_LIMITED),
                ),
            ),
            "stack",
            6,
        ),
        Panel(
            "Waiting for a limit",
            "Seconds of waiting per second: 1 means that at any moment one call waits for room. It counts towards what callers wait; the "
            "answer is a higher limit or fewer calls.",
            "s",
            (Query(or_zero(rate(names.LIMIT_WAIT, by=(names.L_LIMIT,)), names.L_LIMIT), legend(names.L_LIMIT)),),
            "stack",
            6,
        ),
        Panel(
            "Calls that wait for a limit",
            "Calls in the queues of rate limits now. Above half of `max_waiting` the next burst is refused with `QueueFull`: raise the limit, or send "
            "less at once.",
            "short",
            (Query(level(names.LIMIT_WAITING), "waiting"),),
            width=6,
        ),
        Panel(
            "Budgets",
            "Calls per second by budget and what it said. `warned`: most of the money of this period is used or reserved. `refused`: there is too "
            "little left for the call, or nobody knows its price.",
            "cps",
            (
                Query(
                    or_zero(rate(names.BUDGETS, by=(names.L_BUDGET, names.L_BUDGETED)), names.L_BUDGET),
                    legend(names.L_BUDGET, names.L_BUDGETED),
                ),
            ),
            "stack",
            6,
        ),
        Panel(
            "Budgets used",
            "US dollars used or reserved in this period, of budgets that all calls share. It falls to 0 when a period begins, and a little when "
            "calls end that cost less than they might have.",
            "currencyUSD",
            (Query(level(names.BUDGET_USED, by=(names.L_BUDGET,)), legend(names.L_BUDGET)),),
            width=24,
        ),
    ),
)

ROWS = (POOLS, CIRCUITS, BOUNDS, STATE)
