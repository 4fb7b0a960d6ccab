"""A store on disk, shared by the processes of one machine: diskcache, with its pickling taken out."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, TypeVar

from pydantic_core import from_json, to_json

from ..pipeline.errors import ConfigError, StoreError
from ._undoing import Undoing
from .store import LONGEST_S, Taken, Window
from .windows import Held, check_take, check_units, correct, decide

if TYPE_CHECKING:
    from diskcache import Cache  # type: ignore[import-untyped]  # it has no types

T = TypeVar("T")

_BUSY_S = 1.0
"""How long a write waits for another process's write before it fails."""
_STATE = "state"
"""The tag of what may not be dropped to make room."""
_LEAST_ROOM_FOR_STATES = 64 * 1024 * 1024


class DiskStore:
    """Values in files of `directory` (made, for its owner only, if it is missing), kept over restarts.

    Only bytes are written and only bytes are read: an entry that somebody else wrote as a pickle raises `ValueError`
    and is never unpickled. `max_bytes` bounds the files: what was stored longest ago goes first, windows and states never;
    if they alone take twice as much (64 MiB at least), one more of them raises `StoreError`.

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
        self._undoing = Undoing()
        self._begin()

    def _begin(self) -> None:
        self._process = os.getpid()
        self._cache: Cache | None = None
        self._writer: ThreadPoolExecutor | None = None
        self._lock = Lock()

    async def get(self, key: str) -> bytes | None:
        """The value, or None. Raises what SQLite raises, and `ValueError` for an entry that is not bytes."""
        cache = self._cache
        value = (cache if cache is not None else await self._in_thread(self._opened)).get(_value(key))
        return value if isinstance(value, bytes) else None

    async def set(self, key: str, value: bytes, ttl_s: float) -> None:
        """Keep a value. Raises `diskcache.Timeout` when other processes keep the files busy for a second."""
        if ttl_s <= 0:
            await self.delete(key)
        else:
            await self._in_thread(lambda: self._opened().set(_value(key), value, expire=min(ttl_s, LONGEST_S)))

    async def delete(self, key: str) -> None:
        """Forget a value. Raises as `set` does."""
        await self._in_thread(lambda: self._opened().delete(_value(key)))

    async def compare_and_set(self, key: str, expected: bytes | None, value: bytes | None, ttl_s: float) -> bool:
        """Replace a value if it is the expected one. Raises as `set` does, and `StoreError` if one more state is too many."""

        def replace(cache: Cache) -> bool:
            found = cache.get(_value(key))
            if found != expected:
                return False
            if value is None or ttl_s <= 0:
                cache.delete(_value(key))
            else:
                self._keep(cache, _value(key), value, ttl_s, new=found is None)
            return True

        return await self._in_transaction(replace)

    async def take(self, windows: Sequence[Window], amounts: Sequence[int]) -> Taken:
        """Take units from all windows or from none, by this machine's clock. Raises as `compare_and_set` does."""
        check_take(windows, amounts)

        def decided(cache: Cache) -> Taken:
            now_us = int(time.time() * 1e6)
            held = [_held(cache, window) for window in windows]
            taken = decide(held, amounts, now_us)
            for window, one in zip(windows, held, strict=True):
                self._keep_window(cache, window, one, now_us)
            return taken

        async def undo(taken: Taken) -> None:
            if taken.granted:
                for window, slice_, amount in zip(windows, taken.slices, amounts, strict=True):
                    await self.settle(window, slice_, -amount)

        return await self._undoing.whole(self._in_transaction(decided), undo)

    async def settle(self, window: Window, slice_: int, units: int) -> None:
        """Correct what was booked. Raises as `compare_and_set` does."""
        check_units(units)

        def settled(cache: Cache) -> None:
            now_us = int(time.time() * 1e6)
            held = _held(cache, window)
            correct(held, slice_, units, now_us)
            self._keep_window(cache, window, held, now_us)

        await self._in_transaction(settled)

    async def aclose(self) -> None:
        """Close the files and end the thread. The store opens again when it is used again."""
        await self._undoing.flush()
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

    def _keep_window(self, cache: Cache, window: Window, held: Held, now_us: int) -> None:
        if not held.changed:
            return
        if held.slices:
            alive_s = max(0.001, (held.ends_us() - now_us) / 1e6)
            self._keep(cache, _window(window), to_json(held.slices), alive_s, new=held.is_new)
        else:
            cache.delete(_window(window))

    def _keep(self, cache: Cache, key: str, value: bytes, ttl_s: float, *, new: bool) -> None:
        if new and cache.volume() > max(2 * self._max_bytes, _LEAST_ROOM_FOR_STATES):
            raise StoreError(
                "The store's windows and states take more than twice max_bytes. Raise max_bytes, or use fewer keys."
            )
        cache.set(key, value, expire=min(ttl_s, LONGEST_S), tag=_STATE)

    async def _in_transaction(self, work: Callable[[Cache], T]) -> T:
        def run() -> T:
            cache = self._opened()
            with cache.transact():
                return work(cache)

        return await self._in_thread(run)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        if os.getpid() != self._process:
            self._begin()  # a forked child: the thread, and perhaps the lock's owner, stayed with the parent
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


def _held(cache: Cache, window: Window) -> Held:
    found = cache.get(_window(window))
    return Held(window, {int(start): units for start, units in from_json(found).items()} if found is not None else None)


def _value(key: str) -> str:
    return f"value:{_text(key)}"


def _window(window: Window) -> str:
    return f"window:{_text(window.key)}"


def _text(key: str) -> str:
    """SQLite takes no halves of characters, which JSON can bring; no two keys become one."""
    return key.replace("\\", "\\\\").encode("utf-8", "backslashreplace").decode()
