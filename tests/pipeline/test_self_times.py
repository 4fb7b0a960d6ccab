"""Self times add up to the call's duration, to the nanosecond."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Any

import pytest
from builders import make, running, server_error, stage

from glassway.middlewares import Callbacks, Fallback, Retry, Timeout
from glassway.pipeline.record import Record
from glassway.pipeline.stream import Stream, observed, when_done
from glassway.testing import FakeClock, Scripted

pytestmark = pytest.mark.anyio


def pausing(seconds: float, then: Callable[[Any], Any] = lambda reply: reply, name: str = "pausing") -> Any:
    async def pause(call: Any, call_next: Any) -> Any:
        await call.clock.sleep(seconds)
        return then(await call_next(call))

    return stage(pause, name)


async def slowly(chunks: AsyncIterator[Any]) -> AsyncGenerator[Any, None]:
    async for chunk in chunks:
        yield chunk


def mapped(reply: Any) -> Any:
    return reply.map(lambda chunk: chunk).map(lambda chunk: chunk) if isinstance(reply, Stream) else reply


def through(reply: Any) -> Any:
    return (
        reply.map(lambda c: c).through(slowly).through(slowly).map(lambda c: c) if isinstance(reply, Stream) else reply
    )


def watched(reply: Any) -> Any:
    return when_done(when_done(reply, lambda outcome: outcome.response), lambda _: None)


async def observing(call: Any, call_next: Any) -> Any:
    return await observed(call, call_next, lambda _: None)


def missing_ns(record: Record) -> int:
    trace = record.trace
    assert trace is not None
    return sum(trace.self_times().values()) + trace.consumer_ns - trace.duration_ns


STACKS: dict[str, Callable[[], list[Any]]] = {
    "nothing": list,
    "nested": lambda: [pausing(1), pausing(2), pausing(3)],
    "map": lambda: [pausing(1, mapped), pausing(2, mapped)],
    "through": lambda: [pausing(1, through), pausing(2, through)],
    "observers": lambda: [pausing(1, watched), observing, pausing(2, watched)],
    "all of ours": lambda: [
        Callbacks(on_success=[print]),
        Timeout(total_s=500),
        Fallback(["fake/b"]),
        Retry(strategy="exponential"),
        pausing(1, through),
    ],
}
SCRIPTS: dict[str, list[Any]] = {
    "answer": [Scripted(delay_s=1, gap_s=0.5)],
    "retried": [server_error(), server_error(retry_after_s=3), Scripted(delay_s=1)],
    "fallen back": [server_error(retryable=False), Scripted(chunks_per_block=3)],
    "failed": [server_error(retryable=False)],
    "cut": [Scripted(after_chunks=2, gap_s=0.1)],
}


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
@pytest.mark.parametrize("stack", STACKS)
async def test_they_add_up(stack: str, stream: bool, script: str) -> None:
    clock = FakeClock(tick_ns=7)
    async with running(STACKS[stack](), SCRIPTS[script], clock=clock) as setup:
        try:
            reply = await setup.send(stream=stream)
            if isinstance(reply, Stream):
                async for _ in reply:
                    await clock.sleep(0.25)
        except Exception:  # noqa: BLE001 - the record is looked at below
            assert script != "answer"
    assert missing_ns(setup.record) == 0
    assert setup.record.duration_s > 0
    trace = setup.record.trace
    assert trace is not None
    nested_ns = trace.nested_ns()
    runs = [frame.index for frame in trace.frames]
    assert (nested_ns is None) == (len(set(runs)) < len(runs))  # the quick reading is for stages that each ran once
    assert nested_ns in (None, list(trace.self_times().values()))


@pytest.mark.parametrize("ending", ["closed", "collected"])
async def test_they_add_up_for_streams_that_were_not_read_to_the_end(ending: str) -> None:
    setup = make(STACKS["observers"](), clock=FakeClock(tick_ns=7))
    reply = await setup.send(stream=True)
    await anext(reply)
    if ending == "closed":
        await reply.aclose()
    del reply
    assert missing_ns(setup.record) == 0


async def test_each_stage_is_charged_for_its_own_time_alone() -> None:
    setup = make([pausing(1, name="one"), pausing(2, name="two")], [Scripted(delay_s=4, gap_s=0.5, text="a b")])
    reply = await setup.send(stream=True)
    async for _ in reply:
        await setup.clock.sleep(10)
    runs = {run.name: run for run in setup.record.stages}
    assert {name: runs[name].self_s for name in ("one", "two", "provider")} == {
        "one": 1,
        "two": 2,
        "provider": 4 + 4 * 0.5,
    }
    assert setup.record.consumer_s == 40
    assert [(run.name, run.depth) for run in setup.record.stages] == [
        ("call", 0),
        ("Ends", 1),
        ("one", 2),
        ("two", 3),
        ("provider", 4),
    ]


async def test_the_pause_between_tries_is_retrys() -> None:
    setup = make([Retry(strategy="exponential", initial_s=3)], [server_error(), Scripted(delay_s=1)])
    await setup.send()
    runs = [(run.name, run.self_s, run.error) for run in setup.record.stages if run.name in ("Retry", "provider")]
    assert runs == [("Retry", 3, None), ("provider", 0, "server_error"), ("provider", 1, None)]


async def test_what_a_stage_does_below_its_own_through_is_its_own_time() -> None:
    clock = FakeClock()

    def working(chunk: Any) -> Any:
        clock.advance(1)
        return chunk

    async def slow(chunks: AsyncIterator[Any]) -> AsyncGenerator[Any, None]:
        async for chunk in chunks:
            await clock.sleep(2)
            yield chunk

    setup = make(
        [pausing(0, lambda reply: reply.map(working).through(slow).through(slow), "layered")],
        [Scripted(text="a")],
        clock=clock,
    )
    reply = await setup.send(stream=True)
    await reply.response()
    layered = next(run for run in setup.record.stages if run.name == "layered")
    assert layered.self_s == 3 * (1 + 2 + 2)
    assert setup.record.consumer_s == 0


async def hedging(call: Any, call_next: Any) -> Any:
    async def late() -> Any:
        await call.clock.sleep(1)
        return await call_next(call)

    first, _ = await asyncio.gather(call_next(call), late())
    return first


async def test_overlapping_children_count_once_in_their_parent() -> None:
    setup = make([hedging], [Scripted(delay_s=4)])
    await setup.send()
    trace = setup.record.trace
    assert trace is not None
    runs = {run.name: run.self_s for run in setup.record.stages if run.name != "provider"}
    providers = [run.self_s for run in setup.record.stages if run.name == "provider"]
    assert runs["hedging"] == 0
    assert providers == [4, 4]
    assert missing_ns(setup.record) == 3 * 10**9  # from 1 s to 4 s both were at work


async def test_a_child_that_is_left_running_counts_until_the_end() -> None:
    async def leaving(call: Any, call_next: Any) -> Any:
        loser = asyncio.create_task(call_next(call))
        await call.clock.sleep(1)
        setup.tasks.append(loser)  # type: ignore[attr-defined]
        return await call_next(call)

    setup = make([leaving], [Scripted(delay_s=50), Scripted(delay_s=2)])
    setup.tasks = []  # type: ignore[attr-defined]
    await setup.send()
    setup.tasks[0].cancel()  # type: ignore[attr-defined]
    await asyncio.wait(setup.tasks)  # type: ignore[attr-defined]
    assert all(run.self_s >= 0 for run in setup.record.stages)
