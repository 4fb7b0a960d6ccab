"""Two requests for one reply: the first valid one is taken, the other is cancelled and waited for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context, copy_context
from decimal import Decimal

from ...pipeline.call import Call
from ...pipeline.stream import Handler, Reply, Stream
from .alarm import Alarm


class Race:
    """One call's first request, run in the call's own task, and a second one beside it when it is due.

    Nothing is left of the loser when `run` returns or raises, whoever ends it: no task, no stream.
    """

    __slots__ = (
        "_beside",
        "_call_next",
        "_context",
        "_overtaken",
        "_second",
        "_task",
        "after_s",
        "begun",
        "call",
        "hedge_won",
        "sent",
    )

    def __init__(
        self,
        call: Call,
        call_next: Handler,
        after_s: float,
        second: Callable[[Race], tuple[Call, Decimal | None] | None],
    ) -> None:
        """`second(race)` is asked, `after_s` from now, for the second request and the money reserved for it; None if it may not be sent."""
        self.call = call
        """The first request; only while the race runs."""
        self.after_s = after_s
        self.begun = call.state.attempts_made
        """Attempts that the call had made before the first of the two."""
        self.sent: tuple[Call, Decimal | None] | None = None
        """The second request, and the money reserved for it."""
        self.hedge_won: bool | None = None
        """Which answered first; None if neither did."""
        self._call_next = call_next
        self._second = second
        self._context: Context | None = copy_context()
        self._task = asyncio.current_task()
        self._beside: asyncio.Future[Reply] | None = None
        self._overtaken = False

    @property
    def cancelled(self) -> bool:
        """Whether the first request has ended, so that the second is not due any more."""
        return self._task is None

    def ring(self) -> None:
        """The second request is due."""
        if self._context is not None:
            self._context.run(self._send)

    async def run(self, alarm: Alarm, due_ns: int, sends_after: Callable[[Exception], bool]) -> Reply:
        """The first reply of the two. Raises the first request's error: at once while it is alone, unless `sends_after`
        wants another request for it; else when the second has failed too.
        """
        alarm.set(due_ns, self)
        try:
            reply = await self._call_next(self.call)
            self._stop_racing()
            self.hedge_won = False
            if self._beside is not None:
                await self._win(reply)
            return reply
        except BaseException as error:  # noqa: BLE001 - raised again, or the second request answers instead
            return await self._without_first(error, sends_after)
        finally:
            self._context = None  # the alarm may keep the race until its time is over
            del self.call
            alarm.forget_one()

    async def _without_first(self, error: BaseException, sends_after: Callable[[Exception], bool]) -> Reply:
        """The second request's reply, in the place of the first one's failure."""
        ours = self._stop_racing() and isinstance(error, asyncio.CancelledError)
        if not ours and not isinstance(error, Exception):
            await self._let_go()
            raise error
        if self._beside is None and isinstance(error, Exception) and sends_after(error):
            self._send()
        beside = self._beside
        if beside is None:
            raise error
        await self._until_done(beside)
        if not _answered(beside):
            raise error
        self.hedge_won = True
        self._beside = None  # a failure's traceback leads here, and must not hold the reply
        return beside.result()

    async def _until_done(self, beside: asyncio.Future[Reply]) -> None:
        if beside.done():
            return
        try:
            await asyncio.wait([beside])
        except BaseException:
            await self._let_go()
            raise

    async def _win(self, reply: Reply) -> None:
        """The second request goes; if that is interrupted, nobody will read the first one's reply."""
        try:
            await self._let_go()
        except BaseException:
            if isinstance(reply, Stream):
                await reply.aclose()
            raise

    def _send(self) -> None:
        self.sent = self._second(self)
        if self.sent is not None:
            self._beside = asyncio.ensure_future(self._call_next(self.sent[0]))
            self._beside.add_done_callback(self._overtake)

    def _overtake(self, beside: asyncio.Future[Reply]) -> None:
        """The second request has ended: with a reply, the first is cancelled where it stands, as `asyncio.timeout` does it.

        Not while somebody else cancels it: whose cancellation arrives could not be told.
        """
        if _answered(beside) and self._task is not None and not self._task.cancelling():
            self._overtaken = True
            self._task.cancel()

    def _stop_racing(self) -> bool:
        """The first request has ended. Takes our cancellation back; false if there was none, or somebody else cancelled too."""
        task, self._task = self._task, None
        return self._overtaken and task is not None and task.uncancel() == 0

    async def _let_go(self) -> None:
        """Cancel the second request and wait until it is gone; a reply that came all the same is released."""
        beside, self._beside = self._beside, None
        if beside is None:
            return
        beside.cancel()
        if not beside.done():
            await asyncio.wait([beside])
        if _answered(beside) and isinstance(reply := beside.result(), Stream):
            await reply.aclose()


def _answered(run: asyncio.Future[Reply]) -> bool:
    """Whether it has ended with a reply. Looks at its failure, so that nobody complains that it was not looked at."""
    return run.done() and not run.cancelled() and run.exception() is None
