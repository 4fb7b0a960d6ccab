"""A stream that breaks after output: failed, continued elsewhere, begun anew."""

from __future__ import annotations

import asyncio
import gc
from decimal import Decimal
from typing import Any

import pytest
from builders import Ends, ask, read_texts, server_error
from hypothesis import given
from hypothesis import strategies as st

from glassway import Client, Pipeline
from glassway.middlewares import Cache, Cost, Fallback, Hedge, Retry, Timeout
from glassway.middlewares.fallback.trim import Overlap, Repeat
from glassway.pipeline.call import NO_OPTIONS, CallOptions
from glassway.pipeline.errors import (
    APITimeoutError,
    BadRequestError,
    InternalServerError,
    RateLimitError,
    StreamInterruptedError,
)
from glassway.pipeline.facts import FALLBACKS, SPLICES, FellBack, Spliced
from glassway.pipeline.stream import Stream
from glassway.pipeline.types import ChatRequest, ResponseFormat, Usage, assemble_chat
from glassway.testing import FakeClock, FakeProvider, Scripted, scripted_tool_call
from glassway.testing.telemetry import assert_conformant, record_telemetry

pytestmark = pytest.mark.anyio

CUT = Scripted(text="The capital of France is Paris.", after_chunks=4)
"""Hands out "The capital of "."""

REST = Scripted(text="France is Paris.", usage=Usage(prompt_tokens=40, completion_tokens=4, total_tokens=44))


class Two:
    """A pipeline whose first vendor breaks."""

    def __init__(
        self, first: Any, *others: Any, stages: Any = (), inner: Any = (), telemetry: Any = False, **settings: Any
    ) -> None:
        self.one = FakeProvider([first], name="one")
        self.others = FakeProvider(list(others), name="other")
        self.ends = Ends()
        self.clock = settings.pop("clock", None) or FakeClock()
        more = {name: settings.pop(name) for name in ("attempts", "timeout_s") if name in settings}
        targets = settings.pop("targets", ["other/b", "other/c", "other/d"])
        settings = {"mid_stream": "continue", **settings}
        self.pipeline = Pipeline(
            [self.ends, *stages, Fallback(targets, **settings), *inner],
            providers=[self.one, self.others],
            clock=self.clock,
            telemetry=telemetry,
            **more,
        )

    async def stream(self, options: CallOptions = NO_OPTIONS, **fields: Any) -> Stream:
        reply = await self.pipeline.send(ask(stream=True, **fields), options)
        assert isinstance(reply, Stream)
        return reply

    async def chunks(self, **fields: Any) -> list[Any]:
        return [chunk async for chunk in await self.stream(**fields)]

    @property
    def spliced(self) -> Spliced:
        [spliced] = self.ends.record.get(SPLICES)
        return spliced

    def assert_closed(self) -> None:
        assert (self.one.open_streams, self.others.open_streams, self.pipeline.in_flight) == (0, 0, 0)


# -- the answer goes on


async def test_the_next_target_goes_on_and_the_consumer_sees_one_stream() -> None:
    two = Two(CUT, REST)
    chunks = await two.chunks()
    assert "".join(chunk.text for chunk in chunks) == "The capital of France is Paris."
    assert [choice.delta.role for chunk in chunks for choice in chunk.choices].count("assistant") == 1
    assert {(chunk.id, chunk.model, chunk.created) for chunk in chunks} == {("fake-1", "fake-model", 1)}
    assert [chunk.finish_reason for chunk in chunks if chunk.finish_reason] == ["stop"]
    assert two.spliced == Spliced("continue", "one/fake-model", "other/b", "stream_interrupted", 4, 15)
    assert two.ends.record.get(FALLBACKS) == (
        FellBack("one/fake-model", "other/b", "stream_interrupted", "mid_stream"),
    )
    assert two.ends.record.end == "completed"
    two.assert_closed()


async def test_the_first_chunk_of_the_second_half_says_so() -> None:
    chunks = await Two(CUT, REST).chunks()
    marks = [chunk.extra for chunk in chunks if chunk.extra]
    assert marks == [{"splice": {"policy": "continue", "from": "one/fake-model", "to": "other/b", "characters": 15}}]
    assert chunks[4].extra is not None


async def test_the_response_is_one_message() -> None:
    two = Two(CUT, REST)
    response: Any = await (await two.stream()).response()
    assert response.text == "The capital of France is Paris."
    assert (response.message.role, response.finish_reason, len(response.choices)) == ("assistant", "stop", 1)
    assert response.extra["splice"]["to"] == "other/b"


async def test_the_next_target_is_asked_with_the_text_so_far() -> None:
    two = Two(CUT, REST)
    await two.chunks(max_tokens=100)
    request = two.others.calls[0].request
    assert isinstance(request, ChatRequest)
    assert [(message.role, message.content) for message in request.messages[:-1]] == [
        ("user", "Hi"),
        ("assistant", "The capital of "),
    ]
    assert request.messages[-1].role == "user"
    assert "Go on exactly where it ends" in str(request.messages[-1].content)
    assert request.max_tokens == 97
    assert two.others.calls[0].reason == "fallback"
    assert (
        two.others.calls[0].state.request is None
    )  # what stages made of the request is not what was asked for the rest


async def test_what_the_second_half_repeats_is_left_out() -> None:
    two = Two(CUT, Scripted(text="capital of France is Paris."))
    assert "".join(chunk.text for chunk in await two.chunks()) == "The capital of France is Paris."


async def test_the_output_of_both_is_the_usage_and_both_are_billed() -> None:
    """Micro-dollars at 0.15 and 0.60 for a million: the first half's prompt and output by estimate, the second's as counted."""
    first = Scripted(text="one two three four five six", after_chunks=4)
    second = Scripted(text="four five six", usage=Usage(prompt_tokens=100, completion_tokens=10, total_tokens=110))
    one, other, ends = FakeProvider([first], name="openai"), FakeProvider([second], name="other"), Ends()
    fallback = Fallback(["openai/gpt-4o", "other/b"], mid_stream="continue")
    provider = FakeProvider([first, second], name="openai")
    pipeline = Pipeline([ends, Cost(), fallback], providers=[provider, other], clock=FakeClock(), telemetry=False)
    reply: Any = await pipeline.send(ask(model="openai/gpt-4o-mini", stream=True))
    response = await reply.response()
    assert response.text == "one two three four five six"
    assert (response.usage.prompt_tokens, response.usage.completion_tokens) == (8, 13)
    assert response.usage.total_tokens == 21
    assert ends.record.usage == response.usage
    cost = ends.record.cost
    assert cost is not None
    half = Decimal("0.0000012") + Decimal("0.0000018")  # 8 in, 3 out at gpt-4o-mini
    rest = Decimal("0.00025") + Decimal("0.0001")  # 100 in, 10 out at gpt-4o
    assert (cost.amount_usd, cost.wasted_usd, cost.status) == (half + rest, 0, "estimated")
    assert [(a.useful, a.written_tokens) for a in ends.record.attempts] == [(True, 3), (True, None)]
    assert one.calls == []


async def test_a_second_half_that_nobody_counted_is_estimated_by_its_own_text() -> None:
    second = Scripted(text="four five six", usage=None)
    provider, ends = FakeProvider([Scripted(text="one two three x", after_chunks=4), second], name="openai"), Ends()
    pipeline = Pipeline(
        [ends, Cost(), Fallback(["openai/gpt-4o"], mid_stream="continue")], provider, clock=FakeClock(), telemetry=False
    )
    await (await pipeline.send(ask(model="openai/gpt-4o-mini", stream=True))).response()  # type: ignore[union-attr]
    assert [a.written_tokens for a in ends.record.attempts] == [3, 3]


async def test_it_goes_on_as_often_as_there_are_targets() -> None:
    two = Two(
        Scripted(text="one two three four five", after_chunks=2),
        Scripted(text="two three four five", after_chunks=3),
        Scripted(text="four five"),
    )
    response: Any = await (await two.stream()).response()
    assert response.text == "one two three four five"
    assert [(s.target, s.chunks, s.characters) for s in two.ends.record.get(SPLICES)] == [
        ("other/b", 2, 4),
        ("other/c", 4, 14),
    ]
    assert [attempt.useful for attempt in two.ends.record.attempts] == [True, True, True]
    two.assert_closed()


async def test_a_target_that_does_not_begin_is_passed_over() -> None:
    two = Two(CUT, RateLimitError("slow"), REST)
    assert "".join(await read_texts(await two.stream())) == "The capital of France is Paris."
    assert two.spliced.target == "other/c"
    assert [move.error for move in two.ends.record.get(FALLBACKS)] == ["stream_interrupted", "rate_limited"]


async def test_when_nobody_goes_on_it_fails_as_it_broke_with_all_that_had_arrived() -> None:
    two = Two(CUT, server_error())
    with pytest.raises(StreamInterruptedError) as caught:
        await read_texts(await two.stream())
    partial: Any = caught.value.partial
    assert partial.text == "The capital of "
    assert (two.spliced.target, two.spliced.reason) == ("", "no_target")
    assert [attempt.useful for attempt in two.ends.record.attempts] == [False] * 4
    two.assert_closed()


async def test_when_the_last_half_breaks_the_partial_response_is_the_whole() -> None:
    two = Two(CUT, Scripted(text="France is Paris.", after_chunks=2), targets=["other/b"])
    with pytest.raises(StreamInterruptedError) as caught:
        await read_texts(await two.stream())
    partial: Any = caught.value.partial
    assert partial.text == "The capital of France "
    assert [s.reason for s in two.ends.record.get(SPLICES)] == ["", "no_target"]
    assert [attempt.useful for attempt in two.ends.record.attempts] == [False, False]
    two.assert_closed()


async def test_a_second_half_that_breaks_before_it_was_told_apart_is_followed_by_another() -> None:
    two = Two(CUT, Scripted(text="capital of France", after_chunks=2), REST)
    assert "".join(await read_texts(await two.stream())) == "The capital of France is Paris."


@pytest.mark.parametrize(
    "error", [server_error(), RateLimitError("slow"), None], ids=lambda error: type(error).__name__
)
async def test_any_failure_of_the_vendor_is_mended(error: Any) -> None:
    two = Two(Scripted(text=CUT.text, after_chunks=4, error=error), REST)
    assert "".join(await read_texts(await two.stream())) == "The capital of France is Paris."


async def test_a_stall_is_mended_where_a_timeout_says_what_one_is() -> None:
    one, other, ends = (
        FakeProvider([Scripted(text=CUT.text, gap_s=20)], name="one"),
        FakeProvider([REST], name="o"),
        Ends(),
    )
    stages = [ends, Fallback(["o/b"], mid_stream="continue"), Timeout(between_chunks_s=5)]
    pipeline = Pipeline(stages, providers=[one, other], clock=FakeClock(), telemetry=False)
    reply: Any = await pipeline.send(ask(stream=True))
    assert (await reply.response()).text == "France is Paris."
    assert ends.record.get(SPLICES)[0].error == "timeout"
    assert (one.open_streams, other.open_streams) == (0, 0)


async def test_after_the_deadline_nobody_goes_on() -> None:
    two = Two(Scripted(text=CUT.text, gap_s=3), REST)
    with pytest.raises(APITimeoutError, match="deadline"):
        await read_texts(await two.stream(CallOptions(timeout_s=4)))
    assert two.spliced.reason == "no_time_left"
    assert two.others.calls == []


async def test_beyond_the_attempt_budget_nobody_goes_on() -> None:
    two = Two(CUT, REST, attempts=1)
    with pytest.raises(StreamInterruptedError):
        await read_texts(await two.stream())
    assert two.spliced.reason == "attempt_budget_spent"


async def test_an_error_that_no_target_helps_is_raised_and_nothing_is_said() -> None:
    two = Two(Scripted(text=CUT.text, after_chunks=4, error=BadRequestError("bad")), REST)
    with pytest.raises(BadRequestError):
        await read_texts(await two.stream())
    assert two.ends.record.get(SPLICES) == ()


@pytest.mark.parametrize(
    ("script", "fields", "reason"),
    [
        (Scripted(text="a", tool_calls=[scripted_tool_call("f", "{}")] * 2, after_chunks=3), {}, "tool_call"),
        (CUT, {"response_format": ResponseFormat(type="json_object")}, "structured_output"),
        (CUT, {"n": 2}, "several_choices"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_what_cannot_be_continued_fails_and_says_why(script: Any, fields: Any, reason: str) -> None:
    two = Two(script, REST)
    with pytest.raises(StreamInterruptedError):
        await read_texts(await two.stream(**fields))
    assert (two.spliced.target, two.spliced.reason) == ("", reason)
    assert two.others.calls == []


async def test_by_default_it_fails() -> None:
    two = Two(CUT, REST, mid_stream="fail")
    with pytest.raises(StreamInterruptedError):
        await read_texts(await two.stream())
    assert two.others.calls == []


async def test_without_any_text_the_question_is_asked_again_and_the_role_is_not_said_twice() -> None:
    two = Two(Scripted(text="x", after_chunks=1), REST)
    chunks = await two.chunks()
    assert "".join(chunk.text for chunk in chunks) == "France is Paris."
    assert [choice.delta.role for chunk in chunks for choice in chunk.choices].count("assistant") == 1
    request = two.others.calls[0].request
    assert isinstance(request, ChatRequest)
    assert len(request.messages) == 1


# -- begun anew


async def test_a_second_answer_that_begins_the_same_is_handed_out_from_where_the_first_broke() -> None:
    whole = Scripted(text="The capital of France is Paris.", usage=Usage(prompt_tokens=9, completion_tokens=7))
    two = Two(CUT, whole, mid_stream="restart")
    chunks = await two.chunks()
    assert "".join(chunk.text for chunk in chunks) == "The capital of France is Paris."
    assert [choice.delta.role for chunk in chunks for choice in chunk.choices].count("assistant") == 1
    assert not any((chunk.extra or {}).get("splice", {}).get("supersedes") for chunk in chunks)
    assert len(two.others.calls[0].request.messages) == 1  # type: ignore[attr-defined]  # a chat
    assert [attempt.useful for attempt in two.ends.record.attempts] == [False, True]
    assert two.ends.record.usage == whole.usage
    assert two.spliced.policy == "restart"
    two.assert_closed()


async def test_a_second_answer_that_differs_voids_the_first_by_a_mark_and_the_response_is_the_second() -> None:
    two = Two(CUT, Scripted(text="The city is Paris."), mid_stream="restart")
    stream = await two.stream()
    chunks = [chunk async for chunk in stream]
    [mark] = [number for number, chunk in enumerate(chunks) if (chunk.extra or {}).get("splice")]
    assert mark == 4
    assert chunks[mark].extra["splice"] == {
        "policy": "restart",
        "from": "one/fake-model",
        "to": "other/b",
        "characters": 15,
        "supersedes": True,
    }
    assert "".join(chunk.text for chunk in chunks[mark:]) == "The city is Paris."
    response: Any = await stream.response()
    assert response.text == "The city is Paris."
    assert assemble_chat(chunks).text == "The city is Paris."


async def test_a_second_answer_that_is_shorter_than_what_was_said_voids_it() -> None:
    two = Two(CUT, Scripted(text="The capital"), mid_stream="restart")
    response: Any = await (await two.stream()).response()
    assert response.text == "The capital"


async def test_a_tool_call_under_way_can_be_begun_anew() -> None:
    call = scripted_tool_call("f", '{"a": 1}')
    first = Scripted(text="a", tool_calls=[call, call], after_chunks=3)
    two = Two(first, Scripted(text="b", tool_calls=[call]), mid_stream="restart")
    response: Any = await (await two.stream()).response()
    assert (response.text, len(response.tool_calls)) == ("b", 1)


async def test_beyond_so_much_output_nothing_begins_anew() -> None:
    two = Two(CUT, REST, mid_stream="restart", restart_under_tokens=2)
    with pytest.raises(StreamInterruptedError):
        await read_texts(await two.stream())
    assert two.spliced.reason == "too_much_output"


async def test_a_restart_that_breaks_is_begun_anew_once_more() -> None:
    broken = Scripted(text="The city of Paris.", after_chunks=3)
    two = Two(CUT, broken, Scripted(text="Paris."), mid_stream="restart")
    response: Any = await (await two.stream()).response()
    assert response.text == "Paris."
    assert [s.characters for s in two.ends.record.get(SPLICES)] == [15, 9]
    two.assert_closed()


# -- seen, and closed


async def test_it_is_seen_in_spans_and_metrics_and_every_moment_belongs_to_one_stage() -> None:
    with record_telemetry() as recorded:
        clock = FakeClock(tick_ns=10)
        slow = [Scripted(text=CUT.text, after_chunks=4, gap_s=1), Scripted(text=REST.text, delay_s=2, gap_s=1)]
        two = Two(*slow, telemetry=recorded.telemetry, clock=clock, inner=[Retry()])
        async for _ in await two.stream():
            clock.advance(0.5)
        spans = [span for span in recorded.spans if span.name == "Fallback"]
        assert len(spans) == 2
        events = [event.name for span in spans for event in span.events]
        assert sorted(events) == ["glassway.fallback", "glassway.splice"]
        assert len([span for span in recorded.spans if span.name == "attempt"]) == 2
        labels = 'error_type="stream_interrupted",policy="continue",source="one/fake-model"'
        assert recorded.metrics[f"glassway_splices_total{{{labels}}}"] == 1
        assert_conformant(recorded.spans, recorded.metrics)
        record = two.ends.record
        assert sum(run.self_s for run in record.stages) + record.consumer_s == pytest.approx(
            record.duration_s, abs=1e-7
        )
        times = {
            name: sum(run.self_s for run in record.stages if run.name == name) for name in ("Fallback", "provider")
        }
        assert times["provider"] == pytest.approx(11, abs=1e-4)  # 3 gaps and the cut; 2 s, 4 gaps and the end
        assert times["Fallback"] == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize("telemetry", [False, None], ids=["telemetry off", "telemetry on"])
@pytest.mark.parametrize("end", ["closed", "cancelled", "abandoned"])
@pytest.mark.parametrize("when", ["first half", "between", "second half"])
async def test_whoever_ends_it_ends_the_half_that_is_read(end: str, when: str, telemetry: Any) -> None:
    second = Scripted(text="France is Paris, and so on.", delay_s=5, gap_s=1)
    two = Two(Scripted(text=CUT.text, after_chunks=4, gap_s=1), second, telemetry=telemetry)
    at = {"first half": 2, "between": 4, "second half": 6}[when]

    async def consume() -> None:
        stream = await two.stream()
        for _ in range(at):
            await anext(stream)
        if end == "closed":
            await stream.aclose()
        elif end == "cancelled":
            await anext(stream)

    task = asyncio.ensure_future(consume())
    if end == "cancelled":
        await two.clock.sleep({"first half": 2, "between": 5.5, "second half": 10.5}[when] - 0.25)
        task.cancel()
    await asyncio.wait([task])
    del task
    gc.collect()
    for _ in range(10):
        await asyncio.sleep(0)
    two.assert_closed()
    assert two.ends.record.end == end
    assert all(attempt.end_ns for attempt in two.ends.record.attempts)


async def test_a_closed_stream_lets_its_halves_count_as_useful_before_the_bill_is_made() -> None:
    provider = FakeProvider([Scripted(text="one two three x", after_chunks=4), Scripted(text="x y z")], name="openai")
    ends = Ends()
    pipeline = Pipeline(
        [ends, Cost(), Fallback(["openai/gpt-4o"], mid_stream="continue")], provider, clock=FakeClock(), telemetry=False
    )
    stream: Any = await pipeline.send(ask(model="openai/gpt-4o-mini", stream=True))
    for _ in range(6):
        await anext(stream)
    await stream.aclose()
    assert [attempt.useful for attempt in ends.record.attempts] == [True, True]
    assert ends.record.cost is not None
    assert ends.record.cost.wasted_usd == 0


async def test_a_mended_stream_is_kept_by_no_cache() -> None:
    two = Two(CUT, REST, stages=[Cache()])
    await two.chunks()
    await two.chunks()
    assert len(two.one.calls) == 2


async def test_it_works_with_retry_and_hedge_inside() -> None:
    one, other, ends = FakeProvider([CUT], name="one"), FakeProvider([server_error(), REST], name="other"), Ends()
    stages = [ends, Fallback(["other/b"], mid_stream="continue"), Retry(initial_s=0), Hedge(after_s=5)]
    pipeline = Pipeline(stages, providers=[one, other], clock=FakeClock(), telemetry=False)
    reply: Any = await pipeline.send(ask(stream=True))
    assert (await reply.response()).text == "The capital of France is Paris."
    assert [attempt.reason for attempt in ends.record.attempts] == ["first", "fallback", "retry"]


def test_sync_code_sees_one_stream_too() -> None:
    one, other = FakeProvider([CUT], name="one"), FakeProvider([REST], name="other")
    with Client(Pipeline([Fallback(["other/b"], mid_stream="continue")], providers=[one, other])) as client:
        stream = client.chat("one/a", "Hi", stream=True)
        assert "".join(chunk.text for chunk in stream) == "The capital of France is Paris."
        assert stream.response().text == "The capital of France is Paris."


async def test_unary_answers_are_left_alone() -> None:
    two = Two(Scripted(text="whole"), REST)
    reply: Any = await two.pipeline.send(ask())
    assert reply.text == "whole"
    two = Two(InternalServerError("down"), REST)
    reply = await two.pipeline.send(ask())
    assert reply.text == REST.text


# -- the seam


@pytest.mark.parametrize(
    ("before", "after", "rest"),
    [
        ("The capital of ", "France", "France"),
        ("The capital of Fra", "France is", "nce is"),
        ("The capital of France", "The capital of France is", " is"),
        ("it is book", "keeper", "keeper"),
        ("one, ", ", two", ", two"),
        ("in 20", "2025", "2025"),
        ("    }\n", "    }\n}", "    }\n}"),
        ("said that", " that is", " is"),
        ("", "all of it", "all of it"),
        ("all of it", "all of it", ""),
    ],
)
@pytest.mark.parametrize("size", [1, 3, 100])
def test_what_was_said_is_not_said_again(before: str, after: str, rest: str, size: int) -> None:
    overlap = Overlap(before)
    pieces = [overlap.feed(after[start : start + size]) for start in range(0, len(after), size)]
    assert "".join([*pieces, overlap.flush()]) == rest


@given(st.text("ab c.\n", max_size=12), st.text("ab c.\n", max_size=12), st.lists(st.integers(1, 4), min_size=12))
def test_what_goes_out_does_not_depend_on_how_it_arrives(before: str, after: str, sizes: list[int]) -> None:
    def through(pieces: list[str]) -> str:
        overlap = Overlap(before)
        return "".join([*map(overlap.feed, pieces), overlap.flush()])

    pieces, rest = [], after
    for size in sizes:
        pieces.append(rest[:size])
        rest = rest[size:]
    whole = through([after])
    assert through(pieces) == whole
    assert after.endswith(whole)


@given(st.text("ab", max_size=6), st.text("ab", max_size=10), st.integers(1, 4))
def test_a_repetition_is_known_by_the_whole_of_what_was_said(before: str, after: str, size: int) -> None:
    repeat = Repeat(before)
    out = "".join(repeat.feed(after[start : start + size]) for start in range(0, len(after), size))
    if after.startswith(before) and len(after) >= len(before):
        assert out == after[len(before) :]
    elif repeat.repeats is False:
        assert out == after
    else:
        assert before.startswith(after)
        assert out == ""
