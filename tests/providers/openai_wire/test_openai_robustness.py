"""Whatever a server sends, the codec raises our errors and no others; and the small print of answers and errors."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic_core import to_json

from glassway.pipeline.call import Call
from glassway.pipeline.errors import (
    APIError,
    APIStatusError,
    InternalServerError,
    RateLimitError,
    StreamInterruptedError,
)
from glassway.pipeline.types import ChatRequest, ChatResponse
from glassway.providers.codecs.openai import OpenAICodec
from glassway.providers.dialect import MISTRAL, OPENROUTER
from glassway.providers.retry_after import retry_after_s, seconds_in_message

CODEC = OpenAICodec()
CALL = Call.start(ChatRequest.model_validate({"model": "m", "messages": [{"role": "user", "content": "x"}]}))

NAMES = [
    *("id", "model", "created", "choices", "index", "delta", "message", "content", "role", "tool_calls", "function"),
    *("name", "arguments", "finish_reason", "usage", "prompt_tokens", "error", "code", "type", "detail", "loc", "msg"),
    *("reasoning", "reasoning_details", "logprobs", "x_groq", "prompt_tokens_details", "annotations", "audio", "text"),
]
anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-9, 999)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["", "stop", "text", "thinking", "429"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=5),
    max_leaves=12,
)


def streamed(body: bytes) -> ChatResponse:
    decoder = CODEC.decoder(CALL)
    return CODEC.assemble(CALL, [*decoder.feed(body), *decoder.finish()])


@given(anything)
@settings(max_examples=300, deadline=None)
def test_any_json_is_an_answer_or_our_error(value: Any) -> None:
    for body in (value, {"choices": [{"message": value}]}, {"choices": value}, {"choices": [], "usage": value}):
        with contextlib.suppress(APIError):
            assert isinstance(CODEC.decode(CALL, to_json(body)), ChatResponse)


@given(anything)
@settings(max_examples=300, deadline=None)
def test_any_json_in_a_stream_is_a_chunk_or_our_error(value: Any) -> None:
    for body in (value, {"choices": [{"delta": value}]}, {"choices": value}, {"choices": [], "usage": value}):
        decoder = CODEC.decoder(CALL)
        with contextlib.suppress(APIError):
            CODEC.assemble(CALL, [*decoder.feed(b"data: " + to_json(body) + b"\n\n"), *decoder.finish()])


@given(anything, st.sampled_from([400, 401, 404, 429, 500, 529]))
@settings(max_examples=300, deadline=None)
def test_any_error_body_is_an_error_with_its_status(value: Any, status: int) -> None:
    for body in (value, {"error": value}):
        error = CODEC.error(status, {}, to_json(body))
        assert isinstance(error, APIStatusError)
        assert error.status_code == status


@given(st.binary(max_size=200))
def test_any_bytes_are_our_errors(body: bytes) -> None:
    assert CODEC.error(500, {}, body).status_code == 500
    with pytest.raises(APIError):
        CODEC.decode(CALL, body)
    with pytest.raises(APIError):
        streamed(body)


# -- answers


def answer(choice: dict[str, Any], codec: OpenAICodec = CODEC) -> ChatResponse:
    return codec.decode(
        CALL, to_json({"id": "1", "model": "m", "choices": [{"index": 0, "finish_reason": "stop", **choice}]})
    )


@pytest.mark.parametrize(
    ("native", "ours"),
    [
        ("stop", "stop"),
        ("eos", "stop"),
        ("model_length", "length"),
        ("function_call", "tool_calls"),
        ("content_filter", "content_filter"),
        ("new", "stop"),
    ],
)
def test_finish_reasons_are_ours_with_the_vendors_word_beside(native: str, ours: str) -> None:
    got = answer({"finish_reason": native, "message": {"role": "assistant", "content": "x"}}).choices[0]
    assert (got.finish_reason, got.native_finish_reason) == (ours, native)


@pytest.mark.parametrize("native", ["error", "abort", "insufficient_system_resource"])
def test_an_answer_that_the_vendor_broke_off_is_an_error(native: str) -> None:
    with pytest.raises(InternalServerError, match=native):
        answer({"finish_reason": native, "message": {"role": "assistant", "content": "x"}})
    decoder = CODEC.decoder(CALL)
    with pytest.raises(StreamInterruptedError, match=native):
        decoder.feed(b"data: " + to_json({"choices": [{"index": 0, "delta": {}, "finish_reason": native}]}) + b"\n\n")


def test_arguments_that_come_as_an_object_are_text() -> None:
    calls = [{"id": "1", "type": "function", "function": {"name": "f", "arguments": {"a": 1}}}]
    got = answer({"message": {"role": "assistant", "content": None, "tool_calls": calls}})
    assert got.tool_calls[0].function is not None
    assert got.tool_calls[0].function.arguments == '{"a":1}'


def test_parts_that_are_more_than_text_stay_parts() -> None:
    parts = [{"type": "text", "text": "see"}, {"type": "reference", "reference_ids": [1]}]
    got = answer({"message": {"role": "assistant", "content": parts}}, OpenAICodec(MISTRAL))
    assert (got.text, got.message.to_dict()["content"]) == ("see", parts)


def test_reasoning_under_both_names_comes_once() -> None:
    got = answer({"message": {"role": "assistant", "content": "4", "reasoning": "r", "reasoning_content": "r"}})
    assert (got.reasoning, got.message.extra) == ("r", {})


def stream(*deltas: dict[str, Any], codec: OpenAICodec = CODEC) -> ChatResponse:
    pieces = [{"index": 0, "delta": delta} for delta in deltas] + [{"index": 0, "delta": {}, "finish_reason": "stop"}]
    events = b"".join(b"data: " + to_json({"id": "1", "model": "m", "choices": [piece]}) + b"\n\n" for piece in pieces)
    decoder = codec.decoder(CALL)
    return codec.assemble(CALL, [*decoder.feed(events), *decoder.finish()])


def tool(**fields: Any) -> dict[str, Any]:
    return {"tool_calls": [fields]}


def test_tool_calls_without_an_index_are_told_apart_by_their_ids() -> None:
    got = stream(
        tool(id="a", function={"name": "f", "arguments": "{"}),
        tool(function={"arguments": "}"}),
        tool(id="b", function={"name": "g", "arguments": {}}),
    )
    assert [(c.id, c.function and c.function.arguments) for c in got.tool_calls] == [("a", "{}"), ("b", "{}")]


def test_reasoning_blocks_without_an_index_are_told_apart_by_their_ids() -> None:
    details = [
        {"type": "reasoning.text", "id": "a", "text": "x"},
        {"type": "reasoning.text", "text": "y"},
        {"type": "reasoning.text", "id": "b", "text": "z"},
    ]
    got = stream(*({"reasoning_details": [detail]} for detail in details), codec=OpenAICodec(OPENROUTER))
    assert [(b.id, b.text) for b in got.message.reasoning_blocks or ()] == [("a", "xy"), ("b", "z")]


def test_every_choice_needs_its_finish_reason() -> None:
    decoder = CODEC.decoder(CALL)
    for index, finish in ((0, None), (1, None), (0, "stop")):
        choice = {"index": index, "delta": {"content": "x"}, "finish_reason": finish}
        decoder.feed(b"data: " + to_json({"choices": [choice]}) + b"\n\n")
    with pytest.raises(StreamInterruptedError):
        decoder.finish()


def test_unknown_fields_of_chunks_choices_and_deltas_are_kept() -> None:
    event = {
        "id": "1",
        "citations": ["u"],
        "choices": [
            {"index": 0, "content_filter_results": {"a": 1}, "delta": {"executed_tools": [1]}, "finish_reason": "stop"}
        ],
    }
    decoder = CODEC.decoder(CALL)
    got = CODEC.assemble(CALL, decoder.feed(b"data: " + to_json(event) + b"\n\n"))
    assert got.extra == {"citations": ["u"]}
    assert got.choices[0].extra == {"content_filter_results": {"a": 1}}
    assert got.message.extra == {"executed_tools": [1]}


# -- when to come back


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": "-1"}, 0.0),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after-ms": "250"}, 0.25),
        ({"retry-after": "1", "retry-after-ms": "0"}, 1.0),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:30 GMT", "date": "Wed, 21 Oct 2015 07:28:00 GMT"}, 30.0),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        ({"x-ratelimit-reset-tokens": "2m59.56s"}, 179.56),
        ({"x-ratelimit-reset-requests": "12ms", "x-ratelimit-reset-tokens": "6s"}, 6.0),
        (
            {
                "x-ratelimit-reset-requests": "9s",
                "x-ratelimit-remaining-requests": "4",
                "x-ratelimit-reset-tokens": "6s",
                "x-ratelimit-remaining-tokens": "0",
            },
            6.0,
        ),
    ],
)
def test_when_to_come_back(headers: dict[str, str], seconds: float | None) -> None:
    found = retry_after_s(headers, exhausted=True)
    assert found == (None if seconds is None else pytest.approx(seconds))


def test_reset_times_mean_nothing_while_there_is_room() -> None:
    assert retry_after_s({"x-ratelimit-reset-tokens": "6s"}) is None


def test_the_message_may_say_when() -> None:
    assert seconds_in_message("Please try again in 9.8s. Visit") == pytest.approx(9.8)
    assert seconds_in_message("Please try again in 1m30s.") == pytest.approx(90.0)
    assert seconds_in_message("Please retry after 7 seconds. To") == pytest.approx(7.0)
    assert seconds_in_message("Please try again later") is None


def error(status: int, body: Any, **headers: str) -> APIStatusError:
    found = CODEC.error(status, {name.replace("_", "-"): value for name, value in headers.items()}, to_json(body))
    assert isinstance(found, APIStatusError)
    return found


@pytest.mark.parametrize(
    ("body", "retryable"),
    [
        (
            {
                "error": {
                    "code": "rate_limit_exceeded",
                    "type": "tokens",
                    "message": "Rate limit reached. Please try again in 9.8s.",
                }
            },
            True,
        ),
        ({"error": {"code": "insufficient_quota", "type": "insufficient_quota", "message": "You exceeded"}}, False),
        (
            {"error": {"code": "rate_limit_exceeded", "type": "tokens", "message": "Request too large for gpt-4o"}},
            False,
        ),
        ({"error": {"code": "429", "message": "Please retry after 86400 seconds"}}, True),
        ({"object": "error", "message": "Rate limit exceeded", "type": "rate_limited", "code": "1300"}, True),
        ("Too many requests", True),
    ],
)
def test_a_429_is_worth_a_retry_unless_the_quota_is_used_up(body: Any, retryable: bool) -> None:
    found = error(429, body)
    assert (type(found), found.retryable) == (RateLimitError, retryable)


def test_a_429_takes_its_wait_from_the_message_where_no_header_has_it() -> None:
    assert error(429, {"error": {"message": "Please try again in 4.77s"}}).retry_after_s == pytest.approx(4.77)
    assert error(429, {"error": {"message": "Please try again in 4.77s"}}, retry_after="2").retry_after_s == 2.0


@pytest.mark.parametrize(("told", "retryable"), [("true", True), ("false", False)])
def test_the_vendor_may_say_itself_whether_to_retry(told: str, retryable: bool) -> None:
    assert error(500, {}, x_should_retry=told).retryable is retryable


@pytest.mark.parametrize(
    ("status", "retryable"),
    [
        (400, False),
        (401, False),
        (404, False),
        (408, True),
        (409, True),
        (498, True),
        (500, True),
        (503, True),
        (529, True),
    ],
)
def test_what_is_worth_a_retry(status: int, retryable: bool) -> None:
    assert error(status, {"error": {"message": "x"}}).retryable is retryable
