"""The stage that makes identical calls at the same time one."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import ClassVar, Literal, get_args

from ...pipeline.answers import Answer, answer_key, controls_of, incomplete, reply_of, take_chunks, trace_id_of
from ...pipeline.answers.flight import Flight, Flights, Landed, Word
from ...pipeline.call import Call
from ...pipeline.errors import ConfigError
from ...pipeline.facts import CACHE, DEDUPLICATION, CacheVerdict, Deduplicated
from ...pipeline.outcome import Outcome, outcome_of
from ...pipeline.plan import Rule
from ...pipeline.sharing import Afterwards, OnStoreFailure, ask_store, check_policy
from ...pipeline.stream import Handler, Reply, Stream
from ...pipeline.types import Operation
from ...stores import MemoryStore, Store, make_store
from .counter import Counter

_HAND_OVER_S = 2.0
"""How long an answer waits for the other processes that asked at the same time, at least."""

_GUARDED = "guardrails judge every call, shared ones too, and take secrets out before a request becomes a key"
_SEEN = "a shared answer is a call like any other, and must be seen"


@dataclass(frozen=True, slots=True)
class Deduplicate:
    """Of identical calls under way at the same time one asks, and the others get its answer: within a tenant, for the same target.

    Equal is what `Cache` takes for equal. If the one who asks fails or goes away, the next in line asks. With `window_s` an answer
    is given for so long after its end too. With a store, calls of other processes count as well. A call says
    `cache={"no_cache": True}` to ask for itself.
    """

    rule: ClassVar[Rule] = Rule(
        inside={"Guardrails": _GUARDED, "Cost": _SEEN, "Tracing": _SEEN, "Callbacks": _SEEN},
        better_outside={
            "Fallback": "an answer is then shared once all that can be tried was tried",
            "Retry": "a retried call is then shared as one",
        },
        provides=("cache", "deduplication"),
        may_short_circuit=True,
        notes=("calls may wait for an identical one",),
    )

    window_s: float = 0.0
    """How long after its end an answer is given again; 0: only while it is under way."""
    wait_s: float = 60.0
    """How long a call waits for another's answer, then it asks for itself; never beyond its deadline."""
    operations: Collection[Operation] = ("chat", "embeddings", "moderation", "rerank")
    store: Store | str = "memory"
    """`memory`: calls of this process. `disk:...`, `redis://...` or a store: those of all who share it."""
    name: str = "calls"
    """Stages of one name in one store share their calls."""
    lease_s: float = 60.0
    """After so long without an answer another process asks."""
    max_entry_bytes: int = 1_048_576
    """Larger answers are not handed to other processes."""
    on_store_failure: OnStoreFailure = "fail_open"
    _store: Store = field(init=False, repr=False, compare=False)
    _counter: Counter | None = field(init=False, repr=False, compare=False)
    _flights: Flights = field(init=False, repr=False, compare=False, default_factory=Flights)
    _afterwards: Afterwards = field(init=False, repr=False, compare=False, default_factory=Afterwards)

    def __post_init__(self) -> None:
        for name in ("window_s", "wait_s", "lease_s"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < math.inf:
                raise ConfigError(f"Deduplicate.{name}: expected seconds from 0, found {value!r}.")
        if not self.wait_s or not self.lease_s:
            raise ConfigError("Deduplicate: expected wait_s and lease_s above 0: nobody could share anything.")
        if self.max_entry_bytes < 1:
            raise ConfigError(f"Deduplicate.max_entry_bytes: expected at least 1, found {self.max_entry_bytes}.")
        if isinstance(self.operations, str) or (unknown := set(self.operations) - set(get_args(Operation))):
            found = self.operations if isinstance(self.operations, str) else sorted(unknown)
            raise ConfigError(
                f"Deduplicate.operations: expected a list of {', '.join(get_args(Operation))}; found {found!r}."
            )
        check_policy("Deduplicate", self.on_store_failure)
        store = make_store(self.store) if isinstance(self.store, str) else self.store
        own = isinstance(self.store, str) and isinstance(store, MemoryStore)
        keep_s = self.window_s if own else max(self.window_s, _HAND_OVER_S)
        counter = Counter.of(store, self.name, keep_s, self.lease_s, self._afterwards) if keep_s else None
        object.__setattr__(self, "_store", store)
        object.__setattr__(self, "_counter", counter)

    @property
    def held_store(self) -> Store:
        """The store in use."""
        return self._store

    async def __call__(self, call: Call, call_next: Handler) -> Reply:
        """The reply: another's answer, or one's own."""
        key = self._key(call)
        if key is None or call.dry_run:
            return await call_next(call)
        began_ns = call.clock.now_ns()
        flight, leads = self._flights.join(key)
        word: Word = "lead" if leads else await self._followed(call, flight)
        if isinstance(word, Landed):
            reply = self._shared(call, key, word, "process", began_ns)
            if reply is not None:
                return reply
        if word != "lead":
            call.set(DEDUPLICATION, Deduplicated("alone", waited_s=_since(call, began_ns)))
            return await call_next(call)
        return await self._lead(call, call_next, key, flight, began_ns)

    def _key(self, call: Call) -> str | None:
        request = call.request
        controls = controls_of(call.options.cache)
        if controls.no_cache or request.operation not in self.operations:
            return None
        if request.stream and request.operation != "chat":
            return None
        return answer_key(call, namespace=f"deduplicate:{self.name}")

    async def _followed(self, call: Call, flight: Flight) -> Word:
        call.check_deadline()
        left_s = call.remaining_s()
        try:
            async with call.clock.limit(self.wait_s if left_s is None else min(self.wait_s, left_s)):
                return await flight.follow()
        except TimeoutError:
            call.check_deadline()
            return "alone"

    def _shared(
        self, call: Call, key: str, landed: Landed, where: Literal["process", "store"], began_ns: int
    ) -> Reply | None:
        reply = reply_of(landed.answer, stream=call.request.stream)
        if reply is not None:
            call.set(CACHE, CacheVerdict("shared", key, age_s=0.0, origin_trace_id=landed.trace_id))
            call.set(DEDUPLICATION, Deduplicated("followed", where, _since(call, began_ns)))
        return reply

    async def _lead(self, call: Call, call_next: Handler, key: str, flight: Flight, began_ns: int) -> Reply:
        """For all of this process who wait. However it ends, the flight hears of it."""
        try:
            token: bytes | None = None
            if self._counter is not None:
                found = await self._at_the_counter(call, self._counter, key)
                if isinstance(found, Landed):
                    flight.land(found)
                    reply = self._shared(call, key, found, "store", began_ns)
                    return reply if reply is not None else await call_next(call)
                token = found
            call.set(DEDUPLICATION, Deduplicated("led", waited_s=_since(call, began_ns)))
            return await self._asked(call, call_next, key, flight, token)
        except BaseException as error:
            flight.give_up(failed=outcome_of(error) != "cancelled")
            raise

    async def _at_the_counter(self, call: Call, counter: Counter, key: str) -> Landed | bytes | None:
        """Another's answer; or the lease to ask; or None: nobody can be waited for."""
        entry = await ask_store(call, "Deduplicate", self.on_store_failure, counter.find(key), None)
        if entry is not None:
            return Landed(entry.answer, entry.trace_id)
        failures = len(call.state.facts.get("store_failures", ()))
        token = await ask_store(call, "Deduplicate", self.on_store_failure, counter.leases.take(key), None)
        if token is not None or len(call.state.facts.get("store_failures", ())) > failures:
            return token
        left_s = call.remaining_s()
        try:
            async with call.clock.limit(self.wait_s if left_s is None else min(self.wait_s, left_s)):
                found = await counter.leases.wait(call, key, lambda: counter.find(key))
        except TimeoutError:
            call.check_deadline()
            return None
        return found if isinstance(found, bytes) else Landed(found.answer, found.trace_id)

    async def _asked(self, call: Call, call_next: Handler, key: str, flight: Flight, token: bytes | None) -> Reply:
        loop = asyncio.get_running_loop()

        def over(answer: Answer | None) -> None:
            if self._counter is not None:
                small = answer is not None and _size(answer) <= self.max_entry_bytes
                self._counter.hand_over(call, key, token, answer if small else None, loop)

        try:
            reply = await call_next(call)
        except BaseException:
            over(None)
            raise
        if isinstance(reply, Stream):
            _follow(call, reply, flight, over)
            return reply
        if incomplete(reply):
            flight.give_up(failed=True)
            over(None)
        else:
            flight.land(Landed(reply, trace_id_of(call)))
            over(reply)
        return reply

    async def aclose(self) -> None:
        """Finish what is being handed over, and close a store that this stage has made."""
        await self._afterwards.flush()
        if isinstance(self.store, str):
            await self._store.aclose()


def _follow(call: Call, stream: Stream, flight: Flight, over: Callable[[Answer | None], None]) -> None:
    """The stream goes to its own reader as it comes; when it is whole, the others get it."""

    async def nothing(_: object) -> None: ...

    chunks = take_chunks(stream, nothing)

    def ended(outcome: Outcome) -> None:
        whole = tuple(chunks)
        answer = whole if outcome.ok and not incomplete(whole) else None
        flight.end(Landed(answer, trace_id_of(call)) if answer is not None else None, outcome)
        over(answer)

    stream.when_done(ended)


def _size(answer: Answer) -> int:
    """About how many bytes; exact enough for a bound."""
    if isinstance(answer, tuple):
        return sum(len(chunk.text) + 64 for chunk in answer)
    return len(answer.__pydantic_serializer__.to_json(answer, exclude_unset=True))


def _since(call: Call, began_ns: int) -> float:
    return (call.clock.now_ns() - began_ns) / 1e9
