"""Answers and vectors in a store. What fails here never fails a call."""

from __future__ import annotations

import logging
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from pydantic_core import from_json, to_json

from ...pipeline.answers import Answer, Entry, decode, encode, incomplete, trace_id_of
from ...pipeline.call import Call
from ...pipeline.facts import FALLBACKS
from ...stores import MemoryStore, Store
from .index import Index, Known, vector_bytes, vector_from

if TYPE_CHECKING:
    from .index import Vector

logger = logging.getLogger("glassway")

_MOST_READ = 512
"""Notes of others that one call reads at most; the next call goes on."""
_MOST_PARTITIONS = 10_000
"""Partitions whose place in the log is remembered."""


@dataclass(frozen=True, slots=True)
class Shelf:
    """A store, the index of this process, and what may go into them."""

    store: Store
    index: Index
    log: Log | None
    """None where nobody shares the store."""
    max_entry_bytes: int

    async def entry(self, known: Known) -> Entry | None:
        """The kept answer; None, and the index forgets it, if it is gone or damaged. Raises what the store raises."""
        data = await self.store.get(_place(known.id))
        try:
            found = decode(known.id, data) if data is not None else None
        except (TypeError, ValueError):
            found = None
        if found is None:
            self.index.remove(known.id)
        return found

    async def keep(self, call: Call, known: Known, vector: Vector, answer: Answer, ttl_s: float) -> str:
        """Keep an answer if it may be given again; else why not. Raises what the store raises."""
        if reason := incomplete(answer):
            return reason
        if call.trail(FALLBACKS):
            return "it came from a fallback"
        entry = Entry(answer, known.stored_ns, ttl_s, trace_id_of(call))
        try:
            data = encode(known.id, call.request.operation, entry)
        except (TypeError, ValueError):
            return "it cannot be written as JSON"
        if len(data) > self.max_entry_bytes:
            return f"it is larger than {self.max_entry_bytes} bytes"
        await self.store.set(_place(known.id), data, ttl_s)
        gone = self.index.add(known, vector)
        if self.log is not None:
            await self.log.append(known, vector, ttl_s)
        else:
            for each in gone:
                await self.store.delete(_place(each.id))
        return ""


class Log:
    """What processes tell each other of new entries: numbered notes for each partition, read where one has stopped.

    A note has the entry's id, its times and its vector. A number is taken by comparing and setting, so that no two
    writers have the same; `head` is the next free one, and is read once a call. Notes expire with their entries.
    """

    def __init__(self, store: Store, index: Index, most: int) -> None:
        self._store = store
        self._index = index
        self._most = most
        self._next: OrderedDict[str, int] = OrderedDict()

    async def refresh(self, partition: str) -> None:
        """Take in what others have added since the last time. Raises what the store raises."""
        head = await self._head(partition)
        begin = self._next.get(partition)
        number = max(0, head - self._most) if begin is None else begin
        until = min(head, number + _MOST_READ)
        while number < until:
            self._take(partition, await self._store.get(self._note(partition, number)))
            number += 1
            self._passed(partition, number)

    async def append(self, known: Known, vector: Vector, ttl_s: float) -> None:
        """Tell the others of an entry. Raises what the store raises."""
        note = to_json([known.id, known.stored_ns, known.until_ns]) + b"\n" + vector_bytes(vector)
        number = max(await self._head(known.partition), self._next.get(known.partition, 0))
        while not await self._store.compare_and_set(self._note(known.partition, number), None, note, ttl_s):
            number += 1
        await self._raise_head(known.partition, number + 1, ttl_s)

    async def _head(self, partition: str) -> int:
        data = await self._store.get(self._head_key(partition))
        return int(data) if data is not None and data.isdigit() else 0

    async def _raise_head(self, partition: str, number: int, ttl_s: float) -> None:
        """It only ever grows, and lasts longer than the notes below it."""
        key = self._head_key(partition)
        while True:
            now = await self._store.get(key)
            if now is not None and now.isdigit() and int(now) > number:
                return
            if await self._store.compare_and_set(key, now, str(number).encode(), 2 * ttl_s):
                return

    def _take(self, partition: str, note: bytes | None) -> None:
        head, newline, body = (note or b"").partition(b"\n")
        if not newline:
            return  # expired
        try:
            entry_id, stored_ns, until_ns = from_json(head)
            self._index.add(Known(str(entry_id), partition, int(stored_ns), int(until_ns)), vector_from(body))
        except (TypeError, ValueError):
            logger.warning("A note in the log of the semantic cache is damaged; it is left out.")

    def _passed(self, partition: str, number: int) -> None:
        self._next[partition] = max(number, self._next.get(partition, 0))
        self._next.move_to_end(partition)
        while len(self._next) > _MOST_PARTITIONS:
            self._next.popitem(last=False)

    def _head_key(self, partition: str) -> str:
        return f"semantic:log:{partition}:head"

    def _note(self, partition: str, number: int) -> str:
        return f"semantic:log:{partition}:{number}"


_indexes: WeakKeyDictionary[MemoryStore, Index] = WeakKeyDictionary()


def index_of(store: Store, limit: int) -> Index:
    """The index for a stage's store. Stages that share a store in memory share its index, for they are told of nothing by a log."""
    if not isinstance(store, MemoryStore):
        return Index(limit)
    index = _indexes.get(store)
    if index is None:
        index = _indexes[store] = Index(limit)
    index.limit = limit
    return index


def _place(entry_id: str) -> str:
    return f"semantic:entry:{entry_id}"
