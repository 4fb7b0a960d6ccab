"""A store on disk, shared by the processes of one machine: diskcache, with its pickling taken out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, TypeVar

from pydantic_core import from_json, to_json

from ..pipeline.errors import ConfigError
from .store import Taken, Window
from .windows import Slices, correct, decide, ends_us

if TYPE_CHECKING:
    from diskcache import Cache  # type: ignore[import-untyped]  # it has no types

T = TypeVar("T")

_BUSY_S = 1.0
"""How long a write waits for another process's write before it fails."""


class DiskStore:
    """Values in files of `directory` (made, for its owner only, if it is missing), kept over restarts.

    Only bytes are written and only bytes are read: an entry that somebody else wrote as a pickle raises `ValueError`
    and is never unpickled. `max_bytes` bounds the files; what was stored longest ago goes first.

    Reads run where they are called (they take some 20 us and never wait for a writer); writes, which may wait for
    another process, run in a thread of the store's own.

    Source: CVE-2025-69872, https://nvd.nist.gov/vuln/detail/CVE-2025-69872
    """

    immediate = False

    def __init__(self, directory: str | Path, *, max_bytes: int = 1024 * 1024 * 1024) -> None:
        if not str(directory):
            raise ConfigError("DiskStore: expected a directory, found an empty name. Give it one: disk:./state.")
        if max_bytes < 1:
            raise ConfigError(f"DiskStore: expected max_bytes of at least 1, found {max_bytes}.")
        self._directory = Path(directory).expanduser()
        self._max_bytes = max_bytes
        self._cache: Cache | None = None
        self._writer: ThreadPoolExecutor | None = None
        self._lock = Lock()

    async def get(self, key: str) -> bytes | None:
        """The value, or None. Raises what SQLite raises, and `ValueError` for an entry that is not bytes."""
        cache = self._cache
        value = (cache if cache is not None else await self._in_thread(self._opened)).get(key)
        return value if isinstance(value, bytes) else None

    async def set(self, key: str, value: bytes, ttl_s: float) -> None:
        """Keep a value. Raises `diskcache.Timeout` when other processes keep the files busy for a second."""
        await self._in_thread(lambda: self._opened().set(key, value, expire=ttl_s))

    async def delete(self, key: str) -> None:
        """Forget a value. Raises as `set` does."""
        await self._in_thread(lambda: self._opened().delete(key))

    async def compare_and_set(self, key: str, expected: bytes | None, value: bytes | None, ttl_s: float) -> bool:
        """Replace a value if it is the expected one. Raises as `set` does."""

        def replace(cache: Cache) -> bool:
            if cache.get(key) != expected:
                return False
            if value is None:
                cache.delete(key)
            else:
                cache.set(key, value, expire=ttl_s)
            return True

        return await self._in_transaction(replace)

    async def take(self, windows: Sequence[Window], amounts: Sequence[int]) -> Taken:
        """Take units from all windows or from none, by this machine's clock. Raises as `set` does."""

        def decided(cache: Cache) -> Taken:
            now_us = int(time.time() * 1e6)
            held = [_slices(cache, window) for window in windows]
            taken = decide(windows, held, amounts, now_us)
            if taken.granted:
                for window, slices, amount in zip(windows, held, amounts, strict=True):
                    if amount:
                        _keep(cache, window, slices, now_us)
            return taken

        return await self._in_transaction(decided)

    async def settle(self, window: Window, slice_: int, units: int) -> None:
        """Correct what was booked. Raises as `set` does."""

        def settled(cache: Cache) -> None:
            now_us = int(time.time() * 1e6)
            slices = _slices(cache, window)
            correct(window, slices, slice_, units, now_us)
            _keep(cache, window, slices, now_us)

        await self._in_transaction(settled)

    async def aclose(self) -> None:
        """Close the files and end the thread. The store opens again when it is used again."""
        with self._lock:
            cache, self._cache = self._cache, None
            writer, self._writer = self._writer, None
        if cache is not None:
            cache.close()  # this thread's connection; the writer has its own
        if writer is not None:
            if cache is not None:
                await asyncio.wrap_future(writer.submit(cache.close))
            writer.shutdown(wait=False)

    def __repr__(self) -> str:
        return f"DiskStore({str(self._directory)!r})"

    async def _in_transaction(self, work: Callable[[Cache], T]) -> T:
        def run() -> T:
            cache = self._opened()
            with cache.transact():
                return work(cache)

        return await self._in_thread(run)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        with self._lock:
            if self._writer is None:
                self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="glassway-disk")
            future = self._writer.submit(work)
        return await asyncio.wrap_future(future)

    def _opened(self) -> Cache:
        """The open files. Runs in the writer's thread only, so that they are opened once."""
        if self._cache is None:
            from ._bytesdisk import open_cache  # imported by whoever needs diskcache, not by everybody

            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._cache = open_cache(self._directory, self._max_bytes, _BUSY_S)
        return self._cache


def _slices(cache: Cache, window: Window) -> Slices:
    found = cache.get(f"window:{window.key}")
    return {int(slice_): units for slice_, units in from_json(found).items()} if found is not None else {}


def _keep(cache: Cache, window: Window, slices: Slices, now_us: int) -> None:
    if slices:
        alive_s = (max(ends_us(window, slice_) for slice_ in slices) - now_us) / 1e6
        cache.set(f"window:{window.key}", to_json(slices), expire=max(0.001, alive_s))
