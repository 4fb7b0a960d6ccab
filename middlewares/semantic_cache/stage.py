"""The stage that answers from what was answered to a similar question."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, ClassVar

from ...pipeline.answers import Answer, Controls, answer_key, check_ttl, controls_of, reply_of, take_chunks
from ...pipeline.call import Call
from ...pipeline.errors import ConfigError
from ...pipeline.facts import SEMANTIC, SemanticVerdict
from ...pipeline.gauges import Reading, watch
from ...pipeline.ids import random_id
from ...pipeline.plan import Rule
from ...pipeline.pricing import PriceTable, default_prices
from ...pipeline.stream import Handler, Reply, Stream
from ...pipeline.types import Response, assemble_chat
from ...stores import MemoryStore, Store, make_store
from .checks import Checks, Same
from .embedding import Embedder, EmbedFunction
from .index import Found, Index, Known, check_limit
from .question import Question, question_of
from .shelf import Log, Shelf, index_of

if TYPE_CHECKING:
    from .index import Vector

logger = logging.getLogger("glassway")

_RULE = Rule(
    inside={
        "Guardrails": "guardrails judge every call, hits too, and take secrets out before a question becomes a vector",
        "Cost": "cost sees the hits from outside and counts what they save, and the embeddings' lines",
        "Tracing": "a hit is a call like any other and must be traced",
        "Callbacks": "a hit is a call like any other and must be reported",
        "Cache": "what was asked literally the same needs no vector",
    },
    better_outside={
        "Fallback": "a hit then skips the fallback, and an answer that a fallback gave is not kept for the first target",
        "Retry": "a hit needs no retry",
        "Router": "the target is part of what must be equal: inside, it is the one that the router chose this time",
    },
    provides=("semantic_cache", "semantic_check"),
    may_short_circuit=True,
    notes=("may send embeddings, and checks beside",),
)


@dataclass(frozen=True, slots=True)
class SemanticCache:
    """Answers a conversation whose last message is similar to one that was answered before; everything else must be equal.

    `embed`: a function `texts -> vectors`, or `vendor/model` of an embeddings model of the same pipeline.
    `threshold`: the least cosine of two questions for one's answer to be the other's. Search is exact.

    A share of hits may be checked against real answers (`check_share`), which measures how often a hit is wrong.
    A store or an embedding that fails makes misses, never failed calls. Raises `ConfigError` for settings that cannot be.
    """

    rule: ClassVar[Rule] = _RULE

    embed: EmbedFunction | str
    threshold: float = 0.95
    ttl_s: float = 3600.0
    store: Store | str = "memory"
    max_entries: int = 10_000
    """Over all partitions; the least recently found go first. At most 100,000."""
    namespace: str = ""
    key_extra: Callable[[Call], str] | None = None
    """Further text that must be equal."""
    key_secret: str | None = field(default=None, repr=False)
    max_chars: int = 8000
    """Longer questions pass by."""
    max_entry_bytes: int = 1_048_576
    embed_timeout_s: float = 5.0
    check_share: float = 0.0
    """Of hits: the real call is made beside, and its answer compared."""
    same: Same | None = None
    """`(kept, real)` -> whether they say the same. None: by the cosine of the two answers."""
    same_from: float = 0.9
    """The least cosine of two answers that say the same, without `same`."""
    check_timeout_s: float = 120.0
    flush_s: float = 5.0
    """How long closing waits for checks under way."""
    prices: PriceTable | None = field(default=None, repr=False)
    _shelf: Shelf = field(init=False, repr=False, compare=False)
    _embedder: Embedder = field(init=False, repr=False, compare=False)
    _checks: Checks = field(init=False, repr=False, compare=False)
    _secret: bytes = field(init=False, repr=False, compare=False, default=b"")
    _gauge: _Gauge = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self._check()
        store = self._store()
        index = index_of(store, self.max_entries)
        log = None if isinstance(store, MemoryStore) else Log(store, index, self.max_entries)
        prices = self.prices or default_prices()
        embedder = Embedder(self.embed, prices, self.embed_timeout_s)
        checks = Checks(self.check_share, self.same, self.same_from, embedder, prices, self.check_timeout_s)
        object.__setattr__(self, "_shelf", Shelf(store, index, log, self.max_entry_bytes))
        object.__setattr__(self, "_embedder", embedder)
        object.__setattr__(self, "_checks", checks)
        if self.key_secret:
            object.__setattr__(self, "_secret", blake2b(self.key_secret.encode()).digest())
        object.__setattr__(self, "_gauge", _Gauge(index))

    def _store(self) -> Store:
        if self.store == "memory":
            return MemoryStore(max_entries=self.max_entries, max_bytes=_MEMORY_BYTES)
        store = make_store(self.store) if isinstance(self.store, str) else self.store
        if not isinstance(store, Store):
            raise ConfigError(f"SemanticCache.store: expected a Store, found {type(store).__name__}.")
        return store

    def _check(self) -> None:
        if not (callable(self.embed) or (isinstance(self.embed, str) and self.embed)):
            raise ConfigError(
                f"SemanticCache.embed: expected a function of texts, or 'vendor/model', found {self.embed!r}."
            )
        for name in ("threshold", "same_from"):
            if not 0 < getattr(self, name) <= 1:
                raise ConfigError(
                    f"SemanticCache.{name}: expected a cosine above 0 and up to 1, found {getattr(self, name)}."
                )
        if not 0 <= self.check_share <= 1:
            raise ConfigError(f"SemanticCache.check_share: expected a share from 0 to 1, found {self.check_share}.")
        check_limit(self.max_entries)
        for name in ("max_chars", "max_entry_bytes"):
            if getattr(self, name) < 1:
                raise ConfigError(f"SemanticCache.{name}: expected at least 1, found {getattr(self, name)}.")
        for name in ("ttl_s", "embed_timeout_s", "check_timeout_s"):
            if getattr(self, name) is None:
                raise ConfigError(f"SemanticCache.{name}: expected seconds above 0, found None.")
            check_ttl(f"SemanticCache.{name}", getattr(self, name))
        if not 0 <= self.flush_s < math.inf:
            raise ConfigError(f"SemanticCache.flush_s: expected seconds from 0, found {self.flush_s}.")
        if self.same is not None and not callable(self.same):
            raise ConfigError("SemanticCache.same: expected a function of two answers.")

    @property
    def held_store(self) -> Store:
        """The store in use, whoever made it: what a changed SemanticCache goes on with."""
        return self._shelf.store

    async def aclose(self) -> None:
        """Wait for checks under way, and let go of the store."""
        await self._checks.tasks.aclose(self.flush_s)
        await self._shelf.store.aclose()

    async def state(self) -> Mapping[str, Any]:
        """How much is kept, and how often hits were wrong, in this process."""
        checks = self._checks
        return {
            "condition": "ok",
            "entries": len(self._shelf.index),
            "partitions": self._shelf.index.partitions,
            "checks": dict(checks.results),
            "checks_dropped": checks.dropped,
            "false_hits": checks.false_hits._asdict(),
        }

    async def __call__(self, call: Call, call_next: Handler) -> Reply:
        """Look for a similar question, or ask and keep."""
        controls = controls_of(call.options.cache)
        asked = self._asked(call, controls)
        if asked is None:
            return await call_next(call)
        question, partition = asked
        try:
            [vector] = await self._embedder.vectors(call, call_next, [question.text], billed=True)
        except Exception as error:  # noqa: BLE001 - without a vector it is a miss, and says so
            self._failed(call, partition, "embedding", error)
            return await call_next(call)
        if not controls.no_cache:
            reply = await self._similar(call, call_next, partition, vector, controls)
            if reply is not None:
                return reply
        if controls.no_store or call.dry_run:
            return await call_next(call)
        return await self._ask(call, call_next, partition, vector, controls.ttl_s or self.ttl_s)

    def _asked(self, call: Call, controls: Controls) -> tuple[Question, str] | None:
        """The question and its partition; None, and the fact why, if the call passes by."""
        reason = "no_cache and no_store" if controls.bypass else ""
        if call.dry_run and self._embedder.sends:
            reason = "a dry run sends no embedding"
        found = reason or question_of(call.request, self.max_chars)
        if isinstance(found, Question):
            partition = self._partition(call, found)
            if partition is not None:
                return found, partition
            found = "the request cannot be written as JSON"
        call.set(SEMANTIC, SemanticVerdict("bypassed", reason=found))
        return None

    def _partition(self, call: Call, question: Question) -> str | None:
        further = self.key_extra(call) if self.key_extra is not None else ""
        return answer_key(
            call,
            namespace=f"semantic\n{self.namespace}",
            further=f"{self._embedder.name}\n{further}",
            secret=self._secret,
            request=question.rest,
        )

    async def _similar(
        self, call: Call, call_next: Handler, partition: str, vector: Vector, controls: Controls
    ) -> Reply | None:
        """The answer to the most similar question, if that is similar and young enough. Writes the fact."""
        try:
            if self._shelf.log is not None:
                await self._shelf.log.refresh(partition)
            found = await self._shelf.index.search(partition, vector)
            for one in found:
                if one.similarity < self.threshold:
                    break
                reply = await self._given(call, call_next, one, controls)
                if reply is not None:
                    return reply
        except Exception as error:  # noqa: BLE001 - a store that fails is a miss, and says so
            self._failed(call, partition, "lookup", error)
            return None
        best = found[0].similarity if found else None
        call.set(SEMANTIC, SemanticVerdict("miss", best, partition=partition))
        return None

    async def _given(self, call: Call, call_next: Handler, one: Found, controls: Controls) -> Reply | None:
        known, now_ns = one.known, call.clock.wall_ns()
        if now_ns >= known.until_ns:
            self._shelf.index.remove(known.id)
            return None
        age_s = max(0.0, (now_ns - known.stored_ns) / 1e9)
        if controls.ttl_s is not None and age_s >= controls.ttl_s:
            return None
        entry = await self._shelf.entry(known)
        reply = reply_of(entry.answer, stream=call.request.stream) if entry is not None else None
        if entry is None or reply is None:
            return None
        call.set(
            SEMANTIC,
            SemanticVerdict(
                "hit", one.similarity, known.id, known.partition, age_s=age_s, origin_trace_id=entry.trace_id
            ),
        )
        if not call.dry_run:
            self._shelf.index.touch(known.id)
            self._check_hit(call, call_next, entry.answer, one)
        return reply

    def _check_hit(self, call: Call, call_next: Handler, answer: Answer, hit: Found) -> None:
        if call.beside or not self._checks.wants(call):
            return
        kept: Response = assemble_chat(answer) if isinstance(answer, tuple) else answer
        work = self._checks.run(call, call_next, kept, hit)
        self._checks.tasks.run(work, asyncio.get_running_loop())

    async def _ask(self, call: Call, call_next: Handler, partition: str, vector: Vector, ttl_s: float) -> Reply:
        async def keep(answer: Answer) -> None:
            await self._keep(call, partition, vector, answer, ttl_s)

        reply = await call_next(call)
        if isinstance(reply, Stream):
            take_chunks(reply, keep)
        else:
            await keep(reply)
        return reply

    async def _keep(self, call: Call, partition: str, vector: Vector, answer: Answer, ttl_s: float) -> None:
        now_ns = call.clock.wall_ns()
        known = Known(f"{random_id(64):016x}", partition, now_ns, now_ns + int(ttl_s * 1e9))
        said = call.get(SEMANTIC)
        similarity = said.similarity if said is not None else None
        try:
            reason = await self._shelf.keep(call, known, vector, answer, ttl_s)
        except Exception as error:  # noqa: BLE001 - a store that fails costs the next call, never this one
            self._failed(call, partition, "store", error)
            return
        if said is not None and said.verdict == "error":
            return  # that something went wrong on the way is more worth telling than how it ended
        if reason:
            call.set(SEMANTIC, SemanticVerdict("not_stored", similarity, partition=partition, reason=reason))
        else:
            call.set(SEMANTIC, SemanticVerdict("stored", similarity, known.id, partition))

    def _failed(self, call: Call, partition: str, action: str, error: Exception) -> None:
        # The kind of error only: a message may hold a URL with a password, or the question.
        name = type(error).__name__
        logger.warning("The semantic cache failed (%s: %s); the call goes on without it.", action, name)
        call.set(SEMANTIC, SemanticVerdict("error", partition=partition, reason=f"{action}: {name}"))


_MEMORY_BYTES = 512 * 1024 * 1024
"""Of answers in memory, at most."""


class _Gauge:
    """Shows how full the index is."""

    def __init__(self, index: Index) -> None:
        self._index = index
        watch(self)

    def readings(self) -> Iterable[Reading]:
        """For metrics."""
        yield Reading("glassway.semantic_entries", (), len(self._index))
