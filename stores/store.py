"""What every store can do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol, cast, runtime_checkable

from ..pipeline.errors import ConfigError

MOST = 2**53 - 1
"""Units, limits and sums of a window are whole numbers up to here: what every store, Redis's Lua too, counts exactly."""
LONGEST_S = 10 * 366 * 86_400.0
"""Ten years. Nothing is kept for longer: it is a mistake in the unit."""


class Window(NamedTuple):
    """A bound on what is taken under `key`: at most `limit` units in any `length_s` seconds.

    Time is counted in `slices` (1 to 1000): what was taken makes room again `length_s` after the slice it fell into has
    ended, so the bound is never exceeded and room comes back up to one slice late.

    A `fixed` window begins with the first unit that is taken and ends `length_s` later, all of it at once: at most `limit`
    units between its beginning and its end, and up to twice as many in a time that spans two of them.

    Limit and lengths of a key may change between two questions: what was taken before counts on.
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
    """Units in each window now, those that were just granted included; more than the limit after corrections."""
    slices: tuple[int, ...]
    """Where each window booked them: what `settle` is given. Nothing else is to be read out of it."""
    wait_s: float = 0.0
    """If refused: seconds until there may be room; infinite where the amount exceeds a limit."""
    short: int = -1
    """If refused: which window has to be waited for longest."""


@runtime_checkable
class Store(Protocol):
    """Bytes by key, each with a time to live; and units taken from windows. Safe for concurrent use, from several event loops too.

    Each method is atomic over all who share the store: tasks, threads, processes, machines. Time is the store's own, so
    that clocks of its users need not agree. A store bounds its own size and its own waiting: whoever uses it puts no time
    limit around it. Any method may raise what its backend raises; users of a store decide what a failure means for them
    (`ask_store`). A question that makes no sense (a limit beyond 2^53, one window named twice) raises `ConfigError`.

    Whoever is cancelled while a `take` is under way took nothing: what the store still grants is given back.
    """

    @property
    def immediate(self) -> bool:
        """Whether its coroutines never suspend, so that they may be run to their end where nothing can be awaited.

        Then it is an `ImmediateStore`.
        """
        ...

    async def get(self, key: str) -> bytes | None:
        """The value, or None if there is none or its time is over."""
        ...

    async def set(self, key: str, value: bytes, ttl_s: float) -> None:
        """Keep `value` for `ttl_s` seconds (ten years at most), or shorter where room is needed. Replaces what was there.

        With a time of 0 or less nothing is kept.
        """
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

        The windows have different keys. Raises if no further window can be kept; nothing that counts is ever dropped to make room.
        """
        ...

    async def settle(self, window: Window, slice_: int, units: int) -> None:
        """Correct what was booked in a slice by `units` (negative: give back), whatever the limit; nothing if its time is over.

        A slice never holds less than 0, and a window never more than 2^53 - 1.
        """
        ...

    async def aclose(self) -> None:
        """Let go of files and connections. May be called more than once; a store that is used again opens again."""
        ...


class ImmediateStore(Store, Protocol):
    """A store that never waits: what stages ask it at each call, it answers without a coroutine too. The coroutines do the same."""

    def get_now(self, key: str) -> bytes | None:
        """`get`."""
        ...

    def set_now(self, key: str, value: bytes, ttl_s: float) -> None:
        """`set`."""
        ...

    def delete_now(self, key: str) -> None:
        """`delete`."""
        ...

    def take_now(self, windows: Sequence[Window], amounts: Sequence[int]) -> Taken:
        """`take`."""
        ...

    def settle_now(self, window: Window, slice_: int, units: int) -> None:
        """`settle`."""
        ...


def immediate(store: Store) -> ImmediateStore | None:
    """The store, if it answers at once. Raises `ConfigError` for one that says so and cannot."""
    if not store.immediate:
        return None
    if missing := [name for name in _AT_ONCE if not callable(getattr(store, name, None))]:
        raise ConfigError(
            f"{type(store).__name__}: expected {', '.join(missing)}, found none. Write them, or say immediate = False."
        )
    return cast("ImmediateStore", store)


_AT_ONCE = ("get_now", "set_now", "delete_now", "take_now", "settle_now")
