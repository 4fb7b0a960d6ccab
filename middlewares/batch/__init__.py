"""Embeddings that are asked for at about the same time go out together."""

from __future__ import annotations

from .stage import Batch

__all__ = ["Batch"]
