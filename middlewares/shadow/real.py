"""The call that a shadow runs beside, as far as the shadow may know it."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from ...pipeline.outcome import Outcome
from ...pipeline.record import Record
from ...pipeline.types import Response


class Real:
    """Told by the call how it went; whoever waits is woken on the loop that made this. Told from any thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.reply_s: float | None = None
        """Seconds until it had its reply; None if it had none."""
        self.outcome: Outcome | None = None
        self.record: Record | None = None
        self._loop = loop
        self._over = asyncio.Event()

    def ended(self, outcome: Outcome) -> None:
        """What is inside the stage has ended."""
        self.outcome = outcome

    def recorded(self, record: Record, _: Outcome) -> None:
        """The whole call has ended, and its bill is made."""
        self.record = record
        with suppress(RuntimeError):  # the loop is closed, and nobody waits
            self._loop.call_soon_threadsafe(self._over.set)

    async def answer(self) -> Response | None:
        """Wait for its end. The whole answer; None if it did not complete."""
        await self._over.wait()
        outcome = self.outcome
        return outcome.response if outcome is not None and outcome.ok else None
