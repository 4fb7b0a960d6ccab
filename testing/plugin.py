"""The pytest plugin: fixtures for testing your own stacks. Active wherever Glassway is installed; imports nothing until used."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .clock import FakeClock
    from .provider import FakeProvider


@pytest.fixture
def fake_clock() -> FakeClock:
    """A clock that takes no time."""
    from .clock import FakeClock

    return FakeClock()


@pytest.fixture
def fake_provider() -> FakeProvider:
    """A provider that answers with one fixed text."""
    from .provider import FakeProvider

    return FakeProvider()
