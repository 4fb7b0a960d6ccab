"""Strategies that spread calls without looking at the targets: in order, by weight, in turn."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from math import log
from typing import TYPE_CHECKING, ClassVar

from ....pipeline.errors import ConfigError

if TYPE_CHECKING:
    from ..candidates import Candidate, Choice
    from ..traits import Traits

_FIELDS = ("user", "tenant")
_METADATA = "metadata."


@dataclass(frozen=True, slots=True)
class Priority:
    """The first that can take the call, in the order of the list."""

    name: ClassVar[str] = "priority"
    weighs: ClassVar[bool] = False
    live: ClassVar[bool] = False

    def rank(self, candidates: Sequence[Candidate], choice: Choice) -> Sequence[Candidate]:  # noqa: ARG002 - the contract
        """As they are."""
        return candidates


@dataclass(frozen=True, slots=True)
class Weighted:
    """By chance, in proportion to the weights; those that come next too.

    `sticky_by` (`user`, `tenant` or `metadata.<key>`) makes the chance depend on that text alone: whoever has the same goes
    to the same target in every process, and a target that comes or goes moves only those whose place that is. Calls
    without it are spread by chance.

    Source: weighted rendezvous hashing, https://www.snia.org/sites/default/files/SDC15_presentations/dist_sys/Jason_Resch_New_Consistent_Hashings_Rev.pdf
    """

    name: ClassVar[str] = "weighted"
    weighs: ClassVar[bool] = True
    live: ClassVar[bool] = False

    sticky_by: str | None = None
    random: Callable[[], float] = field(default=random.random, repr=False)

    def __post_init__(self) -> None:
        if self.sticky_by is None or self.sticky_by in _FIELDS:
            return
        if not self.sticky_by.startswith(_METADATA) or self.sticky_by == _METADATA:
            raise ConfigError(f"sticky_by: expected user, tenant or metadata.<key>, found {self.sticky_by!r}.")

    def rank(self, candidates: Sequence[Candidate], choice: Choice) -> Sequence[Candidate]:
        """An exponential draw for each, divided by its weight: the least wins with just the probability that its weight asks for."""
        key = self._key(choice.traits)
        draws = []
        for place, one in enumerate(candidates):
            drawn = self.random() if key is None else _hashed(key, one.name)
            draw = -log(1.0 - drawn) / one.weight if one.weight else math.inf
            choice.score(one, draw)
            draws.append((draw, place))
        return [candidates[place] for _, place in sorted(draws)]

    def _key(self, traits: Traits) -> str | None:
        if self.sticky_by is None:
            return None
        if self.sticky_by in _FIELDS:
            value: str | None = getattr(traits, self.sticky_by)
        else:
            value = traits.metadata.get(self.sticky_by.removeprefix(_METADATA))
        return value or None


@dataclass(frozen=True, slots=True)
class RoundRobin:
    """Each in turn, among those that can take the call."""

    name: ClassVar[str] = "round_robin"
    weighs: ClassVar[bool] = False
    live: ClassVar[bool] = False

    _turns: Iterator[int] = field(default_factory=itertools.count, init=False, repr=False, compare=False)

    def rank(self, candidates: Sequence[Candidate], choice: Choice) -> Sequence[Candidate]:
        """From the one whose turn it is; a dry run takes no turn, and shows the first."""
        first = 0 if choice.traits.call.dry_run else next(self._turns) % len(candidates)
        return [*candidates[first:], *candidates[:first]]


def _hashed(key: str, target: str) -> float:
    """A number from 0 up to 1 that is always the same for the two."""
    digest = blake2b(f"{key}\0{target}".encode(), digest_size=8).digest()
    return (int.from_bytes(digest) >> 11) / (1 << 53)
