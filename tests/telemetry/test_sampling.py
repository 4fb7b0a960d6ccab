"""Which traces are kept: the head decision, and the judgement of the finished call."""

from __future__ import annotations

import contextlib
from decimal import Decimal
from typing import Any

import pytest
from opentelemetry import trace as api
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, TraceIdRatioBased

from glassway.middlewares import Fallback, Tracing
from glassway.pipeline.call import Call, CallOptions
from glassway.pipeline.errors import ConfigError, GuardrailViolation, InternalServerError
from glassway.pipeline.facts import COST, Cost
from glassway.pipeline.pipeline import Pipeline
from glassway.pipeline.stream import Handler, Reply
from glassway.pipeline.telemetry import Keep
from glassway.pipeline.telemetry.sampling import in_ratio
from glassway.testing import FakeClock, FakeProvider, Scripted
from glassway.testing.telemetry import record_telemetry

pytestmark = pytest.mark.anyio

DOWN = InternalServerError("down")


async def bill(call: Call, call_next: Handler) -> Reply:
    call.set(COST, Cost(Decimal("0.50"), "exact"))
    return await call_next(call)


async def block(call: Call, call_next: Handler) -> Reply:
    raise GuardrailViolation("no", rule="secrets")


CASES: dict[str, tuple[list[Any], list[Any], str | None]] = {
    "ordinary": ([], [FakeProvider()], None),
    "failed": ([], [FakeProvider([DOWN])], "error"),
    "slow": ([], [FakeProvider([Scripted(delay_s=5)])], "slow"),
    "costly": ([bill], [FakeProvider()], "cost"),
    "blocked": ([block], [FakeProvider()], "blocked"),
    "fallen back": ([Fallback(["other/m"])], [FakeProvider([DOWN]), FakeProvider(name="other")], "fallback"),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("where", ["process", "stage"])
async def test_a_finished_call_is_judged_by_how_it_ended(case: str, where: str, ask: Any) -> None:
    stages, providers, reason = CASES[case]
    keep = Keep(slow_s=2, cost_usd=0.4, ratio=0)
    with record_telemetry(keep=keep if where == "process" else None) as recorded:
        own = [Tracing(keep=keep)] if where == "stage" else []
        stack = Pipeline([*own, *stages], providers=providers, telemetry=recorded.telemetry, clock=FakeClock())
        with contextlib.suppress(GuardrailViolation, InternalServerError):
            await stack.send(ask())
    assert [span.attributes["glassway.kept"] for span in recorded.spans if span.parent is None] == (
        [reason] if reason else []
    )


async def test_the_share_of_ordinary_traces_is_about_the_ratio(ask: Any) -> None:
    with record_telemetry() as recorded:
        stack = Pipeline([Tracing(sample=0.25)], FakeProvider(), telemetry=recorded.telemetry)
        for _ in range(400):
            await stack.send(ask())
    kept = sum(span.parent is None for span in recorded.spans)
    assert 60 < kept < 140


def test_the_ratio_depends_on_the_trace_id_alone() -> None:
    assert in_ratio(0, 0.01)
    assert not in_ratio((1 << 56) - 1, 0.99)
    assert in_ratio((1 << 56) - 1, 1.0)
    assert not in_ratio(0, 0.0)


async def test_the_head_decision_is_the_sampler_s(ask: Any) -> None:
    with record_telemetry(sampler=ALWAYS_OFF) as recorded:
        reply = await Pipeline([], FakeProvider(), telemetry=recorded.telemetry).send(ask())
    assert recorded.spans == ()
    assert reply.trace_id is not None


async def test_an_sdk_ratio_sampler_decides_as_it_does_elsewhere(ask: Any) -> None:
    sampler = TraceIdRatioBased(0.5)
    with record_telemetry(sampler=sampler) as recorded:
        stack = Pipeline([], FakeProvider(), telemetry=recorded.telemetry)
        ids = [int((await stack.send(ask())).trace_id, 16) for _ in range(100)]
    expected = {i for i in ids if sampler.should_sample(None, i, "x").decision.name == "RECORD_AND_SAMPLE"}
    assert {span.context.trace_id for span in recorded.spans} == expected


async def test_a_trace_that_its_caller_sampled_is_kept_whatever_the_ratio(ask: Any) -> None:
    with record_telemetry(keep=Keep(ratio=0)) as recorded:
        options = CallOptions(traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
        await Pipeline([], FakeProvider(), telemetry=recorded.telemetry).send(ask(), options)
    assert recorded.spans[0].attributes["glassway.kept"] == "parent"


async def test_the_sampled_flag_inside_is_set_only_for_traces_that_are_certain_to_be_kept(ask: Any) -> None:
    flags: list[bool] = []

    async def look(call: Call, call_next: Handler) -> Reply:
        flags.append(api.get_current_span().get_span_context().trace_flags.sampled)
        return await call_next(call)

    for ratio in (0.0, 1.0):
        with record_telemetry() as recorded:
            await Pipeline([Tracing(sample=ratio), look], FakeProvider(), telemetry=recorded.telemetry).send(ask())
    assert flags == [False, True]


def test_a_ratio_outside_its_range_is_refused() -> None:
    with pytest.raises(ConfigError, match="from 0 to 1, found 20"):
        Keep(ratio=20)
