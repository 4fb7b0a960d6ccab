"""A store in this process's memory."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from threading import RLock

from ..pipeline.errors import ConfigError, StoreError
from .store import MOST, Taken, Window
from .windows import Held, check_amount, check_take, check_units, correct, decide, decide_one

_Kept = tuple[bytes, float]
"""A value, and until when. A plain tuple: the garbage collector forgets it once it has seen what is in it."""


class MemoryStore:
    """Values in memory, gone with the process. When it is full, what was not read for longest goes first.

    `max_entries` and `max_bytes` (of keys and values) bound it; a value larger than all the room is not kept.
    `max_states` bounds the windows, and the values that `compare_and_set` keeps: with more of them alive it raises `StoreError`.
    `now_s` is the time by which values expire: seconds that only ever grow.

    What is said of a coroutine holds for its namesake `..._now`, which it calls: whoever overrides one overrides that.

    A stream that is collected as garbage may settle what it took in the middle of another question on the same thread:
    the lock lets it in, and each question leaves everything whole before it lets Python make an object.
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
        self._windows: dict[str, Held] = {}
        self._seen_apart: Sequence[Window] = ()
        """Windows that were asked for together last: stages ask for the same again and again."""
        self._full_until_s = 0.0
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._bytes = 0
        self._lock = RLock()

    async def get(self, key: str) -> bytes | None:
        """The value, or None. Never suspends."""
        return self.get_now(key)

    def get_now(self, key: str) -> bytes | None:
        """`get`, without a coroutine."""
        with self._lock:
            return self._value(key)

    async def set(self, key: str, value: bytes, ttl_s: float) -> None:
        """Keep a value, and make room for it. Never suspends."""
        self.set_now(key, value, ttl_s)

    def set_now(self, key: str, value: bytes, ttl_s: float) -> None:
        """`set`, without a coroutine."""
        kept = (value, self._now_s() + ttl_s)
        with self._lock:
            if self._states:
                self._states.pop(key, None)
            if key in self._kept:
                self._drop(key)
            if ttl_s <= 0:
                return
            self._kept[key] = kept
            self._bytes += len(key) + len(value)
            while self._kept and (len(self._kept) > self._max_entries or self._bytes > self._max_bytes):
                dropped, (old, _) = self._kept.popitem(last=False)
                self._bytes -= len(dropped) + len(old)

    async def delete(self, key: str) -> None:
        """Forget a value. Never suspends."""
        self.delete_now(key)

    def delete_now(self, key: str) -> None:
        """`delete`, without a coroutine."""
        with self._lock:
            self._states.pop(key, None)
            self._drop(key)

    async def compare_and_set(self, key: str, expected: bytes | None, value: bytes | None, ttl_s: float) -> bool:
        """Replace a value if it is the expected one. Never suspends. Raises `StoreError` if one more state is too many."""
        now_s = self._now_s()
        new = (value, now_s + ttl_s) if value is not None and ttl_s > 0 else None
        with self._lock:
            if new is not None and key not in self._states:
                self._make_room_for_a_state(now_s)
            if self._value(key) != expected:
                return False
            self._drop(key)
            self._states.pop(key, None)
            if new is not None:
                self._states[key] = new
            return True

    async def take(self, windows: Sequence[Window], amounts: Sequence[int]) -> Taken:
        """Take units from all windows or from none. Never suspends. Raises `StoreError` if one more window is too many."""
        return self.take_now(windows, amounts)

    def take_now(self, windows: Sequence[Window], amounts: Sequence[int]) -> Taken:
        """`take`, without a coroutine."""
        now_us = int(self._now_s() * 1e6)
        if len(windows) == 1 == len(amounts):
            window, amount = windows[0], amounts[0]
            if not 0 <= amount <= MOST:
                check_amount(amount)
            with self._lock:
                held = self._windows.get(window.key)
                if held is None or held.window is not window:
                    held = self._held(window)
                return decide_one(held, amount, now_us)
        if windows is not self._seen_apart or len(windows) != len(amounts):
            check_take(windows, amounts)
            self._seen_apart = windows if windows.__class__ is tuple else ()
        with self._lock:
            found = []
            for window in windows:
                one = self._windows.get(window.key)
                found.append(one if one is not None and one.window is window else self._held(window))
            return decide(found, amounts, now_us)

    async def settle(self, window: Window, slice_: int, units: int) -> None:
        """Correct what was booked. Never suspends."""
        self.settle_now(window, slice_, units)

    def settle_now(self, window: Window, slice_: int, units: int) -> None:
        """`settle`, without a coroutine."""
        if not -MOST <= units <= MOST:
            check_units(units)
        now_us = int(self._now_s() * 1e6)
        with self._lock:
            held = self._windows.get(window.key)
            if held is None and units <= 0:
                return
            if held is None or held.window is not window:
                held = self._held(window)
            correct(held, slice_, units, now_us)

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

    def _value(self, key: str) -> bytes | None:
        if self._states:
            state = self._states.get(key)
            if state is not None and state[1] > self._now_s():
                return state[0]
        kept = self._kept.get(key)
        if kept is None:
            return None
        value, until_s = kept
        if until_s <= self._now_s():
            self._drop(key)
            return None
        if key in self._kept:
            self._kept.move_to_end(key)
        return value

    def _held(self, window: Window) -> Held:
        found = self._windows.get(window.key)
        if found is None:
            held = Held(window)
            self._make_room_for_a_state(self._now_s())
            return self._windows.setdefault(window.key, held)
        if found.window is not window:
            if found.window != window:
                found.fit(window)
            else:
                found.window = window  # seen at once the next time
        return found

    def _make_room_for_a_state(self, now_s: float) -> None:
        if len(self._states) + len(self._windows) < self._max_states:
            return
        if now_s >= self._full_until_s:
            self._forget_what_is_over(now_s)
        if len(self._states) + len(self._windows) >= self._max_states:
            raise StoreError(
                f"The store holds {self._max_states} windows and states, all of them alive. Raise max_states, or use Redis."
            )

    def _forget_what_is_over(self, now_s: float) -> None:
        """Drop what is over. Where nothing is, nobody looks again for a second: a full store must not be a slow one."""
        before = len(self._states) + len(self._windows)
        for key, (_, until_s) in list(self._states.items()):
            if until_s <= now_s:
                self._states.pop(key, None)
        for key, held in list(self._windows.items()):
            if not held.slices or held.ends_us() <= now_s * 1e6:
                self._windows.pop(key, None)
        self._full_until_s = now_s if len(self._states) + len(self._windows) < before else now_s + 1.0

    def _drop(self, key: str) -> None:
        kept = self._kept.pop(key, None)
        if kept is not None:
            self._bytes -= len(key) + len(kept[0])
