"""A store in this process's memory."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from threading import Lock
from typing import NamedTuple

from ..pipeline.errors import ConfigError


class _Kept(NamedTuple):
    value: bytes
    until_s: float


class MemoryStore:
    """Values in memory, gone with the process. When it is full, what was not read for longest goes first.

    `max_entries` and `max_bytes` (of keys and values) bound it; a value larger than all the room is not kept.
    `now_s` is the time by which values expire: seconds that only ever grow.
    """

    def __init__(
        self,
        *,
        max_entries: int = 10_000,
        max_bytes: int = 64 * 1024 * 1024,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        if max_entries < 1 or max_bytes < 1:
            raise ConfigError(
                f"MemoryStore: expected max_entries and max_bytes of at least 1, found {max_entries} and {max_bytes}."
            )
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._now_s = now_s
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._bytes = 0
        self._lock = Lock()

    async def get(self, key: str) -> bytes | None:
        """The value, or None. Never suspends."""
        with self._lock:
            kept = self._kept.get(key)
            if kept is None:
                return None
            if kept.until_s <= self._now_s():
                self._drop(key)
                return None
            self._kept.move_to_end(key)
            return kept.value

    async def set(self, key: str, value: bytes, ttl_s: float) -> None:
        """Keep a value, and make room for it. Never suspends."""
        with self._lock:
            self._drop(key)
            self._kept[key] = _Kept(value, self._now_s() + ttl_s)
            self._bytes += len(key) + len(value)
            while len(self._kept) > self._max_entries or self._bytes > self._max_bytes:
                self._drop(next(iter(self._kept)))

    async def delete(self, key: str) -> None:
        """Forget a value. Never suspends."""
        with self._lock:
            self._drop(key)

    async def aclose(self) -> None:
        """Nothing to let go of: values stay for whoever shares this store."""

    def __len__(self) -> int:
        """How many values are held; some may have expired."""
        return len(self._kept)

    @property
    def held_bytes(self) -> int:
        """Bytes of the keys and values that are held."""
        return self._bytes

    def __repr__(self) -> str:
        return f"MemoryStore(max_entries={self._max_entries}, max_bytes={self._max_bytes})"

    def _drop(self, key: str) -> None:
        kept = self._kept.pop(key, None)
        if kept is not None:
            self._bytes -= len(key) + len(kept.value)
