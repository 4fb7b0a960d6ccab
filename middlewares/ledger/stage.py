"""The stage that takes every call down."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from ...pipeline.call import Call
from ...pipeline.errors import ConfigError
from ...pipeline.outcome import Outcome
from ...pipeline.plan import Rule
from ...pipeline.record import Record
from ...pipeline.stream import Handler, Reply
from .database import database_of
from .writer import Writer

_FLUSH_S = 5.0


@dataclass(frozen=True, slots=True)
class Ledger:
    """Writes each call's record to a database, off the call's path: what ended how, when, for whom, at what cost.

    `to`: a file (SQLite), or `postgresql://...` (extra `postgres`). `keep_days`: calls that began earlier are deleted; None
    keeps all. `queue`: the most calls that wait to be written; with more, calls are dropped and counted. A batch is
    written when `batch` calls wait, and every `every_s` seconds. Closing the pipeline writes what waits, for 5 s at most.

    The database may fail at any time: calls go on, and what waits is written when it is back.
    """

    rule: ClassVar[Rule] = Rule(
        outside={
            "Guardrails": "calls that a guardrail blocks would not be taken down",
            "Cache": "answers from the cache would not be taken down",
            "Retry": "a call is taken down once, whatever it takes",
            "Fallback": "a call is taken down once, whatever it takes",
        }
    )

    to: str = field(default="glassway-ledger.db", repr=False)
    keep_days: float | None = 90.0
    queue: int = 10_000
    batch: int = 500
    every_s: float = 1.0
    _writer: Writer = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.keep_days is not None and self.keep_days <= 0:
            raise ConfigError(f"Ledger.keep_days: expected more than 0, or None to keep all, found {self.keep_days}.")
        if not 1 <= self.batch <= self.queue:
            raise ConfigError(f"Ledger: expected 1 <= batch <= queue, found {self.batch} and {self.queue}.")
        if self.every_s <= 0:
            raise ConfigError(f"Ledger.every_s: expected seconds above 0, found {self.every_s}.")
        writer = Writer(
            database_of(self.to), queue=self.queue, batch=self.batch, every_s=self.every_s, keep_days=self.keep_days
        )
        object.__setattr__(self, "_writer", writer)

    async def __call__(self, call: Call, call_next: Handler) -> Reply:
        """The same reply; the row is written once the record is complete."""
        if not call.dry_run:
            call.when_recorded(self._take_down)
        return await call_next(call)

    async def state(self) -> Mapping[str, Any]:
        """Calls written, dropped and waiting; degraded once one was dropped, or the queue is half full."""
        counts = self._writer.counts
        unwell = counts.dropped > 0 or 2 * counts.waiting > self.queue
        return {"condition": "degraded" if unwell else "ok", **counts._asdict()}

    async def flush(self, limit_s: float = _FLUSH_S) -> bool:
        """Wait until everything is written; whether it is."""
        return await asyncio.to_thread(self._writer.flush, limit_s)

    async def aclose(self) -> None:
        """Write what waits, for 5 s at most, and close the database."""
        await self.flush()
        await asyncio.to_thread(self._writer.close)

    def _take_down(self, record: Record, _outcome: Outcome) -> None:
        self._writer.offer(record)
