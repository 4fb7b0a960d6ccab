"""Answers to similar questions, given again; and how often that is wrong."""

from __future__ import annotations

from .checks import FalseHits
from .stage import SemanticCache

__all__ = ["FalseHits", "SemanticCache"]
