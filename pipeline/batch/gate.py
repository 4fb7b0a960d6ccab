"""When all of a batch waits: a limit or a vendor has asked for it."""

from __future__ import annotations

import random

from ..clock import Clock
from ..errors import GlasswayError, Kind

FOR_ALL: frozenset[Kind] = frozenset(
    {"rate_limited", "overloaded", "limit_exceeded", "queue_full", "circuit_open", "budget_exceeded"}
)
"""What one request is told holds for the others too: all of them wait."""

_FIRST_S, _LONGEST_BACKOFF_S = 1.0, 60.0


def wait_for(error: GlasswayError, number: int) -> float | None:
    """Seconds before try `number` + 1: what the error asks for, else twice as long each time; None if another try cannot help."""
    if not (error.retryable or error.kind in FOR_ALL):
        return None
    if error.retry_after_s is not None:
        return max(0.0, error.retry_after_s)
    if error.kind == "budget_exceeded":
        return None  # nobody says when there will be money again
    backoff_s = min(_LONGEST_BACKOFF_S, _FIRST_S * 2.0 ** (number - 1))
    return backoff_s * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, guards nothing


class Gate:
    """Closed for a while by whoever is told to wait."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._opens_ns = 0

    @property
    def closed_s(self) -> float:
        """Seconds until it opens."""
        return max(0.0, (self._opens_ns - self._clock.now_ns()) / 1e9)

    def close(self, seconds: float) -> None:
        """Let nobody through for so long; a longer wait that is under way stays."""
        self._opens_ns = max(self._opens_ns, self._clock.now_ns() + int(seconds * 1e9))

    async def passed(self) -> None:
        """Wait until it is open."""
        while (left_s := self.closed_s) > 0:
            await self._clock.sleep(left_s)
