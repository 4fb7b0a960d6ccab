"""Single flight: of concurrent identical calls one asks upstream, the others wait for its answer."""

from __future__ import annotations

import asyncio
from typing import Literal, NamedTuple

from ..outcome import Outcome
from .entry import Answer

_PATIENCE = 2
"""After so many failed leaders the followers stop queueing behind each other and go on side by side."""


class Landed(NamedTuple):
    """The leader's answer, and the trace of the call that it was made in."""

    answer: Answer
    trace_id: str | None


Word = Landed | Literal["lead", "alone"]
"""What a follower hears: the answer; that it is the leader now; or that it should ask by itself."""

Place = tuple[int, str]
"""An event loop and a key: futures do not reach across loops."""


class Flight:
    """One question under way. Each follower waits on a future of its own, so that none can cancel another."""

    __slots__ = ("_failures", "_flights", "_loop", "_place", "_waiting")

    def __init__(self, flights: Flights, place: Place, loop: asyncio.AbstractEventLoop) -> None:
        self._flights = flights
        self._place = place
        self._loop = loop
        self._waiting: dict[asyncio.Future[Word], None] = {}
        self._failures = 0

    async def follow(self) -> Word:
        """Wait for word. A follower that gives up while it is being made the leader passes the lead on."""
        ticket: asyncio.Future[Word] = self._loop.create_future()
        self._waiting[ticket] = None
        try:
            return await ticket
        except BaseException:
            self._waiting.pop(ticket, None)
            if not ticket.cancelled() and ticket.done() and ticket.result() == "lead":
                self.give_up()
            raise

    def land(self, landed: Landed) -> None:
        """The answer is complete: everybody gets it."""
        self._flights.forget(self._place, self)
        self._tell_all(landed)

    def give_up(self, *, failed: bool = False) -> None:
        """There will be no answer from this leader. The next in line leads; after too many failures all go alone."""
        self._failures += failed
        if self._failures < _PATIENCE and self._tell_next("lead"):
            return
        self._flights.forget(self._place, self)
        self._tell_all("alone")

    def end(self, landed: Landed | None, outcome: Outcome) -> None:
        """The leader's stream has ended. Called from any thread: a dropped stream is collected wherever that happens."""
        if _running_loop() is self._loop:
            self._end(landed, outcome)
        elif not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._end, landed, outcome)

    def _end(self, landed: Landed | None, outcome: Outcome) -> None:
        if outcome.ok and landed is not None:
            self.land(landed)
        else:
            self.give_up(failed=outcome.end not in ("cancelled", "closed", "abandoned"))

    def _tell_next(self, word: Word) -> bool:
        while self._waiting:
            ticket = next(iter(self._waiting))
            del self._waiting[ticket]
            if not ticket.done():
                ticket.set_result(word)
                return True
        return False

    def _tell_all(self, word: Word) -> None:
        while self._tell_next(word):
            pass


class Flights:
    """What is under way."""

    __slots__ = ("_under_way",)

    def __init__(self) -> None:
        self._under_way: dict[Place, Flight] = {}

    def join(self, key: str) -> tuple[Flight, bool]:
        """The flight of `key`, and whether the caller leads it: it must then end it, whatever happens."""
        loop = asyncio.get_running_loop()
        place = (id(loop), key)
        flight = self._under_way.get(place)
        if flight is not None:
            return flight, False
        flight = self._under_way[place] = Flight(self, place, loop)
        return flight, True

    def forget(self, place: Place, flight: Flight) -> None:
        """A flight has ended; another may have begun in its place."""
        if self._under_way.get(place) is flight:
            del self._under_way[place]

    def __len__(self) -> int:
        """How many are under way."""
        return len(self._under_way)


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
