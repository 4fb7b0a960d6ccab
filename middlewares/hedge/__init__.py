"""A second request for a slow one: when, under which caps, and the race of the two."""

from __future__ import annotations

from .stage import Hedge

__all__ = ["Hedge"]
