"""The stage that answers from what was answered before."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b
from typing import ClassVar

from ...pipeline.answers import Controls, answer_key, check_ttl, controls_of, reply_of
from ...pipeline.answers.flight import Flights, Landed
from ...pipeline.answers.leases import Leases
from ...pipeline.call import Call
from ...pipeline.errors import ConfigError
from ...pipeline.facts import CACHE, CacheVerdict
from ...pipeline.plan import Rule
from ...pipeline.sharing import Afterwards
from ...pipeline.stream import Handler, Reply
from ...pipeline.types import Operation
from ...stores import MemoryStore, Store, immediate, make_store
from .others import Others
from .question import Question
from .shelf import Shelf

OPERATIONS: tuple[Operation, ...] = ("chat", "embeddings", "moderation", "rerank")
"""Operations whose answers are JSON, and which are asked in order to know rather than to make something new."""

_RULE = Rule(
    inside={
        "Guardrails": "guardrails judge every call, hits too, and take secrets out before a request becomes a key",
        "Cost": "cost sees the hits from outside and counts what they save; inside, it would bill nothing and save nothing",
        "Tracing": "a hit is a call like any other and must be traced",
        "Callbacks": "a hit is a call like any other and must be reported",
    },
    better_outside={
        "Fallback": "a hit then skips the fallback, and an answer that a fallback gave is not kept under the first target's key",
        "Retry": "a hit needs no retry, and single flight then shares one retried call instead of many",
    },
    provides=("cache",),
    may_short_circuit=True,
)


@dataclass(frozen=True, slots=True)
class Cache:
    """Answers a call from the store when the same was asked before, within its tenant; and keeps complete answers.

    `ttl_s`: how long an answer is kept, seconds. `store`: a `Store`, or `memory`, or `disk:<directory>`.
    `namespace` keeps several caches in one store apart. Larger entries than `max_entry_bytes` are not kept.
    `share`: concurrent identical calls, of other processes with the store too, wait for one of them, each for `share_wait_s`
    seconds at most, then ask by themselves.
    `operations`: the others pass by. `key_extra(call)`: further text that separates answers.
    `key_secret`: makes keys that nobody without it can recompute from a guessed request.

    A store that fails makes misses, never failed calls. Raises `ConfigError` for settings that cannot be.
    """

    rule: ClassVar[Rule] = _RULE

    ttl_s: float = 3600.0
    store: Store | str = "memory"
    namespace: str = ""
    max_entry_bytes: int = 1_048_576
    share: bool = True
    share_wait_s: float = 60.0
    operations: tuple[Operation, ...] = OPERATIONS
    key_extra: Callable[[Call], str] | None = None
    key_secret: str | None = field(default=None, repr=False)
    _shelf: Shelf = field(init=False, repr=False, compare=False)
    _others: Others | None = field(default=None, init=False, repr=False, compare=False)
    _afterwards: Afterwards = field(default_factory=Afterwards, init=False, repr=False, compare=False)
    _flights: Flights = field(default_factory=Flights, init=False, repr=False, compare=False)
    _secret: bytes = field(default=b"", init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_ttl("cache.ttl_s", self.ttl_s)
        check_ttl("cache.share_wait_s", self.share_wait_s)
        if self.max_entry_bytes < 1:
            raise ConfigError(f"cache.max_entry_bytes: expected at least 1, found {self.max_entry_bytes}.")
        store = make_store(self.store) if isinstance(self.store, str) else self.store
        if not isinstance(store, Store):
            raise ConfigError(
                f"cache.store: expected a Store (get, set, delete, aclose), found {type(store).__name__}."
            )
        object.__setattr__(self, "_shelf", Shelf(store, self.max_entry_bytes, immediate(store)))
        object.__setattr__(self, "operations", tuple(self.operations))
        if self.share and not isinstance(store, MemoryStore):
            leases = Leases(store, f"cache:{self.namespace}", self.share_wait_s)
            others = Others(leases, self.share_wait_s, store.immediate, self._afterwards)
            object.__setattr__(self, "_others", others)
        if self.key_secret:
            object.__setattr__(self, "_secret", blake2b(self.key_secret.encode()).digest())

    @property
    def held_store(self) -> Store:
        """The store in use, whoever made it: what a changed Cache goes on with."""
        return self._shelf.store

    async def aclose(self) -> None:
        """Let go of the store. It opens again for whoever still uses it."""
        await self._afterwards.flush()
        await self._shelf.store.aclose()

    def __call__(self, call: Call, call_next: Handler) -> Awaitable[Reply]:
        """Look up, or ask and keep."""
        controls = controls_of(call.state.options.cache)
        if controls.bypass:
            call.set(CACHE, _bypassed("no_cache and no_store"))
            return call_next(call)
        key = self._key(call)
        return call_next(call) if key is None else self._answered(call, call_next, key, controls)

    async def _answered(self, call: Call, call_next: Handler, key: str, controls: Controls) -> Reply:
        # in one piece: each coroutine that a miss goes through costs as much as a look into memory
        no_cache, no_store, said_s = controls
        shelf = self._shelf
        entry = None
        if no_cache:
            call.set(CACHE, CacheVerdict("bypassed", key, reason="no_cache"))
        elif (at_once := shelf.at_once) is not None:
            entry = shelf.find_now(at_once, call, key, said_s)
        else:
            entry = await shelf.find(call, key, said_s)
        if entry is not None:
            reply = reply_of(entry.answer, stream=call.request.stream)
            if reply is not None:
                return reply
            call.set(CACHE, CacheVerdict("miss", key, reason="kept in a form that cannot be streamed"))
        if call.state.dry_run:
            return await call_next(call)
        question = Question(shelf, call, key, None if no_store else said_s or self.ttl_s, self._others)
        if not self.share or no_cache or no_store:
            return await question.ask(call_next)
        flight, leads = self._flights.join(key)
        word = "lead" if leads else await question.wait(flight, self.share_wait_s)
        if word == "lead":
            return await question.lead(flight, call_next)
        reply = question.shared(word) if isinstance(word, Landed) else None
        return reply if reply is not None else await question.ask(call_next)

    def _key(self, call: Call) -> str | None:
        """The call's key; None, and the fact why, if it passes by."""
        key, reason = None, self._passes_by(call)
        if not reason:
            further = self.key_extra(call) if self.key_extra is not None else ""
            key = answer_key(call, namespace=self.namespace, further=further, secret=self._secret)
            reason = "the request cannot be written as JSON"
        if key is None:
            call.set(CACHE, _bypassed(reason))
        return key

    def _passes_by(self, call: Call) -> str:
        request = call.request
        if request.operation not in self.operations:
            return f"the operation {request.operation} is not cached"
        return "only streams of chat are cached" if request.stream and request.operation != "chat" else ""


@lru_cache(maxsize=32)
def _bypassed(reason: str) -> CacheVerdict:
    return CacheVerdict("bypassed", reason=reason)
