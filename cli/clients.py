"""The client that a command works with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..pipeline.config import Config, load_config

if TYPE_CHECKING:
    from pathlib import Path

    from ..pipeline.client import Client

USUAL = {"pipeline": "minimal"}
"""The stack behind `glassway.chat`, in front of every vendor."""


def client_of(config: Path | None, *, telemetry: bool | None = None) -> Client:
    """A client of its own, to be closed: of a configuration file, or of the usual stack. Raises `ConfigError`, `PlanError`."""
    read = load_config(config) if config is not None else Config.read(USUAL)
    return read.client(telemetry=telemetry)
