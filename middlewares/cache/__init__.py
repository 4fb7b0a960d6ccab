"""Answers that were given before, given again."""

from __future__ import annotations

from .stage import Cache

__all__ = ["Cache"]
