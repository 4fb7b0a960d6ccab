"""What flows and how: types, call, stream, chain, plan, telemetry, config, client, registry, errors."""

from __future__ import annotations

from . import errors

__all__ = ["errors"]
