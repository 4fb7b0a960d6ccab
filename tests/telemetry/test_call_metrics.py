"""What is counted of a call."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import textwrap
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from glassway.middlewares import Fallback, Retry
from glassway.pipeline.call import Call, CallOptions
from glassway.pipeline.errors import GuardrailViolation, InternalServerError, NotFoundError, RateLimitError
from glassway.pipeline.facts import CACHE, COST, GUARDRAILS, CacheVerdict, Cost, GuardrailVerdict
from glassway.pipeline.outcome import Outcome, notify
from glassway.pipeline.pipeline import Pipeline
from glassway.pipeline.stream import Handler, Reply
from glassway.pipeline.telemetry import Keep, Telemetry
from glassway.pipeline.types import CompletionTokensDetails, PromptTokensDetails, Usage
from glassway.testing import FakeClock, FakeProvider, Scripted
from glassway.testing.telemetry import assert_conformant, record_telemetry

pytestmark = pytest.mark.anyio

LIMITED = RateLimitError("slow down", retry_after_s=3)


def only(metrics: dict[str, float], family: str) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if name.startswith(family)}


async def test_a_call_is_counted_once_with_its_end(recorded: Any, ask: Any) -> None:
    await Pipeline([], FakeProvider(), telemetry=recorded.telemetry).send(ask())
    assert only(recorded.metrics, "glassway_calls_total") == {
        'glassway_calls_total{end="completed",model="m",operation="chat",provider="fake"}': 1
    }
    assert (
        recorded.metrics[
            'glassway_call_duration_seconds_count{model="m",operation="chat",provider="fake",stream="false"}'
        ]
        == 1
    )
    assert_conformant(recorded.spans, recorded.metrics)


async def test_a_failure_is_counted_under_its_closed_kind(recorded: Any, ask: Any) -> None:
    with pytest.raises(InternalServerError):
        await Pipeline([], FakeProvider([InternalServerError("down")]), telemetry=recorded.telemetry).send(ask())
    labels = 'end="failed",error_type="server_error",model="m",operation="chat",provider="fake"'
    assert recorded.metrics[f"glassway_calls_total{{{labels}}}"] == 1


@pytest.mark.parametrize("stream", [False, True])
async def test_retries_never_count_tokens_twice(recorded: Any, ask: Any, stream: bool) -> None:
    provider = FakeProvider([LIMITED, LIMITED, Scripted(usage=Usage(prompt_tokens=100, completion_tokens=7))])
    stack = Pipeline([Retry(attempts=5)], provider, telemetry=recorded.telemetry, clock=FakeClock())
    reply = await stack.send(ask(stream=stream))
    if stream:
        await reply.response()
    metrics = recorded.metrics
    assert only(metrics, "glassway_tokens_total") == {
        'glassway_tokens_total{model="m",provider="fake",type="input",useful="true"}': 100,
        'glassway_tokens_total{model="m",provider="fake",type="output",useful="true"}': 7,
    }
    assert sum(only(metrics, "glassway_attempts_total").values()) == 3
    assert (
        metrics['glassway_retries_total{error_type="rate_limited",model="m",provider="fake",told_by="retry_after"}']
        == 2
    )
    assert metrics['glassway_retry_wait_seconds_total{told_by="retry_after"}'] == 6


async def test_tokens_of_an_attempt_that_bought_nothing_are_waste(recorded: Any, ask: Any) -> None:
    class Charging(FakeProvider):
        async def __call__(self, call: Call) -> Reply:
            if call.attempt is not None and call.attempt.number == 1:
                call.attempt.usage = Usage(prompt_tokens=50)
            return await super().__call__(call)

    stack = Pipeline(
        [Retry(attempts=2)], Charging([LIMITED, Scripted()]), telemetry=recorded.telemetry, clock=FakeClock()
    )
    await stack.send(ask())
    metrics = recorded.metrics
    assert metrics['glassway_tokens_total{model="m",provider="fake",type="input",useful="false"}'] == 50
    assert metrics['glassway_tokens_total{model="m",provider="fake",type="input",useful="true"}'] == 10


async def test_parts_of_tokens_and_contradictions_are_counted(recorded: Any, ask: Any) -> None:
    usage = Usage(
        prompt_tokens=10,
        completion_tokens=5,
        prompt_tokens_details=PromptTokensDetails(cached_tokens=8, cache_write_tokens=4),
        completion_tokens_details=CompletionTokensDetails(reasoning_tokens=3),
    )
    await Pipeline([], FakeProvider([Scripted(usage=usage)]), telemetry=recorded.telemetry).send(ask())
    tokens = only(recorded.metrics, "glassway_tokens_total")
    assert {name.split('type="')[1].split('"')[0]: value for name, value in tokens.items()} == {
        "input": 10,
        "output": 5,
        "cache_read": 8,
        "cache_write": 4,
        "reasoning": 3,
    }
    assert recorded.metrics['glassway_usage_anomalies_total{anomaly="cached_exceeds_prompt",provider="fake"}'] == 1


async def test_money_is_split_into_useful_wasted_and_saved(recorded: Any, ask: Any) -> None:
    async def bill(call: Call, call_next: Handler) -> Reply:
        reply = await call_next(call)
        call.set(
            COST,
            Cost(Decimal("0.30"), "exact", wasted_usd=Decimal("0.10"), saved_usd=Decimal("0.05"), unpriced=("x/y",)),
        )
        return reply

    stack = Pipeline([bill], FakeProvider(), telemetry=recorded.telemetry)
    await stack.send(ask(), CallOptions(tenant="acme"))
    metrics = recorded.metrics
    assert metrics['glassway_cost_usd_total{model="m",provider="fake",status="exact",useful="true"}'] == pytest.approx(
        0.20
    )
    assert metrics['glassway_cost_usd_total{model="m",provider="fake",status="exact",useful="false"}'] == pytest.approx(
        0.10
    )
    assert metrics['glassway_saved_usd_total{model="m",provider="fake"}'] == pytest.approx(0.05)
    assert metrics['glassway_unpriced_calls_total{model="m",provider="fake"}'] == 1
    assert metrics['glassway_tenant_cost_usd_total{tenant="acme"}'] == pytest.approx(0.30)
    assert metrics['glassway_tenant_calls_total{end="completed",tenant="acme"}'] == 1


async def test_verdicts_and_moves_are_counted(recorded: Any, ask: Any) -> None:
    async def judge(call: Call, call_next: Handler) -> Reply:
        call.add(GUARDRAILS, GuardrailVerdict("secrets", "input", "redacted", 2))
        call.set(CACHE, CacheVerdict("miss"))
        return await call_next(call)

    providers = [FakeProvider([InternalServerError("down")]), FakeProvider(name="other")]
    await Pipeline([judge, Fallback(["other/n"])], providers=providers, telemetry=recorded.telemetry).send(ask())
    metrics = recorded.metrics
    assert metrics['glassway_guardrail_verdicts_total{rule="secrets",side="input",verdict="redacted"}'] == 1
    assert metrics['glassway_cache_verdicts_total{verdict="miss"}'] == 1
    moves = only(metrics, "glassway_fallbacks_total")
    assert moves == {
        'glassway_fallbacks_total{end="completed",error_type="server_error",source="fake/m",target="other/n"}': 1
    }
    assert_conformant(recorded.spans, metrics)


async def test_an_open_stream_is_in_flight_until_its_end(recorded: Any, ask: Any) -> None:
    stream = await Pipeline([], FakeProvider(), telemetry=recorded.telemetry).send(ask(stream=True))
    assert recorded.metrics['glassway_calls_in_flight{stream="true"}'] == 1
    await stream.aclose()
    assert recorded.metrics['glassway_calls_in_flight{stream="true"}'] == 0


async def test_ten_thousand_model_names_make_no_more_series_than_the_bound(ask: Any) -> None:
    registry = CollectorRegistry()
    stack = Pipeline([], FakeProvider(), telemetry=Telemetry(registry=registry, label_limits={"model": 20}))
    for number in range(10_000):
        await stack.send(ask(model=f"fake/model-{number}"))
    calls = next(family for family in registry.collect() if family.name == "glassway_calls")
    counted = {sample.labels["model"]: sample.value for sample in calls.samples}
    assert len(counted) == 21
    assert counted["other"] == 10_000 - 20


async def test_a_model_that_nobody_has_takes_no_place_in_the_bound(ask: Any) -> None:
    registry = CollectorRegistry()
    telemetry = Telemetry(registry=registry, label_limits={"model": 1})
    with pytest.raises(NotFoundError):
        await Pipeline([], FakeProvider([NotFoundError("no such model")]), telemetry=telemetry).send(
            ask(model="made-up")
        )
    await Pipeline([], FakeProvider(), telemetry=telemetry).send(ask(model="real"))
    text = telemetry.metrics_text()
    assert 'model="real"' in text
    assert "made-up" not in text


async def test_only_kept_traces_become_exemplars(ask: Any) -> None:
    with record_telemetry(keep=Keep(ratio=0)) as recorded:
        stack = Pipeline([], FakeProvider(), telemetry=recorded.telemetry)
        await stack.send(ask())
        assert "trace_id" not in generate_latest(recorded.telemetry.registry).decode()
    with record_telemetry() as recorded:
        reply = await Pipeline([], FakeProvider(), telemetry=recorded.telemetry).send(ask())
        shown = generate_latest(recorded.telemetry.registry).decode()
        assert f'trace_id="{reply.trace_id}"' in shown


async def test_a_block_without_any_attempt_is_counted_under_the_target(recorded: Any, ask: Any) -> None:
    async def block(call: Call, call_next: Handler) -> Reply:
        raise GuardrailViolation("no", rule="secrets")

    with pytest.raises(GuardrailViolation):
        await Pipeline([block], FakeProvider(), telemetry=recorded.telemetry).send(ask())
    [name] = only(recorded.metrics, "glassway_calls_total")
    assert 'error_type="guardrail_blocked"' in name


async def test_telemetry_without_metrics_and_traces_costs_no_frame(ask: Any) -> None:
    reply = await Pipeline([], FakeProvider(), telemetry=Telemetry(metrics=False)).send(ask())
    assert reply.record.trace is None


async def test_two_telemetries_share_the_families_of_a_registry(ask: Any) -> None:
    registry = CollectorRegistry()
    for _ in range(2):
        await Pipeline([], FakeProvider(), telemetry=Telemetry(registry=registry)).send(ask())
    assert sum(v for n, v in _samples(registry).items() if n.startswith("glassway_calls_total")) == 2


async def test_observers_that_raise_are_counted(recorded: Any, ask: Any) -> None:
    await Pipeline([], FakeProvider(), telemetry=recorded.telemetry).send(ask())
    before = recorded.metrics["glassway_observer_failures_total"]
    notify(lambda _: 1 / 0, Outcome("completed"))
    assert recorded.metrics["glassway_observer_failures_total"] == before + 1


async def test_the_exposition_is_what_prometheus_parses(recorded: Any, ask: Any) -> None:
    await Pipeline([], FakeProvider(), telemetry=recorded.telemetry).send(ask())
    families = list(text_string_to_metric_families(recorded.telemetry.metrics_text()))
    duration = next(family for family in families if family.name == "glassway_call_duration_seconds")
    bounds = [sample.labels["le"] for sample in duration.samples if sample.name.endswith("_bucket")]
    assert bounds[-1] == "+Inf"
    assert "1.0" in bounds


async def test_counting_from_several_threads_loses_nothing(recorded: Any, ask: Any) -> None:
    stack = Pipeline([], FakeProvider(), telemetry=recorded.telemetry)

    def many() -> None:
        asyncio.run(_send(stack, ask(), 200))

    await asyncio.gather(*(asyncio.to_thread(many) for _ in range(4)))
    assert sum(only(recorded.metrics, "glassway_calls_total").values()) == 800


@pytest.mark.parametrize(
    ("generation", "duration", "tokens"),
    [
        ("g2", "client_operation_duration_seconds_count", "client_token_usage_sum"),
        ("g3", "client_inference_duration_seconds_count", "client_inference_usage_input_tokens_total"),
    ],
)
async def test_each_generation_of_the_conventions_has_its_own_names(
    ask: Any, generation: Any, duration: str, tokens: str
) -> None:
    with record_telemetry(generation=generation) as recorded:
        stream = await Pipeline([], FakeProvider(), telemetry=recorded.telemetry).send(ask(stream=True))
        await stream.response()
        metrics = recorded.metrics
        assert sum(value for name, value in metrics.items() if duration in name) == 1
        assert sum(value for name, value in metrics.items() if tokens in name and ("input" in name)) == 10
        assert_conformant(recorded.spans, metrics, generation=generation)


async def _send(stack: Pipeline, request: Any, times: int) -> None:
    for _ in range(times):
        await stack.send(request)


def _samples(registry: CollectorRegistry) -> dict[str, float]:
    return {f"{s.name}{s.labels}": s.value for family in registry.collect() for s in family.samples}


async def test_the_same_numbers_go_to_opentelemetry_instruments(ask: Any) -> None:
    reader = InMemoryMetricReader()
    telemetry = Telemetry(
        registry=CollectorRegistry(),
        meter_provider=MeterProvider([reader], shutdown_on_exit=False),
        span_exporters=[InMemorySpanExporter()],
    )
    stream = await Pipeline([], FakeProvider(), telemetry=telemetry).send(ask(stream=True))
    trace_id = (await stream.response()).trace_id
    found = {m.name: m for r in reader.get_metrics_data().resource_metrics for s in r.scope_metrics for m in s.metrics}
    assert found["glassway.calls"].data.data_points[0].value == 1
    assert dict(found["glassway.calls"].data.data_points[0].attributes)["model"] == "m"
    [duration] = found["glassway.call.duration"].data.data_points
    assert [f"{exemplar.trace_id:032x}" for exemplar in duration.exemplars] == [trace_id]


def test_several_processes_count_into_the_client_s_files(tmp_path: Path) -> None:
    program = """
        import asyncio, sys
        from prometheus_client import CollectorRegistry, generate_latest, multiprocess
        from glassway.pipeline.pipeline import Pipeline
        from glassway.pipeline.types import ChatRequest
        from glassway.testing import FakeProvider
        request = ChatRequest(model="fake/m", messages=[{"role": "user", "content": "x"}])
        asyncio.run(Pipeline([], FakeProvider()).send(request))
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)
        print(generate_latest(registry).decode())
    """
    environ = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    for times in (1, 2):
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(program)], env=environ, capture_output=True, text=True, timeout=60
        )
        assert f'operation="chat",provider="fake"}} {times}.0' in done.stdout, done.stderr
