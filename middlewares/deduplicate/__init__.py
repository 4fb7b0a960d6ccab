"""Identical calls at the same time are one."""

from __future__ import annotations

from .stage import Deduplicate

__all__ = ["Deduplicate"]
