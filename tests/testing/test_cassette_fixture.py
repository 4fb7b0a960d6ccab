"""The fixture `cassette`, as a project's own tests use it: recorded once, then played with no network."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from glassway.testing.cassettes import path_of

pytestmark = pytest.mark.slow

TESTS = """
import os
import pytest
from glassway import ChatRequest, Pipeline
from glassway.middlewares import Cost, Retry
from glassway.testing import FakeProvider, Scripted

pytestmark = pytest.mark.anyio

@pytest.fixture
def anyio_backend():
    return "asyncio"

def vendor(text):
    async def asked(call):
        assert os.environ.get("NETWORK"), "a request left the house"
        return await FakeProvider([Scripted(text=text)])(call)
    return asked

@pytest.mark.parametrize("city", ["Oslo", "Rome / Italy"])
async def test_capital(cassette, city):
    async with Pipeline([Cost(), Retry(), cassette], vendor(f"It is {city}.")) as pipeline:
        for stream in (False, True):
            reply = await pipeline.send(ChatRequest(model="m", messages=[{"role": "user", "content": city}], stream=stream))
            assert (await reply.response() if stream else reply).text == f"It is {city}."

class TestMarked:
    @pytest.mark.cassette(ignore=["seed"])
    async def test_ignored(self, cassette):
        async with Pipeline([cassette], vendor("Hi")) as pipeline:
            seed = int.from_bytes(os.urandom(4))
            await pipeline.send(ChatRequest(model="m", messages=[{"role": "user", "content": "Hi"}], seed=seed))

async def test_asks_more_when_told(cassette):
    async with Pipeline([cassette], vendor("more")) as pipeline:
        for number in range(1 + bool(os.environ.get("MORE"))):
            await pipeline.send(ChatRequest(model="m", messages=[{"role": "user", "content": "Hi"}]))
"""

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    (tmp_path / "test_cities.py").write_text(TESTS)
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --strict-markers -p no:cacheprovider\n")

    def pytest_run(*arguments: str, **environ: str) -> tuple[int, str]:
        ran = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", *arguments],
            cwd=tmp_path,
            env={**os.environ, **environ},
            capture_output=True,
            text=True,
            check=False,
        )
        return ran.returncode, ran.stdout + ran.stderr

    return pytest_run


def test_recorded_once_and_played_without_a_network(run: Run, tmp_path: Path) -> None:
    code, said = run()
    assert code == 1
    assert "No cassette for this test" in said
    assert "pytest 'test_cities.py::test_capital[Oslo]' --cassettes=once" in said
    assert run("--cassettes=once", NETWORK="1")[0] == 0
    assert run()[0] == 0
    names = sorted(path.name for path in (tmp_path / "cassettes" / "test_cities").iterdir())
    assert len(names) == 4
    assert [name.split("-")[0] for name in names] == ["TestMarked.test_ignored.jsonl", "test_asks_more_when_told.jsonl", "test_capital_Oslo", "test_capital_Rome_Italy"]  # fmt: skip


def test_a_request_more_than_was_recorded_fails_and_may_be_added(run: Run, tmp_path: Path) -> None:
    assert run("--cassettes=once", NETWORK="1")[0] == 0
    code, said = run(MORE="1")
    assert code == 1
    assert "recorded 1 times and all are played" in said
    assert run("--cassettes=once", NETWORK="1", MORE="1")[0] == 1
    assert run("--cassettes=missing", NETWORK="1", MORE="1")[0] == 0
    assert run(MORE="1")[0] == 0


def test_all_of_it_may_be_recorded_anew(run: Run, tmp_path: Path) -> None:
    assert run("--cassettes=all", NETWORK="1", MORE="1")[0] == 0
    path = tmp_path / "cassettes" / "test_cities" / "test_asks_more_when_told.jsonl"
    assert len(path.read_text().splitlines()) == 2
    assert run("--cassettes=all", NETWORK="1")[0] == 0
    assert len(path.read_text().splitlines()) == 1


def test_a_project_may_say_it_in_its_configuration(run: Run, tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = -p no:cacheprovider\nglassway_cassettes = once\n")
    assert run(NETWORK="1")[0] == 0
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = -p no:cacheprovider\nglassway_cassettes = never\n")
    assert "expected one of none, once, missing, all" in run()[1]


def test_names_that_a_file_cannot_have_stay_apart() -> None:
    test = Path("/x/test_a.py")
    paths = {path_of(test, name) for name in ("test[a/b]", "test[a b]", "test_a_b", "t" * 300, "t" * 301)}
    assert len(paths) == 5
    assert all(path.parent == Path("/x/cassettes/test_a") and len(path.name) < 150 for path in paths)
