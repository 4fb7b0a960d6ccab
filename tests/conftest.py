"""What every test can use."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from realservers import PostgresServer, RedisServer

from glassway.testing.finalizers import young_heap

TRANSPORTS = ("httpx", "fast")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--transport",
        choices=TRANSPORTS,
        help="the transport of all tests; else the default, and both where it matters",
    )


def pytest_configure(config: pytest.Config) -> None:
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # what shells do to what they start in the background
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if (chosen := config.getoption("--transport")) is not None:
        os.environ["GLASSWAY_TRANSPORT"] = chosen


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Where no test may be skipped (`GLASSWAY_SKIPS=fail`), a skipped one fails the run."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("GLASSWAY_SKIPS") == "fail" and reporter is not None and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


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
def small_heap() -> Iterator[None]:
    """For tests that collect garbage: they look for their own, not through everything that other tests have loaded."""
    with young_heap():
        yield


@pytest.fixture
def anyio_backend() -> str:
    """The chain runs on asyncio."""
    return "asyncio"


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A real Redis for tests that leave it as it is: each uses keys of its own. Those that kill it start one of their own."""
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """A real PostgreSQL for tests that leave it running."""
    with PostgresServer(tmp_path_factory.mktemp("postgres")) as server:
        yield server


@pytest.fixture
def own_redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    """A real Redis that the test may kill and start again."""
    with RedisServer(tmp_path / "redis") as server:
        yield server
