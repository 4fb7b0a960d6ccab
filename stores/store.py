"""What every store can do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol, runtime_checkable


class Window(NamedTuple):
    """A bound on what is taken under `key`: at most `limit` units in any `length_s` seconds.

    Time is counted in `slices`: what was taken makes room again `length_s` after the slice it fell into has ended, so the
    bound is never exceeded and room comes back up to one slice late. A `fixed` window has one slice, which begins with
    the first unit and ends `length_s` later.
    """

    key: str
    limit: int
    length_s: float
    slices: int = 60
    fixed: bool = False


class Taken(NamedTuple):
    """The answer to a `take`: all windows gave their units, or none did."""

    granted: bool
    used: tuple[int, ...]
    """Units in each window now, those that were just granted included."""
    slices: tuple[int, ...]
    """Where each window booked them: what `settle` corrects."""
    wait_s: float = 0.0
    """If refused: seconds until there may be room; infinite where the amount exceeds a limit."""
    short: int = -1
    """If refused: which window has to be waited for longest."""


@runtime_checkable
class Store(Protocol):
    """Bytes by key, each with a time to live; and units taken from windows. Safe for concurrent use, from several event loops too.

    Each method is atomic over all who share the store: tasks, threads, processes, machines. Time is the store's own, so
    that clocks of its users need not agree. A store bounds its own size and its own waiting: whoever uses it puts no time
    limit around it. Any method may raise what its backend raises; users of a store decide what a failure means for them.
    """

    @property
    def immediate(self) -> bool:
        """Whether its coroutines never suspend, so that they may be run to their end where nothing can be awaited."""
        ...

    async def get(self, key: str) -> bytes | None:
        """The value, or None if there is none or its time is over."""
        ...

    async def set(self, key: str, value: bytes, ttl_s: float) -> None:
        """Keep `value` for `ttl_s` seconds, or shorter where room is needed. Replaces what was there."""
        ...

    async def delete(self, key: str) -> None:
        """Forget `key`; nothing happens if it is unknown."""
        ...

    async def compare_and_set(self, key: str, expected: bytes | None, value: bytes | None, ttl_s: float) -> bool:
        """Replace `expected` (None: nothing is there) by `value` (None: forget it); whether `expected` was what was there.

        What was set so is kept for its whole time, however full the store is: leases and states rest on it.
        """
        ...

    async def take(self, windows: Sequence[Window], amounts: Sequence[int]) -> Taken:
        """Take `amounts` units, one for each window, if all of them have room; else nothing. 0 units only read.

        Raises if no further window can be kept; nothing that counts is ever dropped to make room.
        """
        ...

    async def settle(self, window: Window, slice_: int, units: int) -> None:
        """Correct what was booked in a slice by `units` (negative: give back), whatever the limit; nothing if its time is over."""
        ...

    async def aclose(self) -> None:
        """Let go of files and connections. May be called more than once; a store that is used again opens again."""
        ...
