"""Two requests for one reply: the first valid one is taken, the other is cancelled and waited for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ...pipeline.call import Call
from ...pipeline.stream import Handler, Reply, Stream


class Race:
    """One call's first request, run in its own task, and a second one beside it when it is due.

    Nothing is left of the loser when `run` returns or raises, whoever ends it: no task, no stream.
    """

    __slots__ = ("_beside", "_call_next", "_cancels", "_overtaken", "_second", "_task", "hedge_won")

    def __init__(self, call_next: Handler, second: Callable[[], Call | None]) -> None:
        """`second` is asked for the second request when that is due; None if it may not be sent."""
        self._call_next = call_next
        self._second = second
        self._beside: asyncio.Future[Reply] | None = None
        self._task = asyncio.current_task()
        self._cancels = self._task.cancelling() if self._task else 0
        self._overtaken = False
        self.hedge_won: bool | None = None
        """Which answered first; None if neither did."""

    async def run(self, call: Call, after_s: float, sends_after: Callable[[Exception], bool]) -> Reply:
        """The first reply of the two. Raises the first request's error: at once while it is alone, unless `sends_after`
        wants another request for it; else when the second has failed too.
        """
        try:
            reply = await self._until_overtaken(call, after_s)
            self.hedge_won = False
        except Exception as error:  # noqa: BLE001 - whatever the first request failed with, the second may answer
            return await self._instead_of(error, sends_after)
        except BaseException:
            await self._let_go()
            raise
        if self._beside is not None:
            await self._win(reply)
        return reply

    async def _until_overtaken(self, call: Call, after_s: float) -> Reply:
        """The first request, which is cancelled where it stands when the second has answered: as `asyncio.timeout` does it."""
        due = call.clock.call_later(after_s, self._send)
        try:
            return await self._call_next(call)
        except asyncio.CancelledError as error:
            if self._overtaken and self._uncancelled():
                raise TimeoutError from error
            raise
        finally:
            due.cancel()
            if self._overtaken:
                self._uncancelled()
            self._task = None

    def _uncancelled(self) -> bool:
        """Take our cancellation back; false if somebody else has cancelled too."""
        task, self._overtaken = self._task, False
        return task is not None and task.uncancel() <= self._cancels

    async def _win(self, reply: Reply) -> None:
        """The second request goes; if that is interrupted, nobody will read the first one's reply."""
        try:
            await self._let_go()
        except BaseException:
            if isinstance(reply, Stream):
                await reply.aclose()
            raise

    async def _instead_of(self, error: Exception, sends_after: Callable[[Exception], bool]) -> Reply:
        """The second request's reply, in the place of the first one's failure."""
        if self._beside is None and sends_after(error):
            self._send()
        beside = self._beside
        if beside is None:
            raise error
        try:
            await asyncio.wait([beside])
        except BaseException:
            await self._let_go()
            raise
        if not _answered(beside):
            raise error
        self.hedge_won = True
        self._beside = None  # a failure's traceback leads here, and must not hold the reply
        return beside.result()

    def _send(self) -> None:
        view = self._second()
        if view is not None:
            self._beside = asyncio.ensure_future(self._call_next(view))
            self._beside.add_done_callback(self._overtake)

    def _overtake(self, beside: asyncio.Future[Reply]) -> None:
        """The second request has ended: with a reply, the first has lost."""
        if _answered(beside) and self._task is not None:
            self._overtaken = True
            self._task.cancel()

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
