"""Trace context comes in by the caller's choice of trust, and goes out as `traceparent` alone."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry import baggage
from opentelemetry import context as api

from glassway.middlewares import Retry
from glassway.pipeline.attempts import traceparent
from glassway.pipeline.call import Call, CallOptions
from glassway.pipeline.errors import RateLimitError
from glassway.pipeline.pipeline import Pipeline
from glassway.pipeline.stream import Reply
from glassway.pipeline.telemetry.propagation import parse_traceparent, traceparent_of
from glassway.testing import FakeClock, FakeProvider, Scripted
from glassway.testing.telemetry import record_telemetry

pytestmark = pytest.mark.anyio

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SAMPLED, UNSAMPLED = f"00-{TRACE}-{SPAN}-01", f"00-{TRACE}-{SPAN}-00"


class Sending(FakeProvider):
    """Notes what would be sent upstream."""

    async def __call__(self, call: Call) -> Reply:
        sent.append((traceparent(call), dict(call.options.headers)))
        return await super().__call__(call)


sent: list[tuple[str | None, dict[str, str]]] = []


@pytest.fixture(autouse=True)
def _nothing_sent_yet() -> None:
    sent.clear()


async def test_a_trusted_caller_s_span_is_the_parent(recorded: Any, ask: Any) -> None:
    await Pipeline([], FakeProvider(), telemetry=recorded.telemetry).send(ask(), CallOptions(traceparent=SAMPLED))
    span = recorded.spans[0]
    assert f"{span.context.trace_id:032x}" == TRACE
    assert f"{span.parent.span_id:016x}" == SPAN


async def test_a_stranger_s_span_is_linked_and_no_parent(ask: Any) -> None:
    with record_telemetry(trust="link") as recorded:
        await Pipeline([], FakeProvider(), telemetry=recorded.telemetry).send(ask(), CallOptions(traceparent=SAMPLED))
    span = recorded.spans[0]
    assert span.parent is None
    assert f"{span.context.trace_id:032x}" != TRACE
    assert [f"{link.context.trace_id:032x}" for link in span.links] == [TRACE]


async def test_without_trust_a_caller_s_span_is_nothing(ask: Any) -> None:
    with record_telemetry(trust="never") as recorded:
        await Pipeline([], FakeProvider(), telemetry=recorded.telemetry).send(ask(), CallOptions(traceparent=SAMPLED))
    assert recorded.spans[0].parent is None
    assert recorded.spans[0].links == ()


async def test_a_caller_that_does_not_sample_is_followed_and_still_told_upstream(recorded: Any, ask: Any) -> None:
    await Pipeline([], Sending(), telemetry=recorded.telemetry).send(ask(), CallOptions(traceparent=UNSAMPLED))
    assert recorded.spans == ()
    assert sent[0][0].startswith(f"00-{TRACE}-")
    assert sent[0][0].endswith("-00")


async def test_each_attempt_sends_its_own_span_upstream(recorded: Any, ask: Any) -> None:
    provider = Sending([RateLimitError("slow down", retry_after_s=1), Scripted()])
    await Pipeline([Retry(attempts=2)], provider, telemetry=recorded.telemetry, clock=FakeClock()).send(ask())
    attempts = [span for span in recorded.spans if span.name == "attempt"]
    assert [header for header, _ in sent] == [
        f"00-{span.context.trace_id:032x}-{span.context.span_id:016x}-{span.context.trace_flags:02x}"
        for span in attempts
    ]


async def test_baggage_never_goes_to_a_vendor(recorded: Any, ask: Any) -> None:
    token = api.attach(baggage.set_baggage("user.email", "someone@example.com"))
    try:
        await Pipeline([], Sending(), telemetry=recorded.telemetry).send(ask(), CallOptions(traceparent=SAMPLED))
    finally:
        api.detach(token)
    assert "example.com" not in repr(sent)
    assert "example.com" not in repr([span.attributes for span in recorded.spans])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE}-{SPAN}",
    ],
)
def test_what_the_standard_calls_invalid_is_ignored(text: str) -> None:
    assert parse_traceparent(text) is None


def test_a_later_version_may_say_more() -> None:
    assert parse_traceparent(f"cc-{TRACE}-{SPAN}-01-what-the-future-brings") is not None


@pytest.mark.parametrize("name", ["traceparent", "Traceparent", "TRACEPARENT"])
def test_the_header_s_name_has_no_case(name: str) -> None:
    assert traceparent_of({"accept": "*/*", name: SAMPLED}) == SAMPLED
