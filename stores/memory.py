"""A store in this process's memory."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from threading import Lock
from typing import NamedTuple

from ..pipeline.errors import ConfigError, StoreError
from .store import Taken, Window
from .windows import Slices, correct, decide, ends_us


class _Kept(NamedTuple):
    value: bytes
    until_s: float


class MemoryStore:
    """Values in memory, gone with the process. When it is full, what was not read for longest goes first.

    `max_entries` and `max_bytes` (of keys and values) bound it; a value larger than all the room is not kept.
    `max_states` bounds the windows, and the values that `compare_and_set` keeps: with more of them alive it raises `StoreError`.
    `now_s` is the time by which values expire: seconds that only ever grow.
    """

    immediate = True

    def __init__(
        self,
        *,
        max_entries: int = 10_000,
        max_bytes: int = 64 * 1024 * 1024,
        max_states: int = 100_000,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        if max_entries < 1 or max_bytes < 1 or max_states < 1:
            raise ConfigError(
                f"MemoryStore: expected max_entries, max_bytes and max_states of at least 1, found {max_entries}, {max_bytes} and {max_states}."
            )
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._max_states = max_states
        self._now_s = now_s
        self._states: dict[str, _Kept] = {}
        self._windows: dict[str, tuple[Window, Slices]] = {}
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._bytes = 0
        self._lock = Lock()

    async def get(self, key: str) -> bytes | None:
        """The value, or None. Never suspends."""
        with self._lock:
            if (state := self._state(key)) is not None:
                return state
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
            self._states.pop(key, None)
            self._drop(key)
            self._kept[key] = _Kept(value, self._now_s() + ttl_s)
            self._bytes += len(key) + len(value)
            while len(self._kept) > self._max_entries or self._bytes > self._max_bytes:
                self._drop(next(iter(self._kept)))

    async def delete(self, key: str) -> None:
        """Forget a value. Never suspends."""
        with self._lock:
            self._states.pop(key, None)
            self._drop(key)

    async def compare_and_set(self, key: str, expected: bytes | None, value: bytes | None, ttl_s: float) -> bool:
        """Replace a value if it is the expected one. Never suspends."""
        with self._lock:
            found = self._state(key)
            if found is None and (kept := self._kept.get(key)) is not None and kept.until_s > self._now_s():
                found = kept.value
            if found != expected:
                return False
            self._drop(key)
            self._states.pop(key, None)
            if value is not None:
                self._make_room_for_a_state()
                self._states[key] = _Kept(value, self._now_s() + ttl_s)
            return True

    async def take(self, windows: Sequence[Window], amounts: Sequence[int]) -> Taken:
        """Take units from all windows or from none. Never suspends."""
        with self._lock:
            held = [self._slices(window) for window in windows]
            return decide(windows, held, amounts, int(self._now_s() * 1e6))

    async def settle(self, window: Window, slice_: int, units: int) -> None:
        """Correct what was booked. Never suspends."""
        with self._lock:
            correct(window, self._slices(window), slice_, units, int(self._now_s() * 1e6))

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

    def _state(self, key: str) -> bytes | None:
        state = self._states.get(key)
        if state is None:
            return None
        if state.until_s > self._now_s():
            return state.value
        del self._states[key]
        return None

    def _slices(self, window: Window) -> Slices:
        found = self._windows.get(window.key)
        if found is None or found[0] is not window:
            if found is None:
                self._make_room_for_a_state()
            found = self._windows[window.key] = (window, found[1] if found is not None else {})
        return found[1]

    def _make_room_for_a_state(self) -> None:
        if len(self._states) + len(self._windows) < self._max_states:
            return
        now_s = self._now_s()
        self._states = {key: state for key, state in self._states.items() if state.until_s > now_s}
        self._windows = {key: kept for key, kept in self._windows.items() if _alive(*kept, int(now_s * 1e6))}
        if len(self._states) + len(self._windows) >= self._max_states:
            raise StoreError(
                f"The store holds {self._max_states} windows and states, all of them alive. Raise max_states, or use Redis."
            )

    def _drop(self, key: str) -> None:
        kept = self._kept.pop(key, None)
        if kept is not None:
            self._bytes -= len(key) + len(kept.value)


def _alive(window: Window, slices: Slices, now_us: int) -> bool:
    return any(now_us < ends_us(window, slice_) for slice_ in slices)
