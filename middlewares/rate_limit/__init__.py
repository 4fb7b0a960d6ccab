"""So many requests and tokens in a time, and no more."""

from __future__ import annotations

from .limit import Limit
from .stage import RateLimit

__all__ = ["Limit", "RateLimit"]
