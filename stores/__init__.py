"""Where shared state lives: one protocol, several places."""

from __future__ import annotations

from ..pipeline.errors import ConfigError
from .disk import DiskStore
from .memory import MemoryStore
from .redis import SCHEMES, RedisStore
from .store import ImmediateStore, Store, Taken, Window, immediate

__all__ = [
    "DiskStore",
    "ImmediateStore",
    "MemoryStore",
    "RedisStore",
    "Store",
    "Taken",
    "Window",
    "immediate",
    "make_store",
]


def make_store(place: str) -> Store:
    """The store for a setting: `memory`; `disk:` with a directory (`disk:./state`); the URL of a Redis. Raises `ConfigError` for any other."""
    kind, _, rest = place.partition(":")
    if kind == "memory" and not rest:
        return MemoryStore()
    if kind == "disk":
        return DiskStore(rest)
    if kind in SCHEMES:
        return RedisStore(place)
    raise ConfigError(
        f"store: expected 'memory', 'disk:<directory>' or 'redis://host:6379/0', found a setting of kind {kind!r}."
    )
