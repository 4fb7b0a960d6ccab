"""A durable row for every call: who asked what of whom, how it ended, what it cost."""

from __future__ import annotations

from .database import Database, database_of
from .export import export
from .questions import GROUPS, Asked, Row, Spent, calls, spending
from .stage import Ledger

__all__ = ["GROUPS", "Asked", "Database", "Ledger", "Row", "Spent", "calls", "database_of", "export", "spending"]
