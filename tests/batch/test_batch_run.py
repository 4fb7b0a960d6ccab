"""A batch at work: bounded, patient, each result once, in the order that was asked for."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from builders import ask, server_error

from glassway import Client, Pipeline
from glassway.middlewares import Cost
from glassway.pipeline.batch import Batch, BatchProgress, BatchResult, BatchSettings
from glassway.pipeline.batch.journal import Journal
from glassway.pipeline.batch.lines import read_requests
from glassway.pipeline.call import Call
from glassway.pipeline.errors import (
    BadRequestError,
    BudgetExceeded,
    ConfigError,
    GlasswayError,
    RateLimitError,
    RateLimitExceeded,
)
from glassway.testing import FakeClock, Scripted

pytestmark = pytest.mark.anyio


class Vendor:
    """Answers what it is asked, when and how `plan` says: by the text, a list of errors that come first."""

    def __init__(self, clock: FakeClock, plan: dict[str, list[Exception]] | None = None, took_s: float = 1.0) -> None:
        self._clock, self._plan, self._took_s = clock, plan or {}, took_s
        self.asked: list[tuple[str, float]] = []
        self.in_flight = self.most_in_flight = 0
        self.__name__ = "fake"

    async def __call__(self, call: Call) -> Any:
        text = call.request.messages[0].text  # type: ignore[attr-defined]
        self.asked.append((text, self._clock.now_ns() / 1e9))
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            await self._clock.sleep(self._took_s * (1 if text.isalpha() else 1 + int(text) % 3))
            if left := self._plan.get(text):
                raise left.pop(0)
            return Scripted(text=text.upper()).response()
        finally:
            self.in_flight -= 1


class Bench:
    """A batch on a clock of its own."""

    def __init__(self, plan: dict[str, list[Exception]] | None = None, **more: Any) -> None:
        self.clock = FakeClock()
        self.vendor = Vendor(self.clock, plan, **more)
        self.client = Client(Pipeline([Cost()], self.vendor, telemetry=False, clock=self.clock, timeout_s=None))

    def batch(self, *texts: str, output: Path | None = None, resume: bool = True, **settings: Any) -> Batch:
        requests = read_requests([ask(text, model="fake/m") for text in texts], self.client._params)
        journal = Journal(output) if output else None
        return Batch(self.client._sent, requests, journal, BatchSettings(**settings), resume=resume, clock=self.clock)


async def until(met: Callable[[], bool]) -> None:
    """At most a thousand rounds of the event loop."""
    for _ in range(1000):
        if met():
            return
        await asyncio.sleep(0)
    raise AssertionError("never")


def limited(after_s: float | None = None) -> RateLimitError:
    return RateLimitError("Slow down.", retry_after_s=after_s, status_code=429)


def said(results: list[BatchResult]) -> list[str]:
    return [each.response.text if each.response else str(each.error and each.error.kind) for each in results]


NUMBERS = [str(number) for number in range(40)]


async def test_every_request_has_one_result_and_no_more_are_under_way_than_allowed() -> None:
    bench = Bench()
    results = [each async for each in bench.batch(*NUMBERS, concurrency=7)]
    assert sorted(each.index for each in results) == list(range(40))
    assert all(each.response and each.response.text == NUMBERS[each.index] for each in results)
    assert bench.vendor.most_in_flight == 7


async def test_results_come_as_they_are_ready() -> None:
    results = [each async for each in Bench().batch("2", "0", "1", concurrency=3)]
    assert said(results) == ["0", "1", "2"]


@pytest.mark.parametrize("concurrency", [1, 3, 40])
async def test_or_in_the_order_of_the_requests(concurrency: int) -> None:
    results = [each async for each in Bench().batch(*NUMBERS, concurrency=concurrency, order="given")]
    assert said(results) == NUMBERS


async def test_who_reads_slowly_is_not_flooded() -> None:
    bench = Bench()
    many = [str(number) for number in range(200)]
    async with bench.batch(*many, concurrency=2) as batch:
        async for _ in batch:
            await bench.clock.sleep(1000)
            break
        assert len(bench.vendor.asked) <= 2 * 8 + 2


async def test_a_limit_makes_all_wait_and_nothing_fails() -> None:
    bench = Bench({"a": [limited(30.0)]}, took_s=1.0)
    results = [each async for each in bench.batch("a", "b", "c", "d", concurrency=1)]
    assert sorted(said(results)) == ["A", "B", "C", "D"]
    assert [time for _, time in bench.vendor.asked[1:]] == pytest.approx([32, 33, 34, 35])
    assert [each.tries for each in results] == [2, 1, 1, 1]


async def test_our_own_limits_are_waited_for_too() -> None:
    bench = Bench({"a": [RateLimitExceeded("Full.", retry_after_s=5)]})
    assert said([each async for each in bench.batch("a")]) == ["A"]


async def test_a_failure_that_may_pass_is_tried_again_by_itself() -> None:
    bench = Bench({"a": [server_error(), server_error()]})
    (result,) = [each async for each in bench.batch("a")]
    assert (result.ok, result.tries) == (True, 3)


async def test_so_often_and_no_more() -> None:
    bench = Bench({"a": [server_error() for _ in range(9)]})
    (result,) = [each async for each in bench.batch("a", tries=2)]
    assert (result.ok, result.tries, len(bench.vendor.asked)) == (False, 2, 2)


@pytest.mark.parametrize(
    "error",
    [BadRequestError("No.", status_code=400), limited(601.0), BudgetExceeded("Spent.")],
    ids=["caller's", "too long", "no money"],
)
async def test_what_cannot_pass_is_a_result_at_once(error: GlasswayError) -> None:
    bench = Bench({"a": [error]})
    results = [each async for each in bench.batch("a", "b")]
    assert sorted(said(results)) == ["B", error.kind]
    assert len(bench.vendor.asked) == 2


async def test_a_mistake_in_a_stage_ends_one_request_not_the_batch(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench({"a": [ValueError("prompt of a caller")]})
    results = [each async for each in bench.batch("a", "b")]
    assert sorted(said(results)) == ["B", "internal"]
    assert "request-1" in caplog.text
    assert "prompt of a caller" not in str([each.error for each in results])


async def test_money_is_added_up_over_all_tries_and_unknown_stays_unknown() -> None:
    (result,) = [each async for each in Bench().batch("a")]
    assert result.cost_usd is None  # nobody knows what fake/m costs
    bench = Bench()
    batch = bench.batch("a", "b")
    assert (await batch).unpriced == 2


async def test_progress_is_told_after_each_result() -> None:
    heard: list[BatchProgress] = []
    bench = Bench({"c": [BadRequestError("No.", status_code=400)]})
    progress = await bench.batch("a", "b", "c", concurrency=1, progress=heard.append)
    assert [(each.done, each.failed) for each in heard] == [(0, 0), (1, 0), (2, 0), (3, 1)]
    assert (progress.succeeded, progress.failed, progress.in_flight, progress.total) == (2, 1, 0, 3)
    assert str(progress) == "3 of 3, 1 failed, $0.0000 and 2 of unknown price"


async def test_a_pause_is_part_of_the_progress() -> None:
    heard: list[str] = []
    bench = Bench({"a": [limited(30.0)]})
    await bench.batch("a", progress=lambda progress: heard.append(str(progress)))
    assert any("waits 30 s for a limit" in each for each in heard)


async def test_too_many_failures_end_it() -> None:
    bench = Bench({text: [BadRequestError("No.", status_code=400)] for text in NUMBERS})
    batch = bench.batch(*NUMBERS, concurrency=2, max_failures=5, order="given")
    results = [each async for each in batch]
    assert batch.stopped
    assert 5 <= len(results) <= 6
    assert batch.progress.failed == len(results) == len(bench.vendor.asked)


@pytest.mark.parametrize("after", [0, 1, 3])
async def test_breaking_off_ends_what_is_under_way(after: int) -> None:
    bench = Bench()
    async with bench.batch(*NUMBERS, concurrency=4) as batch:
        seen = 0
        if after:
            async for _ in batch:
                seen += 1
                if seen == after:
                    break
    assert bench.vendor.in_flight == 0
    assert bench.client.pipeline.in_flight == 0


async def test_so_does_cancellation() -> None:
    bench = Bench(took_s=100)
    task = asyncio.ensure_future(bench.batch(*NUMBERS, concurrency=4)._to_the_end())
    await until(lambda: bench.vendor.in_flight == 4)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert bench.vendor.in_flight == 0


async def test_a_batch_is_run_once() -> None:
    batch = Bench().batch("a")
    await batch
    with pytest.raises(ConfigError, match="run once"):
        await batch


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"concurrency": 0}, "concurrency: expected a whole number from 1, found 0"),
        ({"tries": True}, "tries: expected"),
        ({"max_failures": -1}, "max_failures: expected"),
        ({"order": "random"}, "order: expected completed or given"),
        ({"longest_pause_s": -1}, "longest_pause_s: expected"),
    ],
    ids=str,
)
def test_settings_out_of_range_are_refused(settings: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        BatchSettings(**settings)


# -- sync


def test_sync_code_iterates_it(sync_client: Client) -> None:
    with sync_client.batch([ask(text) for text in NUMBERS], order="given", concurrency=4) as batch:
        assert [each.index for each in batch] == list(range(40))


def test_sync_code_waits_for_it(sync_client: Client) -> None:
    assert sync_client.batch([ask("Hi")]).wait().succeeded == 1


def test_sync_code_may_break_off(sync_client: Client) -> None:
    for _ in sync_client.batch([ask(text) for text in NUMBERS], concurrency=2):
        break
    with sync_client.batch([ask(text) for text in NUMBERS], concurrency=2) as batch:
        next(iter(batch))
    assert sync_client.batch([ask("Hi")]).wait().succeeded == 1


@pytest.fixture
def sync_client() -> Any:
    from glassway.testing import FakeProvider

    with Client(Pipeline([], FakeProvider(), telemetry=False)) as client:
        yield client


# -- the output


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


async def test_results_are_written_as_they_come_and_sorted_where_that_was_asked_for(tmp_path: Path) -> None:
    await Bench().batch("2", "0", "1", output=tmp_path / "a.jsonl", concurrency=3)
    assert [line["custom_id"] for line in lines(tmp_path / "a.jsonl")] == ["request-2", "request-3", "request-1"]
    await Bench().batch("2", "0", "1", output=tmp_path / "b.jsonl", concurrency=3, order="given")
    assert [line["custom_id"] for line in lines(tmp_path / "b.jsonl")] == ["request-1", "request-2", "request-3"]


async def test_what_has_an_answer_is_not_asked_again_and_what_failed_is(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    await Bench({"b": [BadRequestError("No.", status_code=400)]}).batch("a", "b", "c", output=path)
    again = Bench()
    progress = await again.batch("a", "b", "c", output=path)
    assert [text for text, _ in again.vendor.asked] == ["b"]
    assert (progress.resumed, progress.succeeded, progress.done) == (2, 3, 3)
    assert sorted(line["custom_id"] for line in lines(path)) == ["request-1", "request-2", "request-3"]
    assert not any(line["error"] for line in lines(path))


async def test_a_line_that_a_killed_process_left_unfinished_is_asked_again(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    await Bench().batch("a", "b", output=path, concurrency=1)
    path.write_bytes(path.read_bytes()[:-20])
    again = Bench()
    await again.batch("a", "b", output=path)
    assert [text for text, _ in again.vendor.asked] == ["b"]
    assert len(lines(path)) == 2


async def test_a_request_that_has_changed_is_asked_again(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    await Bench().batch("a", "b", output=path)
    again = Bench()
    await again.batch("a", "c", output=path)
    assert [text for text, _ in again.vendor.asked] == ["c"]
    assert sorted(line["response"]["body"]["choices"][0]["message"]["content"] for line in lines(path)) == ["A", "C"]


async def test_breaking_off_keeps_what_was_answered(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    async with Bench().batch(*NUMBERS, output=path, concurrency=4) as batch:
        async for _ in batch:
            break
    kept = len(lines(path))
    again = Bench()
    progress = await again.batch(*NUMBERS, output=path)
    assert 1 <= kept < 40
    assert (progress.resumed, len(again.vendor.asked), progress.succeeded) == (kept, 40 - kept, 40)


Spoil = Callable[[Path], object]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda path: path.write_text("no json\n{}\n"), "line 1: expected JSON"),
        (lambda path: path.write_text("[]\n"), "line 1: expected a result with a custom_id"),
        (
            lambda path: path.write_text('{"custom_id": "x"}\n{"custom_id": "y"}\n'),
            "results that belong to none .*'x' and 1 more",
        ),
    ],
    ids=["no json", "no results", "others' results"],
)
async def test_a_file_of_something_else_is_left_alone(tmp_path: Path, spoil: Spoil, message: str) -> None:
    path = tmp_path / "out.jsonl"
    spoil(path)
    before = path.read_bytes()
    bench = Bench()
    with pytest.raises(ConfigError, match=message):
        await bench.batch("a", output=path)
    assert (path.read_bytes(), bench.vendor.asked) == (before, [])


async def test_without_resuming_results_are_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    await Bench().batch("a", output=path)
    with pytest.raises(ConfigError, match="there are results in it already"):
        await Bench().batch("a", output=path, resume=False)
    assert len(lines(path)) == 1


async def test_two_batches_do_not_write_to_one_file(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    async with Bench().batch("a", "b", output=path) as first:
        await anext(aiter(first))
        with pytest.raises(ConfigError, match="another batch is writing to it"):
            await Bench().batch("a", "b", output=path)
    assert (await Bench().batch("a", "b", output=path)).succeeded == 2


class FullDisk(Journal):
    """Nothing can be written."""

    def write(self, result: BatchResult) -> None:
        raise OSError("No space left on device")


async def test_a_disk_that_is_full_is_told(tmp_path: Path) -> None:
    bench = Bench()
    requests = read_requests([ask("a", model="fake/m")], bench.client._params)
    with pytest.raises(OSError, match="No space"):
        await Batch(bench.client._sent, requests, FullDisk(tmp_path / "out.jsonl"))
    assert bench.vendor.in_flight == 0


def test_a_sum_of_money_is_exact() -> None:
    progress = BatchProgress(2)
    for _ in range(2):
        progress = progress.after(BatchResult("a", 0, Scripted().response(), cost_usd=Decimal("0.10")))
    assert progress.cost_usd == Decimal("0.20")
