"""Moving on to another target: which ones, when, and what becomes of a stream that breaks after its first output."""

from __future__ import annotations

from .stage import Fallback
from .targets import VENDOR_FAILURES, FallbackTarget

__all__ = ["VENDOR_FAILURES", "Fallback", "FallbackTarget"]
