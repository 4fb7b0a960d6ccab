"""Stages and targets tried beside real calls."""

from __future__ import annotations

from .compare import Comparison, differences
from .desk import ShadowReport
from .stage import Shadow

__all__ = ["Comparison", "Shadow", "ShadowReport", "differences"]
