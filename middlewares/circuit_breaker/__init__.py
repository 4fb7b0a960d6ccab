"""Targets that fail too often are left alone for a while."""

from __future__ import annotations

from .circuit import CircuitState
from .stage import CircuitBreaker, CircuitChange

__all__ = ["CircuitBreaker", "CircuitChange", "CircuitState"]
