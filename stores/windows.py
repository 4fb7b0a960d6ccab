"""The arithmetic of windows, for stores that hold them themselves. Pure: state and time in, decision out."""

from __future__ import annotations

import math
from collections.abc import Sequence

from .store import Taken, Window

Slices = dict[int, int]
"""Units by slice, oldest first. A slice of a sliding window is its number since time 0; of a fixed one, its start in microseconds."""

_US = 1_000_000


def decide(windows: Sequence[Window], held: Sequence[Slices], amounts: Sequence[int], now_us: int) -> Taken:
    """Drop slices whose time is over and, if every window has room, book the amounts. Changes `held`."""
    used, places, wait_s, short = [], [], 0.0, -1
    for index, (window, slices, amount) in enumerate(zip(windows, held, amounts, strict=True)):
        expire(window, slices, now_us)
        total = sum(slices.values())
        used.append(total)
        places.append(_place(window, slices, now_us))
        needed_s = 0.0 if total + amount <= window.limit or not amount else _wait_s(window, slices, amount, now_us)
        if needed_s > wait_s:
            wait_s, short = needed_s, index
    if short >= 0:
        return Taken(False, tuple(used), tuple(places), wait_s, short)
    for index, (slices, amount) in enumerate(zip(held, amounts, strict=True)):
        if amount:
            slices[places[index]] = slices.get(places[index], 0) + amount
            used[index] += amount
    return Taken(True, tuple(used), tuple(places))


def correct(window: Window, slices: Slices, slice_: int, units: int, now_us: int) -> None:
    """Change what was booked in a slice; never below 0. Nothing if its time is over."""
    expire(window, slices, now_us)
    if slice_ in slices:
        slices[slice_] = max(0, slices[slice_] + units)
    elif units > 0 and now_us < ends_us(window, slice_):
        slices[slice_] = units


def expire(window: Window, slices: Slices, now_us: int) -> None:
    """Forget the slices whose time is over."""
    for slice_ in [slice_ for slice_ in slices if now_us >= ends_us(window, slice_)]:
        del slices[slice_]


def ends_us(window: Window, slice_: int) -> int:
    """When units of a slice make room again, microseconds of the store's time."""
    length_us = int(window.length_s * _US)
    if window.fixed:
        return slice_ + length_us
    width_us = _width_us(window)
    return (slice_ + 1) * width_us + length_us


def _width_us(window: Window) -> int:
    return max(1, int(window.length_s * _US) // window.slices)


def _place(window: Window, slices: Slices, now_us: int) -> int:
    if window.fixed:
        return next(iter(slices), now_us)
    return now_us // _width_us(window)


def _wait_s(window: Window, slices: Slices, amount: int, now_us: int) -> float:
    if amount > window.limit:
        return math.inf
    over = sum(slices.values()) + amount - window.limit
    for slice_ in sorted(slices):
        over -= slices[slice_]
        if over <= 0:
            return max(1, ends_us(window, slice_) - now_us) / _US
    raise AssertionError("unreachable: an empty window has room for what its limit allows")
