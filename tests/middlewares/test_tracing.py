"""Tracing adds meaning to the spans that every pipeline makes."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion

from glassway.middlewares import Cost, Fallback, Retry, Tracing
from glassway.pipeline.call import Call, CallOptions
from glassway.pipeline.errors import ConfigError, InternalServerError, PlanError, RateLimitError
from glassway.pipeline.facts import CACHE, CacheVerdict, Slot
from glassway.pipeline.pipeline import Pipeline
from glassway.pipeline.stream import Handler, Reply
from glassway.pipeline.telemetry import Keep, names
from glassway.pipeline.types import ChatRequest, ChatResponse, Choice, Message
from glassway.testing import FakeClock, FakeProvider, Scripted
from glassway.testing.telemetry import RecordedTelemetry, assert_conformant, record_telemetry, span_tree

pytestmark = pytest.mark.anyio

DOWN = InternalServerError("down")
LIMITED = RateLimitError("slow down", retry_after_s=2)


@pytest.fixture
def recorded() -> Iterator[RecordedTelemetry]:
    """Telemetry in memory."""
    with record_telemetry() as recording:
        yield recording


def request(*, stream: bool = False, **fields: Any) -> ChatRequest:
    return ChatRequest.model_validate(
        {"model": "fake/m", "stream": stream, "messages": [{"role": "user", "content": "Hello"}], **fields}
    )


async def test_the_request_s_parameters_are_on_the_call_s_span(recorded: Any) -> None:
    asked = request(temperature=0.2, seed=7, n=2, max_tokens=50, response_format={"type": "json_object"})
    await Pipeline([Tracing()], FakeProvider(), telemetry=recorded.telemetry).send(asked)
    attributes = recorded.spans[0].attributes
    shown = {
        name: attributes[name.name]
        for name in (names.TEMPERATURE, names.SEED, names.CHOICE_COUNT, names.MAX_TOKENS, names.OUTPUT_TYPE)
    }
    assert list(shown.values()) == [0.2, 7, 2, 50, "json"]
    assert names.TOP_P.name not in attributes
    assert_conformant(recorded.spans, recorded.metrics)


@pytest.mark.parametrize("stream", [False, True])
async def test_the_answer_s_marks_are_on_the_call_s_span(recorded: Any, stream: bool) -> None:
    reply = await Pipeline([Tracing()], FakeProvider(), telemetry=recorded.telemetry).send(request(stream=stream))
    if stream:
        await reply.response()
    attributes = recorded.spans[0].attributes
    assert attributes[names.FINISH_REASONS.name] == ["stop"]
    assert attributes[names.RESPONSE_MODEL.name] == "fake-model"
    assert attributes.get(names.STREAM.name) == (True if stream else None)
    assert_conformant(recorded.spans, recorded.metrics)


async def test_a_choice_that_was_cut_ends_in_error(recorded: Any) -> None:
    provider = FakeProvider([Scripted(after_chunks=3)])
    stream = await Pipeline([Tracing()], provider, telemetry=recorded.telemetry).send(request(stream=True))
    with pytest.raises(Exception, match="cut"):
        await stream.response()
    attributes = recorded.spans[0].attributes
    assert attributes[names.FINISH_REASONS.name] == ["error"]
    assert attributes[names.END.name] == "interrupted"
    assert recorded.spans[0].status.status_code.name == "ERROR"


async def test_that_the_caller_went_away_is_no_error(recorded: Any) -> None:
    stream = await Pipeline([Tracing()], FakeProvider(), telemetry=recorded.telemetry).send(request(stream=True))
    await stream.aclose()
    assert recorded.spans[0].status.status_code.name == "UNSET"
    assert recorded.spans[0].attributes[names.END.name] == "closed"
    assert names.ERROR_TYPE.name not in recorded.spans[0].attributes


async def test_a_conversation_is_named_by_the_caller_and_never_made_up(recorded: Any) -> None:
    stack = Pipeline([Tracing(metadata=("shop",))], FakeProvider(), telemetry=recorded.telemetry)
    await stack.send(request())
    await stack.send(request(), CallOptions(metadata={"conversation_id": "c-1", "shop": "north", "password": "x"}))
    without, named = (span.attributes for span in recorded.spans if span.parent is None)
    assert names.CONVERSATION.name not in without
    assert (named[names.CONVERSATION.name], named["glassway.metadata.shop"]) == ("c-1", "north")
    assert "glassway.metadata.password" not in named


async def test_a_hit_links_to_the_trace_that_filled_the_entry_and_spends_nothing(recorded: Any) -> None:
    kept: list[Any] = []

    async def cache(call: Call, call_next: Handler) -> Reply:
        if kept:
            origin, answer = kept[0]
            call.set(CACHE, CacheVerdict("hit", "k", saved_usd=Decimal("0.5"), origin_trace_id=origin))
            return answer
        reply = await call_next(call)
        kept.append(
            (
                f"{call.state.trace.trace_id:032x}",
                ChatResponse(choices=(Choice(message=Message(role="assistant", content="kept")),)),
            )
        )
        return reply

    stack = Pipeline([Tracing(), cache], FakeProvider(), telemetry=recorded.telemetry)
    await stack.send(request())
    await stack.send(request())
    filled, hit = (span for span in recorded.spans if span.parent is None)
    [link] = hit.links
    assert (link.context.trace_id, link.context.span_id) == (filled.context.trace_id, filled.context.span_id)
    assert names.INPUT_TOKENS.name not in hit.attributes
    assert hit.attributes[names.SAVED_USD.name] == 0.5
    assert_conformant(recorded.spans, recorded.metrics)


async def test_an_answer_from_the_cache_reports_no_usage_even_after_a_try_that_spent_some(recorded: Any) -> None:
    async def cache_at_last(call: Call, call_next: Handler) -> Reply:
        await call_next(call)
        call.set(CACHE, CacheVerdict("hit", "k"))
        return ChatResponse(choices=(Choice(message=Message(role="assistant", content="kept")),))

    await Pipeline([Tracing(), cache_at_last], FakeProvider(), telemetry=recorded.telemetry).send(request())
    call, attempt = recorded.spans[0], recorded.spans[-1]
    assert names.INPUT_TOKENS.name not in call.attributes
    assert attempt.attributes[names.ATTEMPT_INPUT.name] == 10


async def test_facts_of_a_user_s_stage_are_events(recorded: Any) -> None:
    basket: Slot[int] = Slot("basket", "How many things.")

    async def shop(call: Call, call_next: Handler) -> Reply:
        call.set(basket, 3)
        return await call_next(call)

    await Pipeline([shop], FakeProvider(), telemetry=recorded.telemetry).send(request())
    stage = next(span for span in recorded.spans if span.name == "shop")
    assert [(event.name, dict(event.attributes)) for event in stage.events] == [
        ("glassway.fact.basket", {"glassway.fact.basket.value": 3})
    ]


async def test_the_tree_of_a_retry_and_a_fallback(recorded: Any, snapshot: SnapshotAssertion) -> None:
    providers = [FakeProvider([LIMITED, DOWN]), FakeProvider([Scripted(delay_s=1, gap_s=0.1)], name="other")]
    stages = [Tracing(), Fallback(["other/n"]), Retry(attempts=2)]
    stack = Pipeline(stages, providers=providers, telemetry=recorded.telemetry, clock=FakeClock(tick_ns=1000))
    stream = await stack.send(request(stream=True))
    await stream.response()
    assert span_tree(recorded.spans) == snapshot
    assert_conformant(recorded.spans, recorded.metrics)


async def test_without_the_stage_there_are_spans_all_the_same(recorded: Any) -> None:
    await Pipeline([], FakeProvider(), telemetry=recorded.telemetry).send(request(temperature=0.2))
    assert [span.name for span in recorded.spans] == ["chat m", "provider", "attempt"]
    assert names.TEMPERATURE.name not in recorded.spans[0].attributes


async def test_it_does_nothing_where_no_trace_is_kept() -> None:
    reply = await Pipeline([Tracing(capture="span")], FakeProvider(), telemetry=False).send(request())
    assert reply.text


async def test_a_dry_run_makes_no_span(recorded: Any) -> None:
    found = await Pipeline([Tracing()], FakeProvider(), telemetry=recorded.telemetry).aexplain(request())
    assert found.reached_vendor
    assert recorded.spans == ()


@pytest.mark.parametrize("inner", [Retry(), Fallback(["other/n"]), Cost()], ids=lambda stage: type(stage).__name__)
def test_it_stands_outside_of_what_it_is_to_see(inner: Any) -> None:
    with pytest.raises(PlanError, match=r"Move (Tracing before|Cost after Tracing)"):
        Pipeline([inner, Tracing()], FakeProvider())


@pytest.mark.parametrize("wrong", [{"capture": "all"}, {"content_bytes": 3}, {"sample": 2}, {"keep": {"ratio": -1}}])
def test_settings_that_cannot_be_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="expected"):
        Tracing(**wrong)


def test_a_policy_may_be_written_as_in_a_configuration_file() -> None:
    assert Tracing(keep={"slow_s": 2.0}, sample=0.5) == Tracing(keep={"slow_s": 2.0}, sample=0.5)
    assert Tracing(keep=Keep(errors=False)) != Tracing()


async def test_what_is_not_as_declared_is_told(recorded: Any) -> None:
    async def wild(call: Call, call_next: Handler) -> Reply:
        from opentelemetry import trace

        trace.get_current_span().set_attribute("shop.basket", 3)
        return await call_next(call)

    await Pipeline([wild], FakeProvider(), telemetry=recorded.telemetry).send(request())
    with pytest.raises(AssertionError, match=r"shop\.basket is not declared"):
        assert_conformant(recorded.spans)
    with pytest.raises(AssertionError, match="is outside its closed values"):
        assert_conformant([], {'glassway_calls_total{end="vanished"}': 1})
