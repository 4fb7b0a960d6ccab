"""So many calls at once, and no more."""

from __future__ import annotations

from .places import PoolReport, PoolStats
from .stage import Pool, PoolOf, PoolView

__all__ = ["Pool", "PoolOf", "PoolReport", "PoolStats", "PoolView"]
