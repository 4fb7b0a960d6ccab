"""One call that the store could not answer: asked upstream, alone or for all who ask the same."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import NamedTuple

from ...pipeline.answers import Answer, Entry, incomplete, reply_of, take_chunks, trace_id_of
from ...pipeline.answers.flight import Flight, Landed, Word
from ...pipeline.call import Call
from ...pipeline.facts import CACHE, CacheVerdict
from ...pipeline.outcome import outcome_of
from ...pipeline.stream import Handler, Reply, Stream
from ...pipeline.types import ChatChunk
from .others import Others
from .shelf import Shelf


class Question(NamedTuple):
    """One call that the store could not answer."""

    shelf: Shelf
    call: Call
    key: str
    ttl_s: float | None
    """None: the answer is not kept."""
    others: Others | None = None
    """Other processes that may ask the same; None: nobody shares the store."""

    async def ask(self, call_next: Handler, flight: Flight | None = None) -> Reply:
        """Ask upstream, and keep the answer once it is complete. However it ends, those who wait in `flight` hear of it."""
        try:
            reply = await call_next(self.call)
            if isinstance(reply, Stream):
                self._record(reply, flight)
                return reply
            if self.ttl_s is not None:
                if (at_once := self.shelf.at_once) is not None:
                    self.shelf.keep_now(at_once, self.call, self.key, reply, self.ttl_s)
                else:
                    await self.shelf.keep(self.call, self.key, reply, self.ttl_s)
            if flight is not None:
                self._end(flight, reply)
        except BaseException as error:
            if flight is not None:
                flight.give_up(failed=outcome_of(error) != "cancelled")
            raise
        return reply

    def lead(self, flight: Flight, call_next: Handler) -> Awaitable[Reply]:
        """Ask for all who wait, here and in other processes. However it ends, they hear of it."""
        return self.ask(call_next, flight) if self.others is None else self._lead(self.others, flight, call_next)

    async def _lead(self, others: Others, flight: Flight, call_next: Handler) -> Reply:
        try:
            found = await others.answer(self)
        except BaseException as error:
            flight.give_up(failed=outcome_of(error) != "cancelled")
            raise
        if not isinstance(found, Entry):
            return await self._ask_for_others(others, found, call_next, flight)
        landed = Landed(found.answer, found.trace_id)
        flight.land(landed)
        reply = self.shared(landed)
        return reply if reply is not None else await call_next(self.call)

    async def _ask_for_others(self, others: Others, token: bytes | None, call_next: Handler, flight: Flight) -> Reply:
        over = others.when_over(self.key, token)
        try:
            reply = await self.ask(call_next, flight)
        except BaseException:
            over()
            raise
        if isinstance(reply, Stream):
            return reply.when_done(lambda _: over())
        over()
        return reply

    async def wait(self, flight: Flight, limit_s: float) -> Word:
        """Wait for the leader, within the limit and the call's deadline. Raises `APITimeoutError` when the deadline passes."""
        self.call.check_deadline()
        remaining_s = self.call.remaining_s()
        try:
            async with self.call.clock.limit(limit_s if remaining_s is None else min(limit_s, remaining_s)):
                return await flight.follow()
        except TimeoutError:
            self.call.check_deadline()
            return "alone"

    def shared(self, landed: Landed) -> Reply | None:
        """The leader's answer for this call; None if it cannot be had in the form that was asked for."""
        reply = reply_of(landed.answer, stream=self.call.request.stream)
        if reply is not None:
            self.call.set(CACHE, CacheVerdict("shared", self.key, age_s=0.0, origin_trace_id=landed.trace_id))
        return reply

    async def _keep(self, answer: Answer) -> None:
        if self.ttl_s is not None:
            await self.shelf.keep(self.call, self.key, answer, self.ttl_s)

    def _end(self, flight: Flight, answer: Answer) -> None:
        if incomplete(answer):
            flight.give_up(failed=True)
        else:
            flight.land(Landed(answer, trace_id_of(self.call)))

    def _record(self, stream: Stream, flight: Flight | None) -> None:
        chunks = take_chunks(stream, self._keep)
        if flight is not None:
            stream.when_done(lambda outcome: flight.end(self._landed(tuple(chunks)), outcome))

    def _landed(self, chunks: tuple[ChatChunk, ...]) -> Landed | None:
        return None if incomplete(chunks) else Landed(chunks, trace_id_of(self.call))
