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
        chance = self.random
        drawn = sorted([(0.0 if one.weight else 1.0, chance(), place) for place, one in enumerate(candidates)])
        return _by_load([candidates[place] for _, _, place in drawn], choice, chance, drawn=2)


def _by_load(
    candidates: Sequence[Candidate], choice: Choice, chance: Callable[[], float], *, drawn: int = 0
) -> list[Candidate]:
    """The first `drawn`, which stand in an order of chance, before the others, and each of the two by load."""
    orders = []
    for place, (one, cell) in enumerate(zip(candidates, choice.board.cells(candidates))):  # noqa: B905 - one for each
        busy = 0 if cell is None else cell.busy
        choice.score(one, float(busy))
        weight = one.weight
        load = (busy + 1) / weight if weight else math.inf
        orders.append((place >= drawn > 0, load, 0.0 if drawn else chance(), place))
    orders.sort()
    return [candidates[place] for _, _, _, place in orders]
