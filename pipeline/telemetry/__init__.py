"""Where spans and metrics go: `Telemetry`, and `setup` for exporting traces by OTLP in one call."""

from __future__ import annotations

from .logs import CallIds
from .otlp import setup
from .policy import Keep, TracePolicy
from .telemetry import Telemetry

__all__ = ["CallIds", "Keep", "Telemetry", "TracePolicy", "setup"]
