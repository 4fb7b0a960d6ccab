"""All shadows of one stage: how many run, what they came to, and who is told."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import NamedTuple

from ...pipeline.beside import BesideTasks
from ...pipeline.delivery import Deliverer, Recipient
from ...pipeline.facts import Shadowed
from ...pipeline.gauges import Reading, watch
from ...pipeline.pricing import PriceTable
from ...pipeline.record import Record
from ...pipeline.types import Request, Response


class ShadowReport(NamedTuple):
    """What a function is told of one shadow. Unlike the record it holds content."""

    result: Shadowed
    request: Request
    """As the call brought it to the stage."""
    call_response: Response | None
    """The call's answer; None if it did not complete."""
    response: Response | None
    """The shadow's; None if it failed or would have refused."""
    record: Record
    """Of the shadow's own call: its attempts, its cost, what its stages decided."""


class Desk:
    """Counts shadows and tells of them; at most `limit` run at once."""

    def __init__(self, name: str, limit: int, recipients: Sequence[Recipient], queue: int) -> None:
        self.name = name
        self.tasks = BesideTasks(name, limit)
        self.verdicts: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.spent_usd = Decimal(0)
        self.unpriced = 0
        self._loaded = False
        self._recipients = recipients
        self._deliverer = Deliverer(queue)
        watch(self)

    async def load(self, prices: PriceTable) -> None:
        """Read the prices, once, where that holds up no event loop."""
        if not self._loaded:
            await asyncio.to_thread(prices.load)
            self._loaded = True

    def ended(self, report: ShadowReport, loop: asyncio.AbstractEventLoop) -> None:
        """Count a shadow and tell of it."""
        self.verdicts[report.result.verdict] += 1
        if report.result.cost_usd is not None:
            self.spent_usd += report.result.cost_usd
        else:
            self.unpriced += 1
        for recipient in self._recipients:
            self._deliverer.offer(recipient, report, loop)

    async def aclose(self, flush_s: float) -> None:
        """Wait for shadows under way and for what is to be told, at most `flush_s` of real time each; then end them."""
        await self.tasks.aclose(flush_s)
        await self._deliverer.flush(flush_s)
        self._deliverer.close()

    def readings(self) -> Iterable[Reading]:
        """For metrics."""
        yield Reading("glassway.shadows_running", (self.name,), self.tasks.running)
