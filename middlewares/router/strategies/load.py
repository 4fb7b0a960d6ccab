"""Strategies that go by what is under way."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from ..candidates import Candidate, Choice


@dataclass(frozen=True, slots=True)
class LeastBusy:
    """The one with the least under way for its weight; among equals, by chance."""

    name: ClassVar[str] = "least_busy"
    weighs: ClassVar[bool] = True
    live: ClassVar[bool] = True

    random: Callable[[], float] = field(default=random.random, repr=False)

    def rank(self, candidates: Sequence[Candidate], choice: Choice) -> Sequence[Candidate]:
        """By what would be under way with this call."""
        return _by_load(candidates, choice, self.random)


@dataclass(frozen=True, slots=True)
class PowerOfTwo:
    """The less busy of two that are drawn by chance: nearly as even as asking all, and never a herd that runs to the one idle target.

    Source: M. Mitzenmacher, The power of two choices in randomized load balancing, https://doi.org/10.1109/71.963420
    """

    name: ClassVar[str] = "power_of_two"
    weighs: ClassVar[bool] = True
    live: ClassVar[bool] = True

    random: Callable[[], float] = field(default=random.random, repr=False)

    def rank(self, candidates: Sequence[Candidate], choice: Choice) -> Sequence[Candidate]:
        """The two, then the rest, each by load."""
        drawn = sorted((0.0 if one.weight else 1.0, self.random(), place) for place, one in enumerate(candidates))
        two, others = drawn[:2], drawn[2:]
        return [
            one
            for part in (two, others)
            for one in _by_load([candidates[place] for _, _, place in part], choice, self.random)
        ]


def _by_load(candidates: Sequence[Candidate], choice: Choice, chance: Callable[[], float]) -> list[Candidate]:
    loads = []
    board = choice.board
    for place, one in enumerate(candidates):
        busy = board.busy(one.target)
        choice.score(one, float(busy))
        loads.append(((busy + 1) / one.weight if one.weight else math.inf, chance(), place))
    return [candidates[place] for _, _, place in sorted(loads)]
