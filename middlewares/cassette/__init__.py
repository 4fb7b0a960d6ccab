"""Exchanges with vendors, recorded and played again."""

from __future__ import annotations

from .entry import Entry
from .files import Cassette, cassette_at
from .record import Record
from .replay import Replay

__all__ = ["Cassette", "Entry", "Record", "Replay", "cassette_at"]
