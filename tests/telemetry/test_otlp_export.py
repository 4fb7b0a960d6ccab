"""Traces arrive whole at a collector; a dead one costs a call nothing and every trace is accounted for."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import textwrap
import time
from typing import Any

import pytest
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from prometheus_client import CollectorRegistry

from glassway.middlewares import Retry, Tracing
from glassway.pipeline.errors import ConfigError, RateLimitError
from glassway.pipeline.pipeline import Pipeline
from glassway.pipeline.telemetry import Telemetry, setup
from glassway.testing import FakeClock, FakeProvider, Scripted

pytestmark = pytest.mark.anyio


def fresh(**settings: Any) -> Telemetry:
    return Telemetry(registry=CollectorRegistry(), delay_s=0.05, **settings)


class Deaf(SpanExporter):
    """Fails every export, or raises."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error

    def export(self, spans: Any) -> SpanExportResult:
        if self.error is not None:
            raise self.error
        return SpanExportResult.FAILURE

    def shutdown(self) -> None: ...


async def test_a_trace_arrives_complete_and_compressed(sink: Any, ask: Any) -> None:
    telemetry = setup(sink.url, service_name="shop", telemetry=fresh(), as_global=False, headers={"x-team": "a"})
    provider = FakeProvider([RateLimitError("slow down", retry_after_s=1), Scripted()])
    stack = Pipeline([Tracing(), Retry(attempts=2)], provider, telemetry=telemetry, clock=FakeClock())
    reply = await stack.send(ask(stream=True))
    record = (await reply.response()).record
    assert telemetry.flush(10)
    spans = {span.span_id: span for span in sink.spans}
    names = [f"{spans[s.parent_span_id].name if s.parent_span_id else ''}/{s.name}" for s in spans.values()]
    assert names == [
        "/chat m",
        "chat m/Tracing",
        "Tracing/Retry",
        "Retry/provider",
        "provider/attempt",
        "Retry/provider",
        "provider/attempt",
    ]
    assert {span.trace_id.hex() for span in spans.values()} == {record.trace_id}
    resource = {a.key: a.value.string_value for a in sink.exports[0].resource_spans[0].resource.attributes}
    assert resource["service.name"] == "shop"
    assert sink.headers[0]["content-encoding"] == "gzip"
    assert sink.headers[0]["x-team"] == "a"


async def test_only_the_call_s_span_carries_operation_and_usage(sink: Any, ask: Any) -> None:
    telemetry = setup(sink.url, telemetry=fresh(), as_global=False)
    provider = FakeProvider([RateLimitError("slow down", retry_after_s=1), Scripted()])
    await Pipeline([Retry(attempts=2)], provider, telemetry=telemetry, clock=FakeClock()).send(ask())
    telemetry.flush(10)
    marked = [s.name for s in sink.spans if any(a.key.startswith("gen_ai" + ".") for a in s.attributes)]
    assert marked == ["chat m"]


@pytest.mark.parametrize("exporter", [Deaf(), Deaf(RuntimeError("broken"))], ids=["refuses", "raises"])
async def test_a_failing_exporter_is_counted_and_hurts_nobody(exporter: Deaf, ask: Any, caplog: Any) -> None:
    telemetry = fresh(span_exporters=[exporter])
    stack = Pipeline([], FakeProvider(), telemetry=telemetry)
    for _ in range(5):
        assert (await stack.send(ask())).text
    assert telemetry.flush(10)
    counts = telemetry.trace_counts()
    assert (counts.failed, counts.exported, counts.dropped, counts.waiting) == (5, 0, 0, 0)
    assert 'glassway_telemetry_traces_total{outcome="failed"} 5.0' in telemetry.metrics_text()


async def test_a_full_queue_drops_whole_traces_and_counts_each(sink: Any, ask: Any) -> None:
    sink.hold.clear()
    telemetry = setup(sink.url, telemetry=fresh(queue_traces=10), as_global=False)
    stack = Pipeline([], FakeProvider(), telemetry=telemetry)
    started = time.perf_counter()
    for _ in range(50):
        await stack.send(ask())
    assert time.perf_counter() - started < 2
    counts = telemetry.trace_counts()
    assert counts.dropped == 40
    assert counts.waiting == 10
    sink.hold.set()
    assert telemetry.flush(10)
    counts = telemetry.trace_counts()
    assert (counts.exported, counts.failed, counts.dropped, counts.waiting) == (10, 0, 40, 0)
    assert len({span.trace_id for span in sink.spans}) == 10


async def test_a_collector_that_is_not_there_adds_nothing_to_a_call(ask: Any, caplog: Any) -> None:
    caplog.set_level(logging.CRITICAL, "opentelemetry")
    telemetry = setup("http://127.0.0.1:9", telemetry=fresh(), as_global=False, timeout_s=1)
    stack = Pipeline([], FakeProvider(), telemetry=telemetry)
    started = time.perf_counter()
    for _ in range(100):
        await stack.send(ask())
    assert time.perf_counter() - started < 1
    telemetry.flush(20)
    assert telemetry.trace_counts().failed == 100


async def test_a_flush_ends_at_its_deadline(sink: Any, ask: Any) -> None:
    sink.hold.clear()
    telemetry = setup(sink.url, telemetry=fresh(), as_global=False)
    await Pipeline([], FakeProvider(), telemetry=telemetry).send(ask())
    started = time.perf_counter()
    assert not telemetry.flush(0.2)
    assert 0.1 < time.perf_counter() - started < 2


def test_an_endpoint_that_is_no_url_is_refused() -> None:
    with pytest.raises(ConfigError, match="endpoint: expected an http"):
        setup("localhost:4318", telemetry=fresh())


PROGRAM = """
    import asyncio, os
    from glassway.pipeline.pipeline import Pipeline
    from glassway.pipeline.types import ChatRequest
    from glassway.testing import FakeProvider

    async def main():
        request = ChatRequest(model="fake/m", messages=[{"role": "user", "content": "x"}])
        return (await Pipeline([], FakeProvider()).send(request)).trace_id
"""


def run(body: str, **environ: str) -> str:
    program = textwrap.dedent(PROGRAM) + textwrap.dedent(body)
    done = subprocess.run(
        [sys.executable, "-c", program], env=os.environ | environ, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    return done.stdout.strip()


def test_the_standard_variables_are_enough_and_exit_flushes(sink: Any) -> None:
    trace_id = run("print(asyncio.run(main()))", OTEL_EXPORTER_OTLP_ENDPOINT=sink.url, OTEL_SERVICE_NAME="by-variable")
    assert {span.trace_id.hex() for span in sink.spans} == {trace_id}
    resource = {a.key: a.value.string_value for a in sink.exports[0].resource_spans[0].resource.attributes}
    assert resource["service.name"] == "by-variable"


def test_without_any_configuration_there_is_no_trace() -> None:
    assert run("print(asyncio.run(main()))") == "None"


def test_the_standard_sampler_variable_is_obeyed(sink: Any) -> None:
    run("asyncio.run(main())", OTEL_EXPORTER_OTLP_ENDPOINT=sink.url, OTEL_TRACES_SAMPLER="always_off")
    assert sink.spans == []


def test_a_process_does_not_hang_at_exit_on_a_dead_collector(sink: Any) -> None:
    sink.hold.clear()
    started = time.perf_counter()
    run("asyncio.run(main())", OTEL_EXPORTER_OTLP_ENDPOINT=sink.url)
    assert time.perf_counter() - started < 12


def test_a_forked_child_exports_its_own_traces_only(sink: Any) -> None:
    body = """
        parent = asyncio.run(main())
        child = os.fork()
        if child == 0:
            import atexit
            print("child", asyncio.run(main()), flush=True)
            atexit._run_exitfuncs()
            os._exit(0)
        os.waitpid(child, 0)
        print("parent", parent)
    """
    told = dict(line.split() for line in run(body, OTEL_EXPORTER_OTLP_ENDPOINT=sink.url).splitlines())
    arrived = [span.trace_id.hex() for span in sink.spans if span.name == "chat m"]
    assert sorted(arrived) == sorted(told.values())


def test_spans_of_the_application_go_the_same_way_under_the_call(sink: Any) -> None:
    body = """
        from glassway.pipeline.telemetry import setup
        from opentelemetry import trace
        async def mine(call, call_next):
            with trace.get_tracer("app").start_as_current_span("look up"):
                return await call_next(call)
        async def main():
            request = ChatRequest(model="fake/m", messages=[{"role": "user", "content": "x"}])
            await Pipeline([mine], FakeProvider()).send(request)
        setup()
        asyncio.run(main())
    """
    run(body, OTEL_EXPORTER_OTLP_ENDPOINT=sink.url)
    by_name = {span.name: span for span in sink.spans}
    assert by_name["look up"].parent_span_id == by_name["chat m"].span_id
