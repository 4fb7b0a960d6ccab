"""The strategy that goes by measured speed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ....pipeline.errors import ConfigError

if TYPE_CHECKING:
    from ..candidates import Candidate, Choice

_LEAST_SUCCESS = 0.02
"""A target that only fails is taken to succeed once in fifty times: its score stays finite."""

_WORTH_SAYING = 0.005


@dataclass(frozen=True, slots=True)
class Fastest:
    """The one that was fastest lately: until the first chunk of streams, until the end of whole answers.

    A score is the expected time until something works: the mean of what worked, and `failure_s` more for each failure on
    the way, over the share that works; a weight divides it. A target of which nothing is known, or that was quiet for `explore_after_s`,
    gets the next call, one at a time.
    """

    name: ClassVar[str] = "latency"
    weighs: ClassVar[bool] = True
    live: ClassVar[bool] = True

    ceiling_s: float | None = None
    """Slower ones are skipped while there is a faster one."""
    explore_after_s: float | None = 60.0
    """None: what was measured once is never tried for the sake of knowing."""
    failure_s: float = 2.0

    def __post_init__(self) -> None:
        for name in ("ceiling_s", "explore_after_s"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise ConfigError(f"{name}: expected seconds above 0 or null, found {value}.")
        if not 0 <= self.failure_s < math.inf:
            raise ConfigError(f"failure_s: expected seconds from 0, found {self.failure_s}.")

    def rank(self, candidates: Sequence[Candidate], choice: Choice) -> Sequence[Candidate]:
        """What is to be explored first, then by score; what is unknown and has a call under way comes last."""
        call = choice.traits.call
        now_ns, stream = call.state.clock.now_ns(), call.request.stream
        orders = []
        for place, (one, cell) in enumerate(zip(candidates, choice.board.cells(candidates))):  # noqa: B905 - one for each
            busy, speed = (0, None) if cell is None else (cell.busy, cell.speed(stream, now_ns))
            kind, rank = self._order(one, choice, speed, busy)
            orders.append((kind, rank, place))
        orders.sort()
        return [candidates[place] for _, _, place in orders]

    def _order(
        self, candidate: Candidate, choice: Choice, speed: tuple[float | None, float, int] | None, busy: int
    ) -> tuple[int, float]:
        """(class, rank in it): explored, measured, unknown, without weight."""
        weight, score, detail, quiet_ns = candidate.weight, None, "", math.inf
        if speed is not None:
            score, failures, quiet_ns = speed
            score = score or 0.0
            if failures:
                score = (score + self.failure_s * failures) / max(_LEAST_SUCCESS, 1 - failures)
                detail = f"{failures:.0%} fail" if failures >= _WORTH_SAYING else ""
        explore_after_s = self.explore_after_s
        if (
            weight
            and not busy  # what is under way will tell
            and (speed is None or (explore_after_s is not None and quiet_ns >= explore_after_s * 1e9))
        ):
            choice.score(candidate, score, "unmeasured" if speed is None else f"quiet for {quiet_ns / 1e9:.0f} s")
            return 0, -quiet_ns
        choice.score(candidate, score, detail)
        if not weight:
            return 3, score or 0.0
        if score is None:
            return 2, busy / weight
        if self.ceiling_s is not None and score > self.ceiling_s:
            choice.skip(candidate, "latency", f"above {self.ceiling_s:g} s")
        return 1, score / weight
