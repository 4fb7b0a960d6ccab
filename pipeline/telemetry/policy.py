"""What is kept and what is shown, as plain settings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from ..errors import ConfigError

Capture = Literal["off", "span", "event", "both"]
"""Where messages are shown: nowhere; as attributes of the call's span; as an event on it; both."""

Trust = Literal["always", "link", "never"]
"""What a caller's `traceparent` becomes: the parent; a link from a trace of our own; nothing."""

Redact = Callable[[str], str]
"""Gets every piece of text before any of it leaves; returns what may be shown."""


@dataclass(frozen=True, slots=True)
class Keep:
    """Which finished traces are kept. Judged when the call has ended, so that it can see how it ended.

    `ratio` (0 to 1) is the share of ordinary calls; the choice depends on the trace id alone, so that every service
    makes the same. `slow_s` (seconds) and `cost_usd` are limits from which a call is always kept; None for no limit.
    A call whose caller sampled its own trace is always kept.
    """

    errors: bool = True
    slow_s: float | None = None
    cost_usd: float | None = None
    fallback: bool = True
    blocked: bool = True
    ratio: float = 1.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.ratio <= 1.0:
            raise ConfigError(f"ratio: expected a share from 0 to 1, found {self.ratio}.")


KEEP_ALL = Keep()


@dataclass(frozen=True, slots=True)
class TracePolicy:
    """What the Tracing stage says about the traces of its pipeline. None leaves a choice to the process's telemetry."""

    keep: Keep | None = None
    capture: Capture | None = None
    redact: Redact | None = None
    content_bytes: int = 65_536
    """The most bytes of one content attribute; what is longer is cut inside its texts, so that the JSON stays valid."""
    metadata: tuple[str, ...] = ()
    """Metadata keys of the call that are shown."""
