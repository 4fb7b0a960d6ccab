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


_watched: weakref.WeakSet[Watched] = weakref.WeakSet()


def watch(watched: Watched) -> None:
    """Show its readings at every scrape of this process, as long as it lives."""
    _watched.add(watched)


def readings() -> Iterator[Reading]:
    """All readings of this process."""
    for watched in tuple(_watched):
        yield from watched.readings()
