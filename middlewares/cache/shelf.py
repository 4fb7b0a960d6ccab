"""Entries in a store, for one stage: what fails here never fails a call."""

from __future__ import annotations

import logging
from typing import NamedTuple

from ...pipeline.answers import Answer, Entry, decode, encode, incomplete, trace_id_of
from ...pipeline.call import Call
from ...pipeline.facts import CACHE, FALLBACKS, SEMANTIC, CacheVerdict
from ...stores import ImmediateStore, Store

logger = logging.getLogger("glassway")


class Shelf(NamedTuple):
    """A store, and what may go into it."""

    store: Store
    max_entry_bytes: int
    at_once: ImmediateStore | None
    """The store, if no question to it waits: then `find_now` and `keep_now` are."""

    async def find(self, call: Call, key: str, max_age_s: float | None) -> Entry | None:
        """The entry, if it is there, whole and young enough. Writes the fact: hit, miss or error."""
        try:
            data = await self.store.get(_place(key))
        except Exception as error:  # noqa: BLE001 - a store that fails is a miss, and says so
            failed(call, key, "lookup", error)
            return None
        entry, damaged = _read(call, key, data, max_age_s)
        if damaged and not call.dry_run:
            try:
                await self.store.delete(_place(key))
            except Exception as error:  # noqa: BLE001 - it will be written over
                failed(call, key, "delete", error)
        return entry

    def find_now(self, store: ImmediateStore, call: Call, key: str, max_age_s: float | None) -> Entry | None:
        """`find`, in a store that answers at once."""
        try:
            data = store.get_now(_place(key))
        except Exception as error:  # noqa: BLE001 - as in `find`
            failed(call, key, "lookup", error)
            return None
        entry, damaged = _read(call, key, data, max_age_s)
        if damaged and not call.dry_run:
            try:
                store.delete_now(_place(key))
            except Exception as error:  # noqa: BLE001 - as in `find`
                failed(call, key, "delete", error)
        return entry

    async def look(self, call: Call, key: str) -> Entry | None:
        """The entry, if it is there and whole, without a word about it. Raises what the store raises."""
        data = await self.store.get(_place(key))
        try:
            entry = decode(key, data) if data is not None else None
        except (TypeError, ValueError):
            return None
        return entry if entry is not None and (call.clock.wall_ns() - entry.stored_ns) / 1e9 < entry.ttl_s else None

    async def keep(self, call: Call, key: str, answer: Answer, ttl_s: float) -> None:
        """Store an answer if it may be given again. Writes the fact: stored, not_stored or error."""
        data, reason = self._bytes(call, key, answer, ttl_s)
        if data is not None:
            try:
                await self.store.set(_place(key), data, ttl_s)
            except Exception as error:  # noqa: BLE001 - a store that fails costs the next call, never this one
                failed(call, key, "store", error)
                return
        _settle(call, key, reason)

    def keep_now(self, store: ImmediateStore, call: Call, key: str, answer: Answer, ttl_s: float) -> None:
        """`keep`, in a store that answers at once."""
        data, reason = self._bytes(call, key, answer, ttl_s)
        if data is not None:
            try:
                store.set_now(_place(key), data, ttl_s)
            except Exception as error:  # noqa: BLE001 - as in `keep`
                failed(call, key, "store", error)
                return
        _settle(call, key, reason)

    def _bytes(self, call: Call, key: str, answer: Answer, ttl_s: float) -> tuple[bytes | None, str]:
        """The entry for an answer; or None and why it is not kept."""
        if reason := incomplete(answer):
            return None, reason
        facts = call.state.facts
        if facts.get(FALLBACKS.name):
            return None, "it came from a fallback"
        if (similar := facts.get(SEMANTIC.name)) is not None and similar.verdict == "hit":
            return None, "it was the answer to a similar question"
        try:
            data = encode(key, call.request.operation, Entry(answer, call.clock.wall_ns(), ttl_s, trace_id_of(call)))
        except (TypeError, ValueError):
            return None, "it cannot be written as JSON"
        return (
            (data, "")
            if len(data) <= self.max_entry_bytes
            else (None, f"it is larger than {self.max_entry_bytes} bytes")
        )


def failed(call: Call, key: str, action: str, error: Exception) -> None:
    """Say that the store failed; the call goes on."""
    # The kind of error only: a backend's message may hold its URL with the password in it.
    logger.warning("The cache's store failed (%s: %s); the call goes on without it.", action, type(error).__name__)
    call.set(CACHE, CacheVerdict("error", key, reason=f"{action}: {type(error).__name__}"))


def _place(key: str) -> str:
    return f"cache:{key}"


def _read(call: Call, key: str, data: bytes | None, max_age_s: float | None) -> tuple[Entry | None, bool]:
    """The entry in what a store has found, and whether it is damaged. Writes the fact."""
    if data is None:
        call.set(CACHE, CacheVerdict("miss", key))
        return None, False
    try:
        entry = decode(key, data)
    except (TypeError, ValueError):
        call.set(CACHE, CacheVerdict("error", key, "damaged entry"))
        return None, True
    age_s = (call.clock.wall_ns() - entry.stored_ns) / 1e9
    if age_s >= min(entry.ttl_s, max_age_s or entry.ttl_s):
        call.set(CACHE, CacheVerdict("miss", key, "too old"))
        return None, False
    call.set(CACHE, CacheVerdict("hit", key, age_s=max(0.0, age_s), origin_trace_id=entry.trace_id))
    return entry, False


def _settle(call: Call, key: str, reason: str) -> None:
    """The last word on a call; that something went wrong on the way is more worth telling than how it ended."""
    said = call.get(CACHE)
    if said is None or said.verdict != "error":
        call.set(CACHE, CacheVerdict("not_stored" if reason else "stored", key, reason))
