"""Self times of all stages and the consumer's time add up to the call's duration, to the nanosecond."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import pytest

from glassway.middlewares import Fallback, Retry, Tracing
from glassway.pipeline.call import Call
from glassway.pipeline.errors import InternalServerError, StreamInterruptedError
from glassway.pipeline.pipeline import Pipeline
from glassway.pipeline.record import Record
from glassway.pipeline.stream import Handler, Reply, Stream, when_done
from glassway.testing import FakeClock, FakeProvider, Scripted

pytestmark = pytest.mark.anyio

FAILED = InternalServerError("down")


async def waiting(call: Call, call_next: Handler) -> Reply:
    await call.clock.sleep(0.25)
    reply = await call_next(call)
    await call.clock.sleep(0.5)
    return reply


async def looking(call: Call, call_next: Handler) -> Reply:
    reply = await call_next(call)
    if isinstance(reply, Stream):
        reply.map(lambda chunk: call.clock.now_ns() and chunk)
    return when_done(reply, lambda outcome: call.clock.now_ns())


async def holding(call: Call, call_next: Handler) -> Reply:
    async def slowly(chunks: AsyncIterator[Any]) -> AsyncGenerator[Any, None]:
        async for chunk in chunks:
            await call.clock.sleep(0.01)
            yield chunk

    reply = await call_next(call)
    return reply.through(slowly) if isinstance(reply, Stream) else reply


SHAPES = {
    "bare": [],
    "wrapped": [waiting, looking],
    "held": [looking, holding, waiting],
    "retried": [waiting, Retry(attempts=4), looking],
    "fallen back": [looking, Fallback(["other/m"]), Retry(attempts=2), waiting],
}


def identity_ns(record: Record) -> int:
    trace = record.trace
    assert trace is not None
    return sum(trace.self_times().values()) + trace.consumer_ns - trace.duration_ns


def pipeline(shape: str, recorded: Any, first: list[Any]) -> tuple[Pipeline, FakeClock]:
    clock = FakeClock(tick_ns=137)
    providers = [FakeProvider([*first, Scripted(delay_s=0.1, gap_s=0.02)]), FakeProvider(name="other")]
    return Pipeline([Tracing(), *SHAPES[shape]], providers=providers, telemetry=recorded.telemetry, clock=clock), clock


@pytest.mark.parametrize("shape", SHAPES)
async def test_they_add_up_for_a_unary_call(shape: str, recorded: Any, ask: Any) -> None:
    stack, _ = pipeline(shape, recorded, [FAILED] if shape in ("retried", "fallen back") else [])
    reply = await stack.send(ask())
    assert identity_ns(reply.record) == 0


@pytest.mark.parametrize("shape", SHAPES)
async def test_they_add_up_for_a_stream_with_a_slow_consumer(shape: str, recorded: Any, ask: Any) -> None:
    stack, clock = pipeline(shape, recorded, [FAILED] if shape in ("retried", "fallen back") else [])
    stream = await stack.send(ask(stream=True))
    async for _ in stream:
        await clock.sleep(1)
    record = (await stream.response()).record
    assert identity_ns(record) == 0
    assert record.consumer_s > 5


@pytest.mark.parametrize("shape", SHAPES)
async def test_they_add_up_for_a_call_that_fails(shape: str, recorded: Any, ask: Any) -> None:
    clock = FakeClock(tick_ns=137)
    providers = [FakeProvider([FAILED]), FakeProvider([FAILED], name="other")]
    stack = Pipeline([*SHAPES[shape]], providers=providers, telemetry=recorded.telemetry, clock=clock)
    with pytest.raises(Exception, match=r".") as caught:
        await stack.send(ask())
    assert identity_ns(caught.value.record) == 0


async def test_they_add_up_for_a_stream_that_is_cut(recorded: Any, ask: Any) -> None:
    stack, _ = pipeline("held", recorded, [Scripted(after_chunks=2)])
    stream = await stack.send(ask(stream=True))
    with pytest.raises(StreamInterruptedError) as caught:
        await stream.response()
    assert identity_ns(caught.value.record) == 0


async def test_a_slow_consumer_does_not_show_as_time_between_chunks(recorded: Any, ask: Any) -> None:
    stack, clock = pipeline("bare", recorded, [])
    stream = await stack.send(ask(stream=True))
    with contextlib.suppress(StopAsyncIteration):
        while await anext(stream):
            await clock.sleep(3)
    gaps = recorded.metrics['glassway_chunk_gap_seconds_sum{model="m",provider="fake"}']
    assert gaps == pytest.approx(5 * 0.02, abs=0.001)


async def test_the_metric_of_self_times_sums_up_to_the_metric_of_durations(recorded: Any, ask: Any) -> None:
    stack, clock = pipeline("retried", recorded, [FAILED])
    stream = await stack.send(ask(stream=True))
    async for _ in stream:
        await clock.sleep(0.3)
    await stack.send(ask())
    metrics = recorded.metrics
    own = sum(value for name, value in metrics.items() if name.startswith("glassway_stage_self_seconds_sum"))
    whole = sum(value for name, value in metrics.items() if name.startswith("glassway_call_duration_seconds_sum"))
    assert own == pytest.approx(whole, abs=1e-6)


async def test_each_stage_s_self_time_is_on_its_span(recorded: Any, ask: Any) -> None:
    clock = FakeClock()
    stack = Pipeline([waiting], FakeProvider([Scripted(delay_s=2)]), telemetry=recorded.telemetry, clock=clock)
    await stack.send(ask())
    own = {
        span.name: span.attributes["glassway.self_s"] for span in recorded.spans if "glassway.self_s" in span.attributes
    }
    assert own == {"chat m": 0.0, "waiting": 0.75, "provider": 2.0}
