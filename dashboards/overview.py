"""The overview board: one page that says how the gateway is, what it costs and where time goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import beside, health, money, stages, state, traffic
from .grafana import render

if TYPE_CHECKING:
    from .board import Row

TITLE = "Glassway"
UID = "glassway-overview"
DESCRIPTION = "Calls, latency, streams, tokens, money, stages, retries, cache, guardrails, and telemetry's own health."
ROWS: tuple[Row, ...] = (*traffic.ROWS, *money.ROWS, *stages.ROWS, *beside.ROWS, *state.ROWS, *health.ROWS)


def overview() -> str:
    """The board as Grafana's JSON."""
    return render(TITLE, UID, DESCRIPTION, ROWS)
