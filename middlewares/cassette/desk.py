"""Exchanges on their way to a cassette: collected until their call has ended, then written by a thread."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Callable, Iterable, Sequence

from ...pipeline.call import Call
from ...pipeline.delivery import Deliverer, Recipient
from ...pipeline.gauges import Reading, watch
from ...pipeline.outcome import Outcome
from ...pipeline.record import Record as CallRecord
from .files import Cassette, Sheet
from .take import Take

_MOST_TOGETHER = 64
"""Exchanges of one write."""

METRIC = "glassway.cassette_exchanges"

logger = logging.getLogger("glassway")


class Desk:
    """A bounded queue in front of the function that writes. Counts what became of each exchange; threads may share it."""

    def __init__(self, cassette: Cassette, make: Callable[[Take], Sheet], limit: int) -> None:
        self._cassette = cassette
        self._make = make
        self._limit = limit
        self._deliverer = Deliverer(limit)
        self._recipient = Recipient(self._deliver, awaits=False)
        self._batch: list[Sheet] = []
        self._numbers = itertools.count(1)
        self._taken = 0
        self._values = {"written": 0, "full": 0, "failed": 0}
        watch(self)

    def offer(self, take: Take, loop: asyncio.AbstractEventLoop) -> None:
        """Hand in an exchange, from any thread. With a full queue it is dropped and counted."""
        self._taken = next(self._numbers)
        self._deliverer.offer(self._recipient, take, loop)

    async def close(self, limit_s: float) -> None:
        """Wait for what is queued and end the thread. A later exchange starts another one."""
        await self._deliverer.flush(limit_s)
        self._deliverer.close()
        self._deliverer = Deliverer(self._limit)

    def counts(self) -> dict[str, int]:
        """Exchanges so far by what became of them."""
        values, waiting = dict(self._values), self._deliverer.waiting + len(self._batch)
        return values | {"waiting": waiting, "dropped": max(0, self._taken - sum(values.values()) - waiting)}

    def readings(self) -> Iterable[Reading]:
        """For the gauge."""
        return [Reading(METRIC, (outcome,), value) for outcome, value in self.counts().items()]

    def _deliver(self, take: Take) -> None:
        """In the thread. What waits behind it is written with it: each write costs more than what it writes."""
        try:
            self._batch.append(self._make(take))
        except Exception:
            self._add("failed", 1)
            raise
        finally:
            if self._batch and (len(self._batch) >= _MOST_TOGETHER or self._deliverer.waiting <= 1):
                batch, self._batch = self._batch, []
                self._write(batch)

    def _write(self, batch: Sequence[Sheet]) -> None:
        try:
            written = self._cassette.append(batch)
        except Exception:
            self._add("failed", len(batch))
            raise
        self._add("written", written)
        if written < len(batch):
            if not self._values["full"]:
                logger.warning("The cassette of Record is full (max_bytes, max_calls): nothing more is recorded.")
            self._add("full", len(batch) - written)

    def _add(self, name: str, number: int) -> None:
        """Only the thread counts these."""
        self._values[name] += number


class Reel:
    """One call's exchanges, kept until the call has ended: its record says what they came to."""

    __slots__ = ("_began_ns", "_began_wall_ns", "_loop", "_numbers", "_takes", "desk", "outcome", "record", "seen_s")

    def __init__(self, desk: Desk, call: Call, now_ns: int) -> None:
        self.desk = desk
        self._loop = asyncio.get_running_loop()
        self._began_ns = now_ns
        self._began_wall_ns = call.clock.wall_ns()
        self._numbers = 0
        self._takes: list[Take] = []
        self.record: CallRecord | None = None
        self.outcome: Outcome | None = None
        """The call's; both are there once it has ended."""
        self.seen_s = 0.0
        """From the first exchange to the end of the last."""

    def take(self, take: Take) -> None:
        """An exchange has ended."""
        self._numbers += 1
        take.exchange = self._numbers
        if self.record is None:
            self._takes.append(take)
        else:  # of a hedge that lost, for instance: the call did not wait for it
            self.desk.offer(take, self._loop)

    def wall_ns(self, now_ns: int) -> int:
        """A moment of the call's clock as wall time."""
        return self._began_wall_ns + now_ns - self._began_ns

    def __call__(self, record: CallRecord, outcome: Outcome) -> None:
        """The call has ended."""
        self.record, self.outcome = record, outcome
        takes, self._takes = self._takes, []  # no take is held by its reel: a cycle is work for the collector
        if not takes:
            return
        takes[-1].settles = True
        if record.trace is None:
            self.seen_s = (takes[-1].call.clock.now_ns() - self._began_ns) / 1e9
        for take in takes:
            self.desk.offer(take, self._loop)
