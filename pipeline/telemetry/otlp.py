"""Placeholder."""

from __future__ import annotations


def configured_by_environment(telemetry: object) -> None:
    """Nothing yet."""
