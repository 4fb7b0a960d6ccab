"""The pytest plugin: fixtures for testing your own stacks. Active wherever Glassway is installed; imports nothing until used."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..middlewares import Replay
    from .clock import FakeClock
    from .provider import FakeProvider

_HELP = "What tests with the fixture `cassette` do: none plays and sends nothing, once records tests without a cassette, missing records further requests too, all records anew."


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--cassettes` on the command line, `glassway_cassettes` in the configuration."""
    choices = ("none", "once", "missing", "all")
    parser.getgroup("glassway").addoption("--cassettes", choices=choices, help=_HELP)
    parser.addini("glassway_cassettes", _HELP, default="none")


def pytest_configure(config: pytest.Config) -> None:
    """The marker is known."""
    config.addinivalue_line("markers", "cassette(**settings): settings of the Replay stage that `cassette` is")


@pytest.fixture
def cassette(request: pytest.FixtureRequest) -> Iterator[Replay]:
    """A `Replay` stage for this test, to stand beside the vendor; its file lies in `cassettes/` beside the test's."""
    from ..pipeline.portal import run_sync
    from .cassettes import CHOICES, path_of, stage_for

    mode = request.config.getoption("--cassettes") or request.config.getini("glassway_cassettes")
    if mode not in CHOICES:
        pytest.fail(f"glassway_cassettes: expected one of {', '.join(CHOICES)}, found {mode!r}.", pytrace=False)
    marker = request.node.get_closest_marker("cassette")
    name = request.node.nodeid.partition("::")[2].replace("::", ".")
    stage = stage_for(path_of(request.node.path, name), mode, request.node.nodeid, marker.kwargs if marker else {})
    yield stage
    run_sync(stage.aclose)  # what was recorded is on disk when the test has ended


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
