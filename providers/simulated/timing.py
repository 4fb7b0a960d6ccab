"""How long the simulated vendor takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .dice import Dice


@dataclass(frozen=True, slots=True)
class Timing:
    """The pace of answers in seconds: before the first chunk, and between one chunk and the next.

    Every wait varies by plus or minus `jitter` (a fraction), deterministically, and is multiplied by `scale`.
    `scale=0` waits nowhere. A complete answer takes as long as its stream would. Waits that a fault asks for
    (`slow_first_chunk`, `stall`) are never scaled: a fault asked for is a fault given.
    """

    first_chunk_s: float = 0.25
    per_chunk_s: float = 0.02
    jitter: float = 0.3
    scale: float = 1.0

    def __post_init__(self) -> None:
        if min(self.first_chunk_s, self.per_chunk_s, self.scale) < 0 or not 0 <= self.jitter <= 1:
            raise ValueError(f"expected waits and scale >= 0 and a jitter from 0 to 1, found {self!r}")

    def waits(self, chunks: int, dice: Dice) -> list[float]:
        """One wait per chunk, the first chunk's first."""
        if not self.scale:
            return [0.0] * chunks
        return [self._wait(self.per_chunk_s if index else self.first_chunk_s, dice) for index in range(chunks)]

    def _wait(self, seconds: float, dice: Dice) -> float:
        return seconds * self.scale * (1 + self.jitter * (2 * dice.fraction() - 1))
