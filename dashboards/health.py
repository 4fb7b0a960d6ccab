"""Whether what this board shows can be trusted."""

from __future__ import annotations

from glassway.pipeline.telemetry import names

from .board import BAD, FAIR, GOOD, POOR, Panel, Query, Row, legend
from .promql import level, rate

HEALTH = Row(
    "Telemetry's own health",
    (
        Panel(
            "Traces",
            "Kept traces per second by what became of them. `failed`: the collector refuses them or is away; `dropped`: the "
            "queue was full. Neither slows a call; both leave holes in the traces.",
            "cps",
            (Query(rate(names.TRACES, by=(names.L_TRACES,)), legend(names.L_TRACES)),),
            "stack",
            6,
            colours={"exported": GOOD, "failed": BAD, "dropped": POOR},
        ),
        Panel(
            "Traces waiting",
            "Kept traces that wait for export. If it stays high, the collector is too slow: keep fewer "
            "(`Keep(ratio=...)`), or give it more room (`queue_traces`).",
            "short",
            (Query(level(names.QUEUE_DEPTH), "waiting"),),
            width=6,
            limits=((1500, FAIR), (2000, BAD)),
        ),
        Panel(
            "Callbacks",
            "Events for callbacks per second by what became of them. `failed`: a callback raised, the log says which; "
            "`dropped`: it is too slow for the traffic.",
            "cps",
            (Query(rate(names.CALLBACKS, by=(names.L_DELIVERY,)), legend(names.L_DELIVERY)),),
            "stack",
            4,
            colours={"delivered": GOOD, "failed": BAD, "dropped": POOR},
        ),
        Panel(
            "Callbacks waiting",
            "Events that wait for a callback. If it grows, a callback is slower than the traffic: make it async, or hand "
            "over in batches.",
            "short",
            (Query(level(names.CALLBACKS_WAITING), "waiting"),),
            width=4,
        ),
        Panel(
            "Observers that raised",
            "Per second. Calls went on, but something (a cost, a metric, a cache entry) may be missing. Always worth a look at "
            "the log.",
            "cps",
            (Query(rate(names.OBSERVER_FAILURES), "failures"),),
            width=4,
            colours={"failures": BAD},
        ),
    ),
)

ROWS = (HEALTH,)
