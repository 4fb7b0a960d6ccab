"""Exchanges on their way to a cassette: collected until their call has ended, then written by a thread."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ...pipeline.clock import Clock
from ...pipeline.delivery import Deliverer, Recipient
from ...pipeline.gauges import Reading, watch
from ...pipeline.outcome import Outcome
from ...pipeline.record import Record as CallRecord
from .files import Kept
from .take import Take

METRIC = "glassway.cassette_exchanges"

logger = logging.getLogger("glassway")


@dataclass(slots=True)
class Written:
    """An exchange on its way; the last one of a call brings the call's record."""

    take: Take
    exchange: int
    """Its number within the call, from 1."""
    record: CallRecord | None = None
    outcome: Outcome | None = None
    seen_s: float = 0.0
    """From the call's first exchange to the call's end."""


class Desk:
    """A bounded queue in front of the function that writes. Counts what became of each exchange; threads may share it."""

    def __init__(self, write: Callable[[Written], Kept], limit: int) -> None:
        self._write = write
        self._limit = limit
        self._deliverer = Deliverer(limit)
        self._recipient = Recipient(self._deliver, awaits=False)
        self._counters = {name: itertools.count(1) for name in ("taken", "written", "full", "failed")}
        self._values = dict.fromkeys(self._counters, 0)
        watch(self)

    def offer(self, written: Written, loop: asyncio.AbstractEventLoop) -> None:
        """Hand in an exchange, from any thread. With a full queue it is dropped and counted."""
        self._add("taken")
        self._deliverer.offer(self._recipient, written, loop)

    async def close(self, limit_s: float) -> None:
        """Wait for what is queued and end the thread. A later exchange starts another one."""
        await self._deliverer.flush(limit_s)
        self._deliverer.close()
        self._deliverer = Deliverer(self._limit)

    def counts(self) -> dict[str, int]:
        """Exchanges so far by what became of them."""
        values, waiting = dict(self._values), self._deliverer.waiting
        taken = values.pop("taken")
        return values | {"waiting": waiting, "dropped": max(0, taken - sum(values.values()) - waiting)}

    def readings(self) -> Iterable[Reading]:
        """For the gauge."""
        return [Reading(METRIC, (outcome,), value) for outcome, value in self.counts().items()]

    def _deliver(self, written: Written) -> None:
        try:
            kept = self._write(written)
        except Exception:
            self._add("failed")
            raise
        self._add(kept)
        if kept == "full" and self._values["full"] == 1:
            logger.warning("The cassette of Record is full (max_bytes, max_calls): nothing more is recorded.")

    def _add(self, name: str) -> None:
        self._values[name] = next(self._counters[name])


class Reel:
    """One call's exchanges, kept until the call has ended: its record says what they came to."""

    __slots__ = ("_began_ns", "_clock", "_ended", "_loop", "_numbers", "_takes", "desk")

    def __init__(self, desk: Desk, loop: asyncio.AbstractEventLoop, clock: Clock) -> None:
        self.desk = desk
        self._clock = clock
        self._began_ns = clock.now_ns()
        self._loop = loop
        self._takes: list[Written] = []
        self._numbers = itertools.count(1)
        self._ended = False

    def take(self, take: Take) -> None:
        """An exchange has ended."""
        written = Written(take, next(self._numbers))
        if self._ended:  # of a hedge that lost, for instance: the call did not wait for it
            self.desk.offer(written, self._loop)
        else:
            self._takes.append(written)

    def __call__(self, record: CallRecord, outcome: Outcome) -> None:
        """The call has ended."""
        self._ended = True
        takes, self._takes = self._takes, []
        for written in takes:
            if written is takes[-1]:
                written.record, written.outcome = record, outcome
                written.seen_s = (self._clock.now_ns() - self._began_ns) / 1e9
            self.desk.offer(written, self._loop)
