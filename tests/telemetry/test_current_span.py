"""The call's span is current inside the call, nowhere else, however the call ends."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import logging
from typing import Any

import pytest
from opentelemetry import trace as api
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import CollectorRegistry

from glassway.middlewares import Retry, Tracing
from glassway.pipeline.attempts import traceparent
from glassway.pipeline.call import Call
from glassway.pipeline.errors import RateLimitError
from glassway.pipeline.pipeline import Pipeline
from glassway.pipeline.stream import Handler, Reply, Stream
from glassway.pipeline.telemetry import CallIds, Telemetry
from glassway.testing import FakeClock, FakeProvider, Scripted

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("small_heap")]


def current() -> int:
    return api.get_current_span().get_span_context().span_id


@pytest.fixture
def application() -> tuple[TracerProvider, InMemorySpanExporter]:
    """An application's own tracer provider."""
    provider, exporter = TracerProvider(shutdown_on_exit=False), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return provider, exporter


async def test_a_stage_s_own_spans_are_children_of_the_call_s(recorded: Any, ask: Any, application: Any) -> None:
    provider, exporter = application

    async def mine(call: Call, call_next: Handler) -> Reply:
        with provider.get_tracer("app").start_as_current_span("look up"):
            return await call_next(call)

    await Pipeline([mine], FakeProvider(), telemetry=recorded.telemetry).send(ask())
    [child] = exporter.get_finished_spans()
    assert child.parent.span_id == recorded.spans[0].context.span_id
    assert child.context.trace_id == recorded.spans[0].context.trace_id


async def test_a_call_is_a_child_of_the_caller_s_current_span(recorded: Any, ask: Any, application: Any) -> None:
    with application[0].get_tracer("app").start_as_current_span("handle") as outer:
        await Pipeline([], FakeProvider(), telemetry=recorded.telemetry).send(ask())
    assert recorded.spans[0].parent.span_id == outer.get_span_context().span_id


async def test_a_stream_s_span_is_current_while_it_is_read_and_not_between(recorded: Any, ask: Any) -> None:
    seen: list[int] = []

    class Looking(FakeProvider):
        async def __call__(self, call: Call) -> Reply:
            reply = await super().__call__(call)
            assert isinstance(reply, Stream)
            return reply.map(lambda chunk: chunk)

    async def look(call: Call, call_next: Handler) -> Reply:
        async def through(chunks: Any) -> Any:
            async for chunk in chunks:
                seen.append(current())
                yield chunk

        reply = await call_next(call)
        assert isinstance(reply, Stream)
        return reply.through(through)

    stream = await Pipeline([look], Looking(), telemetry=recorded.telemetry).send(ask(stream=True))
    async for _ in stream:
        assert current() == 0
    assert set(seen) == {recorded.spans[0].context.span_id}


@pytest.mark.parametrize("end", ["break", "close", "cancel", "garbage", "exhaust", "never"])
async def test_nothing_leaks_and_nothing_is_logged_however_a_stream_ends(
    end: str, recorded: Any, ask: Any, caplog: Any
) -> None:
    async def through(chunks: Any) -> Any:
        async for chunk in chunks:
            yield chunk

    async def holding(call: Call, call_next: Handler) -> Reply:
        reply = await call_next(call)
        assert isinstance(reply, Stream)
        return reply.through(through)

    provider = FakeProvider([Scripted(text="a b c d e f", gap_s=1)])
    stack = Pipeline([Tracing(), holding], provider, telemetry=recorded.telemetry, clock=FakeClock())
    await _end(await stack.send(ask(stream=True)), end)
    for _ in range(20):
        gc.collect()
        await asyncio.sleep(0)
    assert current() == 0
    assert [span.name for span in recorded.spans].count("chat m") == 1
    assert "Context" not in caplog.text
    assert provider.open_streams == 0


async def _end(stream: Any, end: str) -> None:
    if end == "never":
        return
    if end == "cancel":
        task = asyncio.ensure_future(stream.response())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return
    async for _ in stream:
        if end in ("break", "garbage"):
            break
        if end == "close":
            await stream.aclose()
    if end == "break":
        await stream.aclose()


async def test_a_call_that_is_dropped_by_another_context_is_quiet(recorded: Any, ask: Any, caplog: Any) -> None:
    async def stuck(call: Call, call_next: Handler) -> Reply:
        await asyncio.get_running_loop().create_future()
        return await call_next(call)

    stack = Pipeline([stuck], FakeProvider(), telemetry=recorded.telemetry)
    await stack.open()
    sending = stack.send(ask())
    contextvars.copy_context().run(sending.send, None)
    sending.close()  # as a finaliser does, in a context of its own
    assert "Context" not in caplog.text
    assert current() == 0


async def test_code_inside_a_call_may_add_to_its_span(recorded: Any, ask: Any) -> None:
    async def noting(call: Call, call_next: Handler) -> Reply:
        span = api.get_current_span()
        span.set_attribute("shop.basket", 7)
        span.set_attribute("glassway.end", "failed")
        span.add_event("looked up", {"rows": 3})
        for number in range(1000):
            span.set_attribute(f"many.{number}", number)
        return await call_next(call)

    await Pipeline([noting], FakeProvider(), telemetry=recorded.telemetry).send(ask())
    attributes = recorded.spans[0].attributes
    assert attributes["shop.basket"] == 7
    assert attributes["glassway.end"] == "completed"
    assert sum(name.startswith("many.") for name in attributes) < 64
    assert [event.name for event in recorded.spans[0].events] == ["looked up"]


async def test_log_lines_inside_a_call_carry_its_ids(recorded: Any, ask: Any, caplog: Any) -> None:
    caplog.handler.addFilter(CallIds())
    caplog.set_level(logging.INFO)

    async def talking(call: Call, call_next: Handler) -> Reply:
        logging.getLogger("app").info("inside")
        return await call_next(call)

    reply = await Pipeline([talking], FakeProvider(), telemetry=recorded.telemetry).send(ask())
    logging.getLogger("app").info("outside")
    lines: dict[str, Any] = {line.message: line for line in caplog.records}
    inside, outside = lines["inside"], lines["outside"]
    assert (inside.trace_id, inside.call_id) == (reply.trace_id, reply.record.call_id)
    assert inside.span_id == f"{recorded.spans[0].context.span_id:016x}"
    assert (outside.trace_id, outside.span_id, outside.call_id) == ("", "", "")


@pytest.mark.parametrize("stream", [False, True])
async def test_a_foreign_provider_gets_the_same_tree(ask: Any, application: Any, stream: bool) -> None:
    provider, exporter = application
    telemetry = Telemetry(registry=CollectorRegistry(), tracer_provider=provider)

    async def mine(call: Call, call_next: Handler) -> Reply:
        with provider.get_tracer("app").start_as_current_span("look up"):
            return await call_next(call)

    vendor = FakeProvider([RateLimitError("slow down", retry_after_s=1), Scripted()])
    reply = await Pipeline([mine, Retry(attempts=2)], vendor, telemetry=telemetry, clock=FakeClock()).send(
        ask(stream=stream)
    )
    record = (await reply.response()).record if stream else reply.record
    spans = {span.context.span_id: span for span in exporter.get_finished_spans()}
    tree = sorted(f"{spans[s.parent.span_id].name if s.parent else ''}/{s.name}" for s in spans.values())
    assert tree == sorted(
        [
            "/chat m",
            "chat m/attempt",
            "chat m/attempt",
            "chat m/look up",
            "chat m/mine",
            "mine/Retry",
            "Retry/provider",
            "Retry/provider",
        ]
    )
    [call] = [span for span in spans.values() if span.name == "chat m"]
    assert f"{call.context.trace_id:032x}" == record.trace_id
    assert call.attributes["gen_ai" + ".usage.input_tokens"] == 10
    stages = [span for span in spans.values() if "glassway.self_s" in span.attributes]
    assert sum(span.attributes["glassway.self_s"] for span in stages) + record.consumer_s == pytest.approx(
        record.duration_s
    )


async def test_the_attempt_s_id_goes_upstream_from_a_foreign_provider_too(ask: Any, application: Any) -> None:
    provider, exporter = application
    sent: list[str | None] = []

    class Sending(FakeProvider):
        async def __call__(self, call: Call) -> Reply:
            sent.append(traceparent(call))
            return await super().__call__(call)

    await Pipeline([], Sending(), telemetry=Telemetry(registry=CollectorRegistry(), tracer_provider=provider)).send(
        ask()
    )
    [attempt] = [span for span in exporter.get_finished_spans() if span.name == "attempt"]
    assert sent == [
        f"00-{attempt.context.trace_id:032x}-{attempt.context.span_id:016x}-{attempt.context.trace_flags:02x}"
    ]
