"""What every test can use."""

from __future__ import annotations

import pytest


@pytest.fixture
def anyio_backend() -> str:
    """The chain runs on asyncio."""
    return "asyncio"
