"""All shadows of one stage: how many run, what they came to, and who is told."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine, Iterable, Sequence
from contextvars import Context
from decimal import Decimal
from typing import Any, NamedTuple

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
    """Runs shadows as tasks of their own, at most `limit` at once. Event loops may share it."""

    def __init__(self, name: str, limit: int, recipients: Sequence[Recipient], queue: int) -> None:
        self.name = name
        self.verdicts: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.spent_usd = Decimal(0)
        self.unpriced = 0
        self._limit = limit
        self._loaded = False
        self._recipients = recipients
        self._deliverer = Deliverer(queue)
        self._running: dict[asyncio.Task[None], asyncio.AbstractEventLoop] = {}
        watch(self)

    @property
    def running(self) -> int:
        """Shadows under way."""
        return len(self._running)

    @property
    def full(self) -> bool:
        """Whether no further one may run now."""
        if len(self._running) >= self._limit:
            self._forget_closed()
        return len(self._running) >= self._limit

    def run(self, work: Coroutine[Any, Any, None], loop: asyncio.AbstractEventLoop) -> None:
        """Start a shadow. Its context is empty: no span and no variable of the call is current in it."""
        task = loop.create_task(work, name=f"glassway-shadow-{self.name}", context=Context())
        self._running[task] = loop
        task.add_done_callback(self._forget)

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
        """Wait for shadows under way and for what is to be told, at most `flush_s` of real time; then end them."""
        here = asyncio.get_running_loop()
        if mine := [task for task, loop in self._running.items() if loop is here]:
            _, late = await asyncio.wait(mine, timeout=flush_s)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)
        for task, loop in tuple(self._running.items()):
            if loop is not here and not loop.is_closed():
                loop.call_soon_threadsafe(task.cancel)
        await self._deliverer.flush(flush_s)
        self._deliverer.close()

    def readings(self) -> Iterable[Reading]:
        """For metrics."""
        yield Reading("glassway.shadows_running", (self.name,), self.running)

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._running.pop(task, None)

    def _forget_closed(self) -> None:
        for task, loop in tuple(self._running.items()):
            if loop.is_closed():
                self._forget(task)
