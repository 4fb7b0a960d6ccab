"""Where shared state lives: one protocol, several places."""

from __future__ import annotations

from ..pipeline.errors import ConfigError
from .disk import DiskStore
from .memory import MemoryStore
from .store import Store, Taken, Window

__all__ = ["DiskStore", "MemoryStore", "Store", "Taken", "Window", "make_store"]


def make_store(place: str) -> Store:
    """The store for a setting: `memory`, or `disk:` with a directory (`disk:./state`). Raises `ConfigError` for any other."""
    kind, _, rest = place.partition(":")
    if kind == "memory" and not rest:
        return MemoryStore()
    if kind == "disk":
        return DiskStore(rest)
    raise ConfigError(f"store: expected 'memory' or 'disk:<directory>', found a setting of kind {kind!r}.")
