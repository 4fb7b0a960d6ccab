"""What is written, when, how much of it, and what is not."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from builders import ask, make, running, server_error

from glassway import CallOptions, Pipeline
from glassway.middlewares import Cost, Fallback, Guardrails, Record, Retry, Timeout
from glassway.middlewares.cassette import cassette_at
from glassway.middlewares.cassette.desk import Desk
from glassway.pipeline.config import Config
from glassway.pipeline.errors import ConfigError, GlasswayError, PlanError
from glassway.testing import FakeProvider, Scripted
from glassway.testing.finalizers import ENDINGS, run_ending
from glassway.testing.telemetry import record_telemetry

pytestmark = pytest.mark.anyio


def lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def sizes(folder: Path) -> list[int]:
    return [file.stat().st_size for file in folder.rglob("*") if file.is_file()]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "calls.jsonl"


async def test_an_exchange_reads_like_a_story(path: Path) -> None:
    options = CallOptions(tenant="acme", tags=("web",), metadata={"task": "greet"})
    async with running([Cost(), Record(path)], [Scripted(text="one two three", delay_s=1, gap_s=0.5)]) as setup:
        await setup.answer(options, stream=True, model="fake/gpt-4o-mini", temperature=0.5)
    [entry] = lines(path)
    assert list(entry) == ["glassway_cassette", "recorded_at", "call", "exchange", "request", "stream", "end", "end_after_s", "attempt", "record"]  # fmt: skip
    assert entry["request"] == {
        "operation": "chat",
        "target": "fake/gpt-4o-mini",
        "tenant": "acme",
        "tags": ["web"],
        "metadata": {"task": "greet"},
        "body": {"model": "fake/gpt-4o-mini", "messages": [{"role": "user", "content": "Hi"}], "stream": True, "temperature": 0.5},
    }  # fmt: skip
    first, *words, last = entry["stream"]["blocks"]
    assert entry["stream"]["head"] == {"id": "fake-1", "model": "fake-model", "created": 1}
    assert first == [1.0, {"choices": [{"delta": {"role": "assistant", "content": ""}}]}]
    assert words == [[0.5, "one "], [0.5, "two "], [0.5, "three"]]
    assert last[1]["choices"] == [{"finish_reason": "stop", "native_finish_reason": "stop"}]
    assert (entry["end"], entry["end_after_s"]) == ("completed", 0.5)
    assert entry["attempt"] == {"provider": "fake", "model": "gpt-4o-mini", "request_id": "req-1"}
    record = entry["record"]
    assert (record["end"], record["duration_s"], record["tokens"]) == ("completed", 3.5, [10, 5])
    assert record["output"]["characters"] == len("one two three")
    assert record["decisions"] == {"attempts": ["fake/gpt-4o-mini ok"]}


async def test_the_bill_and_the_decisions_are_those_of_the_call(path: Path) -> None:
    stack = [Cost(), Fallback(["fake/spare"]), Retry(attempts=2, initial_s=0), Record(path)]
    async with running(stack, [server_error(), server_error(), Scripted()]) as setup:
        await setup.answer(model="fake/gpt-4o-mini")
    one, two, three = lines(path)
    assert [entry["exchange"] for entry in (one, two, three)] == [1, 2, 3]
    assert len({entry["call"] for entry in (one, two, three)}) == 1
    assert [entry.get("record") is None for entry in (one, two, three)] == [True, True, False]
    assert one["error"] == {"class": "InternalServerError", "kind": "server_error", "message": "The vendor failed.", "provider": "fake", "model": "gpt-4o-mini", "request_id": "req-1", "status_code": 500, "retryable": True, "fault": "provider"}  # fmt: skip
    decisions = three["record"]["decisions"]
    assert decisions["attempts"] == ["fake/gpt-4o-mini server_error", "fake/gpt-4o-mini server_error", "fake/spare ok"]
    assert decisions["fallbacks"] == ["fake/spare server_error fake/gpt-4o-mini"]
    assert decisions["retries"] == ["server_error backoff"]
    assert three["request"]["target"] == "fake/spare"


async def test_outside_retry_it_writes_the_outcome_only_and_is_advised_against(path: Path) -> None:
    setup = make([Record(path), Retry(attempts=2, initial_s=0)], [server_error(), Scripted()])
    assert "Move Record after Retry" in setup.pipeline.explain().advice[0]
    async with setup.pipeline:
        await setup.answer()
    [entry] = lines(path)
    assert entry["end"] == "completed"
    assert entry["attempt"]["request_id"] == "req-2"


def test_what_guardrails_take_out_cannot_be_recorded(path: Path) -> None:
    with pytest.raises(PlanError, match=r"Move Record after Guardrails.*must not be in a recording"):
        Pipeline([Record(path), Guardrails(["secrets"])], FakeProvider())


def test_the_plan_says_that_it_writes(path: Path) -> None:
    assert "writes requests and answers to a file" in str(Pipeline([Record(path)], FakeProvider()).explain())


# -- however a call ends

EXPECTED = {
    "completed": ("completed", None, True),
    "unary_completed": ("completed", None, False),
    "vendor_error_before_output": ("failed", "InternalServerError", False),
    "unary_vendor_error": ("failed", "InternalServerError", False),
    "vendor_error_mid_stream": ("interrupted", "InternalServerError", True),
    "cut_stream": ("interrupted", "StreamInterruptedError", True),
    "consumer_breaks_off": ("closed", None, True),
    "aclose": ("closed", None, True),
    "task_cancelled": ("cancelled", None, True),
    "task_cancelled_before_output": ("cancelled", None, False),
    "deadline": ("timeout", "APITimeoutError", False),
    "deadline_mid_stream": ("timeout", "APITimeoutError", True),
    "abandoned_and_collected": ("abandoned", None, True),
    "never_iterated": ("abandoned", None, True),
}


@pytest.mark.parametrize("telemetry", [None, False], ids=["telemetry", "bare"])
@pytest.mark.parametrize("ending", ENDINGS)
async def test_what_arrived_and_how_it_ended(ending: Any, telemetry: Any, path: Path) -> None:
    report = await run_ending(ending, lambda: [Record(path)], telemetry=telemetry)
    report.assert_clean()
    [entry] = lines(path)
    end, error, streamed = EXPECTED[ending]
    assert (entry["end"], entry.get("error", {}).get("class")) == (end, error)
    assert bool(entry.get("stream", {}).get("blocks")) is streamed
    assert entry["record"]["end"] == end


async def test_a_dry_run_is_not_written(path: Path) -> None:
    async with running([Record(path)]) as setup:
        await setup.pipeline.aexplain(ask())
    assert sizes(path.parent) == []


# -- bounds


async def test_no_more_exchanges_than_allowed(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    recorder = Record(path, max_calls=2)
    async with running([recorder]) as setup:
        for _ in range(5):
            await setup.answer()
    assert len(lines(path)) == 2
    assert recorder.counts() == {"written": 2, "full": 3, "failed": 0, "waiting": 0, "dropped": 0}
    assert caplog.text.count("is full") == 1


@pytest.mark.parametrize("place", ["calls.jsonl", "calls"], ids=["file", "folder"])
async def test_no_more_bytes_than_allowed(place: str, tmp_path: Path) -> None:
    async with running([Record(tmp_path / place, max_bytes=2000)]) as setup:
        for _ in range(5):
            await setup.answer()
    assert 0 < sum(sizes(tmp_path)) <= 2000


async def test_what_was_there_before_counts(path: Path) -> None:
    for _ in range(2):
        async with running([Record(path, max_calls=3)]) as setup:
            for _ in range(2):
                await setup.answer()
    assert len(lines(path)) == 3


async def test_with_a_full_queue_exchanges_are_dropped_and_counted(path: Path) -> None:
    gate = threading.Event()
    cassette = cassette_at(path)

    def slow(take: Any) -> Any:
        gate.wait(10)
        return cassette.sheet({"exchange": take.exchange})

    desk = Desk(cassette, slow, 3)
    for number in range(10):
        desk.offer(type("Exchange", (), {"exchange": number})(), asyncio.get_running_loop())
    gate.set()
    await desk.close(5)
    counts = desk.counts()
    assert counts["written"] == len(lines(path))
    assert counts["written"] + counts["dropped"] == 10
    assert counts["dropped"] >= 6


async def test_a_disk_that_fails_fails_no_call(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("not a folder")
    recorder = Record(tmp_path / "file" / "calls.jsonl")
    async with running([recorder]) as setup:
        assert (await setup.answer()).text
    assert recorder.counts()["failed"] == 1
    assert "A callback raised" in caplog.text


async def test_what_became_of_exchanges_is_a_gauge(path: Path) -> None:
    with record_telemetry() as recorded:
        recorder = Record(path, max_calls=1)
        setup = make([recorder], telemetry=recorded.telemetry)
        async with setup.pipeline:
            await setup.answer()
            await setup.answer()
        assert recorded.metrics['glassway_cassette_exchanges{outcome="written"}'] >= 1
        assert recorded.metrics['glassway_cassette_exchanges{outcome="full"}'] >= 1


async def test_it_may_be_opened_again_after_it_was_closed(path: Path) -> None:
    others, recorder = _delivering(), Record(path)
    for _ in range(2):
        async with running([recorder]) as setup:
            await setup.answer()
    assert len(lines(path)) == 2
    assert not [thread for thread in _delivering() - others if _waits(thread)]


def _delivering() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == "glassway-delivery"}


def _waits(thread: threading.Thread) -> bool:
    thread.join(1)
    return thread.is_alive()


# -- several processes

PROGRAM = """
import asyncio, sys
from glassway import Pipeline, ChatRequest
from glassway.middlewares import Record
from glassway.testing import FakeProvider, Scripted

async def main():
    async with Pipeline([Record(sys.argv[1], max_calls=100)], FakeProvider([Scripted(text="word " * 400)]), telemetry=False) as pipeline:
        for number in range(40):
            reply = await pipeline.send(ChatRequest(model="m", messages=[{"role": "user", "content": f"{sys.argv[2]}-{number}"}], stream=True))
            await reply.response()

asyncio.run(main())
"""


@pytest.mark.slow
@pytest.mark.parametrize("place", ["calls.jsonl", "calls"], ids=["file", "folder"])
def test_several_processes_write_whole_exchanges_to_one_cassette(place: str, tmp_path: Path) -> None:
    path = tmp_path / place
    started = [subprocess.Popen([sys.executable, "-c", PROGRAM, str(path), str(number)]) for number in range(3)]
    assert [process.wait(60) for process in started] == [0, 0, 0]
    texts = path.read_text().splitlines() if path.is_file() else [file.read_text() for file in path.iterdir()]
    asked = [json.loads(text)["request"]["body"]["messages"][0]["content"] for text in texts]
    assert len(set(asked)) == len(asked)
    assert len(asked) == 100


# -- settings


@pytest.mark.parametrize(
    "settings", [{"to": ""}, {"max_bytes": 0}, {"max_calls": 0}, {"queue": 0}, {"flush_s": -1.0}], ids=str
)
def test_settings_out_of_range_are_refused(settings: Any) -> None:
    with pytest.raises(ConfigError, match=f"Record.{next(iter(settings))}"):
        Record(**{"to": "x.jsonl", **settings})


def test_yaml_can_say_it(path: Path) -> None:
    read = Config.read({"pipeline": ["retry", {"record": {"to": str(path), "max_calls": 5}}]}, {})
    recorder = read.pipeline(telemetry=False).stages["Record"]
    assert isinstance(recorder, Record)
    assert recorder.max_calls == 5


async def test_two_recorders_keep_apart(tmp_path: Path) -> None:
    async with running([Record(tmp_path / "a.jsonl"), Timeout(total_s=9), Record(tmp_path / "b.jsonl")]) as setup:
        await setup.answer()
    assert [len(lines(tmp_path / name)) for name in ("a.jsonl", "b.jsonl")] == [1, 1]


async def one_call(path: Path) -> None:
    async with running([Record(path)]) as setup:
        await setup.answer()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other permissions")
def test_the_file_is_its_owners(path: Path) -> None:
    asyncio.run(one_call(path))
    assert path.stat().st_mode & 0o077 == 0


async def test_a_failed_call_is_summed_up_too(path: Path) -> None:
    async with running([Record(path)], [server_error()]) as setup:
        with pytest.raises(GlasswayError):
            await setup.answer()
    record = lines(path)[0]["record"]
    assert (record["end"], record["error"], record["output"]) == ("failed", "server_error", None)
