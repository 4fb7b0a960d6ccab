"""However a call ends, with whatever stages: one outcome, one record, nothing held, nothing complained of.

A further stage is one more line of `STAGES`.
"""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from builders import Ends, ask, server_error
from vectors import embed

from glassway import Client, Pipeline, SyncStream
from glassway.middlewares import (
    Batch,
    Budget,
    Cache,
    Callbacks,
    CircuitBreaker,
    Cost,
    Deduplicate,
    Defaults,
    Fallback,
    Faults,
    Guardrails,
    Hedge,
    Ledger,
    Pool,
    RateLimit,
    Record,
    Replay,
    Retry,
    Router,
    SemanticCache,
    Shadow,
    Timeout,
    Tracing,
)
from glassway.middlewares.guardrails import Check
from glassway.pipeline.errors import APITimeoutError, GlasswayError, InternalServerError, StreamInterruptedError
from glassway.pipeline.portal import run_sync
from glassway.pipeline.stream import Stream, observed
from glassway.testing import FakeProvider, Scripted
from glassway.testing.finalizers import ENDINGS, Ending, run_ending

pytestmark = pytest.mark.usefixtures("small_heap")


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where stages with files have them."""
    monkeypatch.chdir(tmp_path)


async def ignore(event: Any) -> None:
    pass


async def calm(text: str) -> bool:
    """A rule that has to wait."""
    await asyncio.sleep(0)
    return True


async def layered(call: Any, call_next: Any) -> Any:
    """What a user's own stage may do to a reply."""

    async def held(chunks: Any) -> Any:
        async for chunk in chunks:
            yield chunk

    reply = await observed(call, call_next, lambda outcome: outcome.response)
    return reply.map(lambda chunk: chunk).through(held) if isinstance(reply, Stream) else reply


async def held_up(call: Any, call_next: Any) -> Any:
    """What makes the second request win."""
    if call.reason == "first":
        await call.clock.sleep(0.05)
    return await call_next(call)


async def breaking(call: Any, call_next: Any) -> Any:
    """What makes a stream go on at the second target."""
    reply = await call_next(call)
    if call.reason == "fallback" or not isinstance(reply, Stream):
        return reply
    handed_out: list[Any] = []

    def step(chunk: Any) -> Any:
        handed_out.append(chunk)
        if len(handed_out) == 2:
            raise StreamInterruptedError("broken on purpose")
        return chunk

    return reply.map(step)


async def embed_at_once(texts: list[str]) -> list[list[float]]:
    """Vectors without a thread, which a clock that stands still would not wait for."""
    return embed(texts)


async def beside_at_once(call: Any, call_next: Any) -> Any:
    """What answers shadows without asking, for theirs are not the streams that are counted here."""
    return Scripted().response() if call.beside else await call_next(call)


async def time_passes(call: Any, call_next: Any) -> Any:
    """What lets a clock go on that moves for sleepers alone."""
    asleep = asyncio.ensure_future(call.clock.sleep(0.02))
    try:
        return await call_next(call)
    finally:
        asleep.cancel()


STAGES: dict[str, Callable[[], Sequence[Any]]] = {
    "none": list,
    "Retry": lambda: [Retry()],
    "Router": lambda: [
        Router(groups={"fake-model": {"targets": ["fake/first", "fake/second"], "strategy": "latency"}})
    ],
    "Hedge": lambda: [Hedge(after_s=0.01)],
    "Hedge, overtaken": lambda: [Hedge(after_s=0.01), held_up],
    "Fallback": lambda: [Fallback(["fake/second"])],
    "Fallback, mending": lambda: [Fallback(["fake/second"], mid_stream="continue", first_chunk_s=300)],
    "Fallback, mended": lambda: [Fallback(["fake/second"], mid_stream="continue"), breaking],
    "Fallback, begun anew": lambda: [Fallback(["fake/second"], mid_stream="restart"), breaking],
    "Timeout": lambda: [Timeout(total_s=500, first_chunk_s=400, between_chunks_s=300)],
    "Callbacks": lambda: [
        Callbacks(on_start=[ignore], on_chunk=[ignore], on_success=[ignore, print], on_failure=[ignore, print])
    ],
    "layered": lambda: [layered],
    "Tracing": lambda: [Tracing(capture="both")],
    "Cost": lambda: [Cost()],
    "Guardrails": lambda: [Guardrails(["secrets", "pii"])],
    "Guardrails that wait": lambda: [Guardrails([Check(calm)])],
    "Defaults": lambda: [Defaults(set={"temperature": 0}, max={"max_tokens": 500}, system_prefix="Be brief.")],
    "Cache": lambda: [Cache()],
    "RateLimit": lambda: [RateLimit(requests_per_minute=10_000, tokens_per_minute=10_000_000)],
    "Budget": lambda: [Budget(usd=1_000_000, unpriced="allow")],
    "CircuitBreaker": lambda: [CircuitBreaker(failures=1000, failure_share=None)],
    "SemanticCache": lambda: [SemanticCache(embed_at_once)],
    "Shadow of a target": lambda: [Shadow("fake/second", share=1), beside_at_once],
    "Shadow of a stage": lambda: [Shadow(stage=Guardrails(["secrets"]), share=1)],
    "Pool": lambda: [Pool(size=8)],
    "Deduplicate": lambda: [Deduplicate()],
    "Batch": lambda: [Batch()],
    "Batch of chats": lambda: [time_passes, Batch(chats=True, wait_s=0.01)],
    "Ledger": lambda: [Ledger("ledger.db")],
    "Record": lambda: [Record("recorded.jsonl")],
    "Replay": lambda: [Replay("played.jsonl", mode="record_missing")],
    "Faults": lambda: [Faults()],
}
ORDER = (
    "Tracing",
    "Callbacks",
    "Ledger",
    "Cost",
    "RateLimit",
    "Budget",
    "Guardrails",
    "Defaults",
    "Deduplicate",
    "Cache",
    "SemanticCache",
    "Shadow of a target",
    "Shadow of a stage",
    "layered",
    "Router",
    "Fallback",
    "Retry",
    "Hedge",
    "CircuitBreaker",
    "Pool",
    "Batch",
    "Timeout",
    "Record",
    "Replay",
    "Faults",
)
STAGES["all"] = lambda: [stage for name in ORDER for stage in STAGES[name]()]

HOLD_ALL = frozenset({"Guardrails that wait"})
"""Stages that hand nothing out before they have all: an error in the middle is then one before output."""


def end_of(stages: str, end: str, error_in_the_middle: bool) -> str:
    """How a call through `stages` ends that ends in `end` without them."""
    return "failed" if error_in_the_middle and stages in HOLD_ALL else end


ENDS: dict[Ending, tuple[str, type[BaseException] | None]] = {
    "completed": ("completed", None),
    "unary_completed": ("completed", None),
    "vendor_error_before_output": ("failed", Exception),
    "unary_vendor_error": ("failed", Exception),
    "vendor_error_mid_stream": ("interrupted", InternalServerError),
    "cut_stream": ("interrupted", StreamInterruptedError),
    "consumer_breaks_off": ("closed", None),
    "aclose": ("closed", None),
    "task_cancelled": ("cancelled", asyncio.CancelledError),
    "task_cancelled_before_output": ("cancelled", asyncio.CancelledError),
    "deadline": ("timeout", APITimeoutError),
    "deadline_mid_stream": ("timeout", APITimeoutError),
    "abandoned_and_collected": ("abandoned", None),
    "never_iterated": ("abandoned", None),
}


@pytest.fixture
def complaints(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """What the event loop and the chain had to say."""
    caplog.set_level(logging.WARNING)
    loop_says: list[str] = []

    def all_of_them() -> list[str]:
        return [f"{record.name}: {record.getMessage()}" for record in caplog.records] + loop_says

    return all_of_them


@pytest.mark.anyio
@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("stages", STAGES)
async def test_async(stages: str, ending: Ending, complaints: Callable[[], list[str]]) -> None:
    loop, heard = asyncio.get_running_loop(), []
    loop.set_debug(True)
    loop.slow_callback_duration = 60  # a busy machine is no finding
    loop.set_exception_handler(lambda _, context: heard.append(context["message"]))
    report = await run_ending(ending, STAGES[stages])
    report.assert_clean()
    end, error = ENDS[ending]
    end = end_of(stages, end, ending == "vendor_error_mid_stream")
    assert report.record.end == end
    assert isinstance(report.outcomes[0].error, error or type(None))
    assert complaints() == []
    assert heard == []


class Sync:
    """A sync client of a scripted vendor."""

    def __init__(self, stages: str, script: Scripted) -> None:
        self.provider = FakeProvider([script])
        self.ends = Ends()
        self.client = Client(Pipeline([self.ends, *STAGES[stages]()], self.provider))

    def stream(self, **params: Any) -> SyncStream[Any]:
        return self.client.chat("fake-model", "Hi", stream=True, **params)


def finish(stream: SyncStream[Any]) -> None:
    assert [chunk.text for chunk in stream]


def leave_open(stream: SyncStream[Any]) -> None:
    for _ in stream:
        break


def close(stream: SyncStream[Any]) -> None:
    with stream:
        next(stream)
    stream.close()


def take_whole(stream: SyncStream[Any]) -> None:
    next(stream)
    stream.response()


FAILURE = server_error(retryable=False)
SLOW = Scripted(text="a b c d e", gap_s=0.05)
SYNC_ENDINGS: dict[str, tuple[Scripted, Callable[[Any], Any], dict[str, Any], str]] = {
    "completed": (Scripted(), finish, {}, "completed"),
    "whole": (Scripted(), take_whole, {}, "completed"),
    "error before": (Scripted(error=FAILURE), finish, {}, "failed"),
    "error in the middle": (Scripted(error=FAILURE, after_chunks=2), finish, {}, "interrupted"),
    "cut": (Scripted(after_chunks=2), finish, {}, "interrupted"),
    "closed": (Scripted(), close, {}, "closed"),
    "deadline": (SLOW, finish, {"timeout_s": 0.08}, "timeout"),
    "left open": (Scripted(), leave_open, {}, "abandoned"),
    "never iterated": (Scripted(), lambda stream: None, {}, "abandoned"),
}


@pytest.mark.parametrize("ending", SYNC_ENDINGS)
@pytest.mark.parametrize("stages", STAGES)
def test_sync(stages: str, ending: str, complaints: Callable[[], list[str]]) -> None:
    script, consume, params, end = SYNC_ENDINGS[ending]
    made = Sync(stages, script)
    with made.client:
        try:
            consume(made.stream(**params))
        except GlasswayError:
            assert end in ("failed", "interrupted", "timeout")
        gc.collect()
        run_sync(asyncio.sleep, 0.001)  # whatever was left to the loop runs before this does
        assert made.client.pipeline.in_flight == 0
        assert made.provider.open_streams == 0
    assert [record.end for record in made.ends.records] == [end_of(stages, end, ending == "error in the middle")]
    assert complaints() == []


@pytest.mark.parametrize("stages", STAGES)
def test_sync_unary(stages: str, complaints: Callable[[], list[str]]) -> None:
    made = Sync(stages, Scripted())
    with made.client as client:
        assert client.completion("fake-model", ask().messages).text == "Hello there, general reader."
    assert [record.end for record in made.ends.records] == ["completed"]
    assert complaints() == []
