"""What tests of stages that keep state have in common."""

from __future__ import annotations

from pathlib import Path

import pytest
from realservers import RedisServer

from glassway.stores import DiskStore, MemoryStore, RedisStore, Store


@pytest.fixture(params=["memory", "disk", "redis"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """An empty store of each kind. The test closes it."""
    if request.param == "memory":
        return MemoryStore()
    if request.param == "disk":
        return DiskStore(tmp_path / "state")
    server: RedisServer = request.getfixturevalue("redis_server")
    return RedisStore(server.url, prefix=f"{tmp_path.name}:", timeout_s=10)
