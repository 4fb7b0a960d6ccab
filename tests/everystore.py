"""An empty store of each kind, for the tests that all of them must pass."""

from __future__ import annotations

from pathlib import Path

import pytest
from realservers import RedisServer

from glassway.stores import DiskStore, MemoryStore, RedisStore, Store

KINDS_OF_STORES = ("memory", "disk", "redis")


def empty_store(request: pytest.FixtureRequest, folder: Path) -> Store:
    """The one that `request.param` names, with what it keeps in `folder` or in a real Redis."""
    if request.param == "memory":
        return MemoryStore()
    if request.param == "disk":
        return DiskStore(folder / "state")
    server: RedisServer = request.getfixturevalue("redis_server")
    return RedisStore(server.url, prefix=f"{folder.name}:", timeout_s=10)
