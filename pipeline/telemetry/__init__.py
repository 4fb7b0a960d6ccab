"""Where spans and metrics go: `Telemetry`, and `setup` for exporting traces by OTLP in one call."""

from __future__ import annotations

from .policy import Keep, TracePolicy
from .telemetry import Telemetry

__all__ = ["Keep", "Telemetry", "TracePolicy"]
