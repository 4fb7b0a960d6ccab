"""Retry, Fallback and Hedge together: whatever the vendors do, the attempt budget and the deadline hold, and nothing is left."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from builders import Ends, ask, server_error
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from glassway import Pipeline
from glassway.middlewares import Cost, Fallback, Hedge, Retry, Timeout
from glassway.pipeline.call import CallOptions
from glassway.pipeline.errors import (
    APITimeoutError,
    BadRequestError,
    GlasswayError,
    RateLimitError,
)
from glassway.pipeline.stream import Stream
from glassway.testing import FakeClock, FakeProvider, Scripted

SECONDS = st.sampled_from([0.0, 0.5, 1.0, 3.0, 10.0, 40.0])
ERRORS = st.sampled_from([server_error(), RateLimitError("slow", retry_after_s=2.0), BadRequestError("bad")])
SCRIPTS = st.one_of(
    st.builds(Scripted, delay_s=SECONDS, gap_s=st.sampled_from([0.0, 0.5, 8.0])),
    st.builds(Scripted, delay_s=SECONDS, after_chunks=st.integers(1, 4)),
    st.builds(Scripted, delay_s=SECONDS, error=ERRORS),
    st.builds(Scripted, delay_s=SECONDS, error=ERRORS, after_chunks=st.integers(1, 4)),
)
STACKS = st.fixed_dictionaries(
    {
        "mid_stream": st.sampled_from(["fail", "continue", "restart"]),
        "fallback_s": st.sampled_from([None, 2.0]),
        "after_s": st.sampled_from([0.3, 2.0]),
        "hedge_target": st.sampled_from([None, "other/h"]),
        "on_error": st.booleans(),
        "between_s": st.sampled_from([None, 4.0]),
    }
)


async def play(scripts: list[Scripted], stack: dict[str, Any], attempts: int, deadline_s: float, stream: bool) -> None:
    clock, ends, calls = FakeClock(), Ends(), []
    one, other = FakeProvider(scripts, name="one"), FakeProvider(scripts[::-1], name="other")

    async def watched(call: Any, call_next: Any) -> Any:
        calls.append(call.clock.now_ns())
        return await call_next(call)

    stages = [
        ends,
        Cost(),
        Fallback(["other/b", "one/c"], mid_stream=stack["mid_stream"], first_chunk_s=stack["fallback_s"]),
        Retry(attempts=3, initial_s=1),
        Hedge(
            after_s=stack["after_s"],
            target=stack["hedge_target"],
            on_error=stack["on_error"],
            most_share=1,
            floor_per_s=9,
        ),
        *([Timeout(between_chunks_s=stack["between_s"])] if stack["between_s"] else []),
        watched,
    ]
    pipeline = Pipeline(stages, providers=[one, other], clock=clock, attempts=attempts, telemetry=None)
    before = asyncio.all_tasks()
    failure: GlasswayError | None = None
    try:
        reply = await pipeline.send(ask(stream=stream), CallOptions(timeout_s=deadline_s))
        if isinstance(reply, Stream):
            async for _ in reply:
                pass
    except GlasswayError as error:
        failure = error
    for _ in range(5):
        await asyncio.sleep(0)
    record = ends.record
    assert len(record.attempts) == len(one.calls) + len(other.calls) <= attempts
    assert clock.slept_s <= deadline_s
    assert (one.open_streams, other.open_streams, pipeline.in_flight) == (0, 0, 0)
    assert asyncio.all_tasks() == before
    assert all(attempt.end_ns is not None for attempt in record.attempts)
    assert record.end == "completed" if failure is None else record.end != "completed"
    assert any(attempt.useful for attempt in record.attempts) == (failure is None)
    assert record.cost is not None
    if isinstance(failure, APITimeoutError) and "deadline" in failure.message:
        assert clock.slept_s == deadline_s
    await pipeline.aclose()


@given(
    st.lists(SCRIPTS, min_size=1, max_size=5),
    STACKS,
    st.integers(1, 6),
    st.sampled_from([1.0, 5.0, 60.0]),
    st.booleans(),
)
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_the_attempt_budget_and_the_deadline_hold_whatever_happens(
    scripts: list[Scripted], stack: dict[str, Any], attempts: int, deadline_s: float, stream: bool
) -> None:
    asyncio.run(play(scripts, stack, attempts, deadline_s, stream))


@pytest.mark.anyio
@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
async def test_an_outage_of_everything_is_bounded_by_budget_caps_and_deadline(stream: bool) -> None:
    """200 calls a second for 30 s, nothing but failures: retries stay a share, hedges a share, fallbacks the list."""
    clock = FakeClock()
    sent: dict[str, int] = {}

    async def down(call: Any) -> Any:
        sent[call.reason] = sent.get(call.reason, 0) + 1
        await clock.sleep(0.2)
        raise server_error()

    down.__name__ = "down"
    stages = [
        Retry(initial_s=0.1, maximum_s=0.1, budget_share=0.1, budget_floor_per_s=1),
        Hedge(after_s=0.1, most_share=0.05, floor_per_s=0.1, window_s=10),
    ]
    pipeline = Pipeline(stages, down, clock=clock, telemetry=False)
    calls: list[asyncio.Future[Any]] = []
    for _ in range(30):
        calls += [asyncio.ensure_future(pipeline.send(ask(stream=stream))) for _ in range(200)]
        await clock.sleep(1)
    ended = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(error, GlasswayError) for error in ended)
    assert sent["first"] == 6000
    assert 500 < sent["retry"] <= 0.1 * 6000 + 1 * 40
    assert 200 < sent["hedge"] <= 0.05 * (6000 + sent["retry"]) + 0.1 * 40
