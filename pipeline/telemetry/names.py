"""Every name that leaves the process as telemetry, declared once."""

from __future__ import annotations

from collections.abc import Sequence


def metrics_of(facts: Sequence[str]) -> tuple[str, ...]:
    """The metrics that are made of these facts."""
    return tuple(facts)
