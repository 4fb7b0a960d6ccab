"""The arithmetic of windows, for stores that hold them themselves. Pure: state and time in, decision out.

A slice is named by its start, microseconds of the store's time, so that a window whose length or slices are changed goes
on with what was taken. `_scripts.py` says the same in Lua; a differential test holds the two together.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from ..pipeline.errors import ConfigError
from .store import LONGEST_S, MOST, Taken, Window

_US = 1_000_000
_NEVER = 2**62
_new_tuple = tuple.__new__  # half the time of a named tuple's own constructor


def check_window(window: Window) -> None:
    """Raises `ConfigError` for a window that cannot be kept."""
    if not 0 <= window.limit <= MOST:
        raise ConfigError(f"Window.limit: expected 0 to 2^53 - 1 units, found {window.limit}. Use a larger unit.")
    if not 0 < window.length_s <= LONGEST_S:
        raise ConfigError(f"Window.length_s: expected seconds above 0, ten years at most, found {window.length_s}.")
    if not 1 <= window.slices <= 1_000:
        raise ConfigError(f"Window.slices: expected 1 to 1000, found {window.slices}.")


def check_take(windows: Sequence[Window], amounts: Sequence[int]) -> None:
    """Raises `ConfigError` for amounts that nobody can take, and for one window named twice."""
    if len(windows) != len(amounts):
        raise ConfigError(f"take: expected an amount for each of {len(windows)} windows, found {len(amounts)}.")
    for amount in amounts:
        check_amount(amount)
    if len({window.key for window in windows}) < len(windows):
        raise ConfigError(
            "take: expected windows of different keys, found one twice. Give each bound a key of its own."
        )


def check_amount(amount: int) -> None:
    """Raises `ConfigError` for an amount that nobody can take."""
    if not 0 <= amount <= MOST:
        raise ConfigError(f"take: expected an amount of 0 to 2^53 - 1, found {amount}. `settle` gives units back.")


def check_units(units: int) -> None:
    """Raises `ConfigError` for a correction that not every store can count."""
    if not -MOST <= units <= MOST:
        raise ConfigError(f"settle: expected units within 2^53 - 1, found {units}. Use a larger unit.")


class Held:
    """What a window holds: units by the start of their slice, and their sum.

    A collection of garbage may run `correct` on it in the middle of a `decide`, on the same thread: no step leaves slices
    and sum apart while Python could collect.
    """

    __slots__ = (
        "changed",
        "fixed",
        "is_new",
        "keeps_us",
        "length_us",
        "limit",
        "newest",
        "oldest",
        "quiet_from_us",
        "quiet_until_us",
        "slices",
        "total",
        "width_us",
        "window",
    )

    def __init__(self, window: Window, slices: Mapping[int, int] | None = None) -> None:
        self.slices: dict[int, int] = dict(slices) if slices else {}
        self.total = sum(self.slices.values())
        self.oldest, self.newest = _NEVER, 0
        self.fit(window)
        self.changed = False
        self.is_new = slices is None

    def fit(self, window: Window) -> None:
        """Count by this window's settings from now on. Raises `ConfigError` for one that cannot be kept."""
        check_window(window)
        self.window = window
        self.limit, self.fixed = window.limit, window.fixed
        self.length_us, self.width_us, self.keeps_us = geometry(window)
        self._look_again()

    def expire(self, now_us: int) -> None:
        """Forget the slices whose time is over. What lies further ahead than a window (the clock was put back) counts from now."""
        if self.quiet_from_us <= now_us < self.quiet_until_us:
            return
        for start in [start for start in self.slices if now_us >= start + self.keeps_us]:
            units = self.slices.pop(start, 0)
            self.total -= units
            self.changed = True
        ahead = [start for start in self.slices if start > now_us + self.length_us]
        units = sum(self.slices.pop(start, 0) for start in ahead)
        self.total -= units
        self._look_again()
        if ahead:
            self.book(self.place(now_us), units)

    def place(self, now_us: int) -> int:
        """The slice that is booked now."""
        if self.fixed:
            return self.oldest if self.slices else now_us
        return now_us - now_us % self.width_us

    def book(self, start: int, units: int) -> None:
        """Add to a slice, or take away from it."""
        if start in self.slices:
            self.slices[start] += units
        else:
            self.slices[start] = units
        self.total += units
        if start < self.oldest:
            self.oldest, self.quiet_until_us = start, start + self.keeps_us
        if start > self.newest:
            self.newest, self.quiet_from_us = start, start - self.length_us
        self.changed = True

    def wait_us(self, amount: int, now_us: int) -> int | None:
        """When there may be room for an amount that has none now; None: never."""
        if amount > self.limit:
            return None
        over = self.total - (self.limit - amount)
        for start in sorted(self.slices):
            over -= self.slices.get(start, 0)
            if over <= 0:
                return max(1, start + self.keeps_us - now_us)
        return 1  # what filled it was given back in this moment

    def ends_us(self) -> int:
        """When the last of it has made room again."""
        return self.newest + self.keeps_us

    def _look_again(self) -> None:
        self.oldest = min(self.slices, default=_NEVER)
        self.newest = max(self.slices, default=0)
        self.quiet_from_us = self.newest - self.length_us
        self.quiet_until_us = self.oldest + self.keeps_us
        """From the one to before the other nothing is over, and nothing too far ahead."""


def geometry(window: Window) -> tuple[int, int, int]:
    """Length of the window, width of a slice, and how long after its start a slice counts: microseconds."""
    length_us = max(1, int(window.length_s * _US))
    if window.fixed:
        return length_us, length_us, length_us
    width_us = max(1, length_us // window.slices)
    return length_us, width_us, length_us + width_us


def decide(held: Sequence[Held], amounts: Sequence[int], now_us: int) -> Taken:
    """Forget what is over and, if every window has room, book the amounts. Changes `held`."""
    if len(held) == 1:
        return decide_one(held[0], amounts[0], now_us)
    places: list[int] = []
    used: list[int] = []
    wait_us, short = 0.0, -1
    for one, amount in zip(held, amounts):  # noqa: B905 - checked by who asks
        if not 0 <= amount <= MOST:
            check_amount(amount)
        if not one.quiet_from_us <= now_us < one.quiet_until_us:
            one.expire(now_us)
        total = one.total
        if amount and total + amount > one.limit:
            needed_us = one.wait_us(amount, now_us) or math.inf
            if needed_us > wait_us:
                wait_us, short = needed_us, len(places)
        places.append(one.place(now_us))
        used.append(total)
    if short >= 0:
        return _new_tuple(Taken, (False, tuple(used), tuple(places), wait_us / _US, short))
    for index, amount in enumerate(amounts):
        if amount:
            held[index].book(places[index], amount)
            used[index] += amount
    return _new_tuple(Taken, (True, tuple(used), tuple(places), 0.0, -1))


def decide_one(held: Held, amount: int, now_us: int) -> Taken:
    """`decide`, for the usual case of one window."""
    if not held.quiet_from_us <= now_us < held.quiet_until_us:
        held.expire(now_us)
    place = held.place(now_us)
    total = held.total
    if amount:
        if total + amount > held.limit:
            wait_us = held.wait_us(amount, now_us) or math.inf
            return _new_tuple(Taken, (False, (total,), (place,), wait_us / _US, 0))
        total += amount
        held.book(place, amount)
    return _new_tuple(Taken, (True, (total,), (place,), 0.0, -1))


def correct(held: Held, slice_: int, units: int, now_us: int) -> None:
    """Change what was booked in a slice; never below 0, and the sum never above 2^53 - 1. Nothing if its time is over."""
    if not held.quiet_from_us <= now_us < held.quiet_until_us:
        held.expire(now_us)
    booked = held.slices.get(slice_)
    if booked is None:
        if units <= 0 or now_us >= slice_ + held.keeps_us:
            return
        if held.fixed and held.slices:
            slice_ = held.oldest
        booked = held.slices.get(slice_, 0)
    if units < -booked:
        units = -booked
    elif units > MOST - held.total:
        units = MOST - held.total
    held.book(slice_, units)
