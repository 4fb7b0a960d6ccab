"""What outlives a call: where it went, what is kept of it, and the state that calls share."""

from __future__ import annotations

from glassway.pipeline.telemetry import names

from .board import BAD, GOOD, POOR, QUIET, Panel, Query, Row, legend
from .promql import level, or_zero, rate

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

ROWS = (STATE,)
