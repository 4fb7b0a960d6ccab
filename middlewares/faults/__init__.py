"""Failures on purpose, for proving a stack."""

from __future__ import annotations

from .rules import FaultRule
from .stage import Faults

__all__ = ["FaultRule", "Faults"]
