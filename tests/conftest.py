"""What every test can use."""

from __future__ import annotations

import os

import pytest

TRANSPORTS = ("httpx", "fast")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--transport",
        choices=TRANSPORTS,
        help="the transport of all tests; else the default, and both where it matters",
    )


def pytest_configure(config: pytest.Config) -> None:
    if (chosen := config.getoption("--transport")) is not None:
        os.environ["GLASSWAY_TRANSPORT"] = chosen


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "each_transport" in metafunc.fixturenames:
        chosen = metafunc.config.getoption("--transport")
        metafunc.parametrize("each_transport", [chosen] if chosen else TRANSPORTS, indirect=True)


@pytest.fixture
def each_transport(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Runs the test over each of our own transports: whatever provider it makes takes this one."""
    name = str(request.param)
    monkeypatch.setenv("GLASSWAY_TRANSPORT", name)
    return name


@pytest.fixture
def anyio_backend() -> str:
    """The chain runs on asyncio."""
    return "asyncio"
