"""What every test can use."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from realservers import PostgresServer, RedisServer

from glassway.providers.transport import Transports
from glassway.testing.finalizers import young_heap

TRANSPORTS = ("httpx", "fast")
BOTH = ("providers", "servers")
"""Folders of tests that `make test` runs over both transports whole."""


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


_made: list[str] = []
"""Transports of ours that tests have made."""


@pytest.fixture(autouse=True)
def _over_both_transports(request: pytest.FixtureRequest) -> Iterator[None]:
    """A test that sends over a transport of ours says so: it is then run over both."""
    before = len(_made)
    yield
    path = request.node.path.relative_to(Path(__file__).parent)
    if len(_made) > before and path.parts[0] not in BOTH and "over_http" not in request.keywords:
        pytest.fail("This test sends over one of our transports. Mark it `over_http`: `make test` runs it over both.")


@pytest.fixture(autouse=True, scope="session")
def _note_transports() -> Iterator[None]:
    made = Transports._made

    def noted(self: Transports) -> httpx.AsyncBaseTransport:
        transport = made(self)
        _made.append(type(transport).__name__)
        return transport

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Transports, "_made", noted)
        yield


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
