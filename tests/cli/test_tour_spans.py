"""What the tour leaves in traces and metrics: a picture of each call, names as declared, and the same money everywhere."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any, NamedTuple

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from syrupy.assertion import SnapshotAssertion

from glassway.cli.scenarios import SCENARIOS, ScenarioResult, run_scenario
from glassway.cli.stack import Bills, demo_pipeline
from glassway.pipeline.record import Record
from glassway.pipeline.telemetry import names
from glassway.providers.simulated import SimulatedServer, SimulatedVendor, Timing
from glassway.testing.telemetry import RecordedTelemetry, assert_conformant, record_telemetry, span_tree

pytestmark = [pytest.mark.anyio, pytest.mark.over_http]

VOLATILE = re.compile(r"(server\.port|age_s|wait_s)=[0-9.e-]+")


class Tour(NamedTuple):
    """Each scenario's result and spans, and what was counted over all of them."""

    results: dict[str, ScenarioResult]
    spans: dict[str, tuple[ReadableSpan, ...]]
    telemetry: RecordedTelemetry
    ledger: Bills

    @property
    def records(self) -> list[Record]:
        return [told.record for result in self.results.values() for told in result.calls]


@pytest.fixture(scope="module")
async def tour(anyio_backend: str) -> AsyncIterator[Tour]:
    ledger = Bills()
    results, spans = {}, {}
    with record_telemetry() as recorded:
        async with SimulatedServer(SimulatedVendor(timing=Timing(scale=0))) as server:
            pipeline = demo_pipeline(
                server.openai_base_url, server.base_url, telemetry=recorded.telemetry, ledger=ledger, waits=False
            )
            async with pipeline:
                for scenario in SCENARIOS:
                    seen = len(recorded.spans)
                    results[scenario.name] = await run_scenario(pipeline, scenario, run="spans", pause_s=0)
                    spans[scenario.name] = recorded.spans[seen:]
        yield Tour(results, spans, recorded, ledger)


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.parametrize("name", [scenario.name for scenario in SCENARIOS])
async def test_the_spans_of_a_scenario_are_these(tour: Tour, name: str, snapshot: SnapshotAssertion) -> None:
    assert VOLATILE.sub(r"\1=*", span_tree(tour.spans[name])) == snapshot


async def test_every_name_is_declared(tour: Tour) -> None:
    assert_conformant(tour.telemetry.spans, tour.telemetry.metrics)


async def test_spans_add_up_to_each_calls_duration(tour: Tour) -> None:
    checked = 0
    for spans in tour.spans.values():
        for call in (span for span in spans if names.CALL_ID.name in (span.attributes or {})):
            own = [span for span in spans if span.context.trace_id == call.context.trace_id]
            self_s = sum(_number(span, names.SELF_S.name) for span in own) + _number(call, names.CONSUMER_S.name)
            assert self_s == pytest.approx(((call.end_time or 0) - (call.start_time or 0)) / 1e9, abs=1e-6)
            checked += 1
    assert checked == len(tour.records) == len({span.context.trace_id for span in tour.telemetry.spans})


async def test_the_ledger_the_records_the_spans_and_the_counter_say_the_same_money(tour: Tour) -> None:
    records = sum((record.cost_usd or Decimal(0) for record in tour.records), Decimal(0))
    spans = sum(_number(span, names.COST_USD.name) for span in tour.telemetry.spans)
    counter = sum(value for name, value in tour.telemetry.metrics.items() if name.startswith(names.COST.prometheus))
    assert records > 0
    assert tour.ledger.total_usd == records
    assert spans == pytest.approx(float(records), abs=1e-6)
    assert counter == pytest.approx(float(records), abs=1e-6)


async def test_only_the_calls_own_span_has_usage(tour: Tour) -> None:
    counted = [span for span in tour.telemetry.spans if names.INPUT_TOKENS.name in (span.attributes or {})]
    assert {span.name.split(" ")[0] for span in counted} == {"chat"}
    assert sum(_number(span, names.INPUT_TOKENS.name) for span in counted) == sum(
        record.usage.prompt_tokens for record in tour.records if record.usage is not None
    )


def _number(span: ReadableSpan, name: str) -> float:
    value: Any = (span.attributes or {}).get(name, 0)
    return float(value)
