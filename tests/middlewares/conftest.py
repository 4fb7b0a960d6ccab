"""What tests of stages that keep state have in common."""

from __future__ import annotations

from pathlib import Path

import pytest
from everystore import KINDS_OF_STORES, empty_store

from glassway.stores import Store


@pytest.fixture(params=KINDS_OF_STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """An empty store of each kind. The test closes it."""
    return empty_store(request, tmp_path)
