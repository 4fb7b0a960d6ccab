"""What a stage is like now (how full, how open, how much is left), read when metrics are scraped instead of counted on a call's path."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Iterator
from typing import NamedTuple, Protocol


class Reading(NamedTuple):
    """One value of a gauge. `metric` is the name of a gauge in the registry of names; label values are bounded where it is shown."""

    metric: str
    labels: tuple[str, ...]
    value: float


class Watched(Protocol):
    """What has a state that is worth seeing. Called from any thread; must not wait."""

    def readings(self) -> Iterable[Reading]: ...


_watched: dict[int, weakref.ref[Watched]] = {}
"""By identity: two stages with equal settings are two, and a stage need not be hashable."""


def watch(watched: Watched) -> None:
    """Show its readings at every scrape of this process, as long as it lives. It must allow weak references."""
    key = id(watched)
    _watched[key] = weakref.ref(watched, lambda ref: _forget(key, ref))


def readings() -> Iterator[Reading]:
    """All readings of this process."""
    for ref in tuple(_watched.values()):
        watched = ref()
        if watched is not None:
            yield from watched.readings()


def _forget(key: int, ref: weakref.ref[Watched], watched: dict[int, weakref.ref[Watched]] = _watched) -> None:
    if watched.get(key) is ref:  # another object may have its place by now
        del watched[key]
