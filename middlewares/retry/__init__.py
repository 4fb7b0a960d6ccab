"""Trying again: how often and after which pauses, and the stage that does it."""

from __future__ import annotations

from .policy import RetryPolicy, Strategy
from .stage import Retry

__all__ = ["Retry", "RetryPolicy", "Strategy"]
