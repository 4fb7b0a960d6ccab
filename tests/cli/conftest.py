"""Records of calls whose times are known to the nanosecond, and ways to run commands."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable

import pytest

from glassway.cli.app import run
from glassway.middlewares import Callbacks, Fallback, Retry, Timeout
from glassway.pipeline.errors import GlasswayError, RateLimitError, ServiceUnavailableError
from glassway.pipeline.pipeline import Pipeline
from glassway.pipeline.record import Record
from glassway.pipeline.stream import Middleware, Stream
from glassway.pipeline.types import ChatRequest, Message
from glassway.providers.catalogue import ROWS
from glassway.testing import FakeClock, FakeProvider, Scripted

Recorded = Callable[..., Record]


async def _recorded(provider: FakeProvider, backup: FakeProvider, stages: list[Middleware], *, stream: bool) -> Record:
    clock = FakeClock()
    pipeline = Pipeline(stages, providers=[provider, backup], clock=clock)
    request = ChatRequest(model="main/gpt", messages=(Message(role="user", content="hi"),), stream=stream)
    record: Record | None
    try:
        reply = await pipeline.send(request)
        if isinstance(reply, Stream):
            async for _ in reply:
                await clock.sleep(0.004)
            reply = await reply.response()
        record = reply.record
    except GlasswayError as error:
        record = error.record
    finally:
        await pipeline.aclose()
    assert record is not None
    return record


def _stages() -> list[Middleware]:
    return [
        Callbacks(),
        Fallback(["backup/claude"]),
        Retry(attempts=2, initial_s=0.1, strategy="exponential"),
        Timeout(total_s=10),
    ]


@pytest.fixture
def recorded() -> Recorded:
    """Sends one call to a script of a main vendor and a backup, and returns its record."""

    def send(*answers: Scripted, stream: bool = False, stages: list[Middleware] | None = None) -> Record:
        main = FakeProvider(answers or (Scripted(delay_s=0.05),), name="main")
        backup = FakeProvider([Scripted("one two three four five", delay_s=0.2, gap_s=0.02)], name="backup")
        return asyncio.run(_recorded(main, backup, _stages() if stages is None else stages, stream=stream))

    return send


OVERLOADED = Scripted(error=ServiceUnavailableError("down"), delay_s=0.03)
LIMITED = Scripted(error=RateLimitError("slow down", retry_after_s=0.08), delay_s=0.02)


@pytest.fixture
def fallen_back(recorded: Recorded) -> Callable[[bool], Record]:
    """A call that was retried, then left for the backup; streamed or not."""
    return lambda stream: recorded(OVERLOADED, LIMITED, stream=stream)


@pytest.fixture(autouse=True)
def no_keys(monkeypatch):
    """An environment in which no vendor has a key."""
    for row in ROWS:
        for variable in row.key_variables:
            monkeypatch.delenv(variable, raising=False)


@pytest.fixture
def shell(capsys):
    """Runs a command line in this process: (exit code, standard output, standard error)."""

    def execute(*arguments):
        try:
            code = run(arguments)
        except SystemExit as ended:
            code = ended.code
        return (code, *capsys.readouterr())

    return execute


@pytest.fixture
def process():
    """Runs `python -m glassway` in a process of its own, with these further environment variables."""

    def execute(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "glassway", *arguments],
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    return execute


CONFIG = """
providers:
  simulated: {}
models:
  quick: {target: simulated/gpt-sim-mini}
pipeline: [cost, cache: {ttl_s: 60}, fallback: {targets: [simulated/gpt-sim]}, retry: {attempts: 2}]
"""


@pytest.fixture
def config(tmp_path):
    """Writes a configuration; returns its path as an argument."""

    def write(text: str = CONFIG) -> str:
        path = tmp_path / "glassway.yaml"
        path.write_text(text)
        return str(path)

    return write
