"""Streams and answers of Responses that no recording shows: failures, servers that tell less, and nonsense."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glassway.pipeline.call import Call
from glassway.pipeline.errors import (
    APIError,
    APIStatusError,
    BadRequestError,
    ContentPolicyError,
    ContextWindowExceededError,
    InternalServerError,
    RateLimitError,
    ResponseValidationError,
    StreamInterruptedError,
)
from glassway.pipeline.types import ChatRequest, ChatResponse
from glassway.providers.codecs.responses import ResponsesCodec

CODEC = ResponsesCodec()
CALL = Call.start(ChatRequest.model_validate({"model": "m", "messages": [{"role": "user", "content": "x"}]}))

HEAD = {"id": "resp_1", "object": "response", "created_at": 7, "model": "gpt-x", "output": []}
USAGE = {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5, "output_tokens_details": {"reasoning_tokens": 1}}
CREATED = {"type": "response.created", "response": {**HEAD, "status": "in_progress"}}
HELLO = {
    "type": "response.output_text.delta",
    "item_id": "msg_1",
    "output_index": 0,
    "content_index": 0,
    "delta": "Hel",
}


def event(data: Any) -> bytes:
    return b"event: " + str(data.get("type", "message")).encode() + b"\ndata: " + json.dumps(data).encode() + b"\n\n"


def message(text: str = "Hello", **fields: Any) -> dict[str, Any]:
    part = {"type": "output_text", "text": text, "annotations": []}
    return {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [part], **fields}


def added(item: dict[str, Any], index: int = 0) -> dict[str, Any]:
    return {"type": "response.output_item.added", "output_index": index, "item": item}


def done(item: dict[str, Any], index: int = 0) -> dict[str, Any]:
    return {"type": "response.output_item.done", "output_index": index, "item": item}


def ended(*output: dict[str, Any], status: str = "completed", **fields: Any) -> dict[str, Any]:
    response = {**HEAD, "status": status, "output": list(output), "usage": USAGE, **fields}
    return {"type": f"response.{status}", "response": response}


BEGUN = (CREATED, added(message("", content=[], status="in_progress")))


def read(*events: dict[str, Any]) -> list[Any]:
    decoder = CODEC.decoder(CALL)
    chunks = [chunk for one in events for chunk in decoder.feed(event(one))]
    return chunks + list(decoder.finish())


def answer(*events: dict[str, Any]) -> ChatResponse:
    return CODEC.assemble(CALL, read(*events))


def whole(*output: dict[str, Any], **fields: Any) -> ChatResponse:
    return CODEC.decode(CALL, json.dumps(ended(*output, **fields)["response"]).encode())


# -- how an answer ends


def test_a_stream_and_its_chunks() -> None:
    chunks = read(*BEGUN, HELLO, HELLO | {"delta": "lo"}, done(message()), ended(message()))
    assert [chunk.text for chunk in chunks] == ["", "Hel", "lo", ""]
    assert chunks[0].choices[0].delta.role == "assistant"
    assert {(chunk.id, chunk.model, chunk.created) for chunk in chunks} == {("resp_1", "gpt-x", 7)}
    assert (chunks[-1].finish_reason, chunks[-1].usage.completion_tokens) == ("stop", 2)


@pytest.mark.parametrize(
    ("reason", "finish"),
    [("max_output_tokens", "length"), ("content_filter", "content_filter"), ("new", "length"), (None, "length")],
)
def test_an_incomplete_answer_says_why(reason: str | None, finish: str) -> None:
    details = {"reason": reason} if reason else None
    for got in (
        answer(*BEGUN, HELLO, ended(message("Hel"), status="incomplete", incomplete_details=details)),
        whole(message("Hel"), status="incomplete", incomplete_details=details),
    ):
        choice = got.choices[0]
        assert (got.text, choice.finish_reason, choice.native_finish_reason) == ("Hel", finish, reason or "incomplete")


def test_an_answer_that_is_still_being_made_has_no_finish() -> None:
    got = whole(status="queued", usage=None)
    assert (got.finish_reason, got.choices[0].native_finish_reason, got.usage) == (None, "queued", None)


# -- failures inside a 200

QUOTA = {"code": "insufficient_quota", "message": "You exceeded your current quota.", "param": None}


@pytest.mark.parametrize(
    ("code", "kind", "status", "retryable"),
    [
        ("insufficient_quota", RateLimitError, 429, False),
        ("rate_limit_exceeded", RateLimitError, 429, True),
        ("server_error", InternalServerError, 500, True),
        ("invalid_prompt", ContentPolicyError, 400, False),
        ("bio_policy", ContentPolicyError, 400, False),
        ("image_content_policy_violation", ContentPolicyError, 400, False),
        ("context_length_exceeded", ContextWindowExceededError, 400, False),
        ("invalid_image_url", BadRequestError, 400, False),
        ("unsupported_image_media_type", BadRequestError, 400, False),
        ("something_new", InternalServerError, 500, True),
    ],
)
def test_a_failure_is_the_same_however_it_is_told(code: str, kind: Any, status: int, retryable: bool) -> None:
    error = {**QUOTA, "code": code}
    told: list[Any] = [
        lambda: read(CREATED, {"type": "error", "sequence_number": 1, **error}),
        lambda: read(CREATED, {"type": "error", "sequence_number": 1, "error": {"type": code, **error}}),
        lambda: read(CREATED, {"type": "response.failed", "response": {**HEAD, "status": "failed", "error": error}}),
        lambda: whole(status="failed", error=error),
    ]
    for tell in told:
        with pytest.raises(APIStatusError, match="exceeded your current quota") as caught:
            tell()
        assert (type(caught.value), caught.value.status_code, caught.value.retryable) == (kind, status, retryable)


def test_an_error_without_a_type_is_one() -> None:
    with pytest.raises(RateLimitError):
        read(CREATED, {"error": QUOTA})


def test_a_failure_behind_chunks_is_raised_by_the_next_call() -> None:
    decoder = CODEC.decoder(CALL)
    chunks = decoder.feed(b"".join(map(event, [*BEGUN, HELLO, {"type": "error", **QUOTA}])))
    assert "".join(chunk.text for chunk in chunks) == "Hel"
    for step in (lambda: decoder.feed(b""), decoder.finish):
        with pytest.raises(RateLimitError):
            step()


@pytest.mark.parametrize("status", ["failed", "cancelled"])
def test_an_answer_that_was_broken_off_without_a_word(status: str) -> None:
    with pytest.raises(InternalServerError, match=status):
        whole(status=status)
    with pytest.raises(InternalServerError, match=status):
        read(CREATED, ended(status=status))


def test_what_follows_the_end_is_nothing() -> None:
    assert answer(*BEGUN, ended(message()), {"type": "error", **QUOTA}).text == "Hello"


@pytest.mark.parametrize("until", range(4))
def test_a_stream_that_lacks_its_end(until: int) -> None:
    with pytest.raises(StreamInterruptedError):
        read(*[*BEGUN, HELLO, done(message())][:until])


# -- servers that tell less, or more


def test_events_that_we_do_not_know_are_passed_over() -> None:
    odd = [
        {"type": "response.in_progress", "response": {}},
        {"type": "keepalive"},
        {"type": "response.new.delta", "delta": 1},
    ]
    assert answer(*BEGUN, *odd, HELLO, done(message()), ended(message())).text == "Hello"


def test_what_pieces_lack_the_whole_item_makes_up_for() -> None:
    call = {
        "type": "function_call",
        "id": "fc_1",
        "call_id": "c",
        "name": "f",
        "arguments": '{"a":1}',
        "status": "completed",
    }
    thought = {
        "type": "reasoning",
        "id": "rs_1",
        "summary": [{"type": "summary_text", "text": "Hm."}],
        "encrypted_content": "E",
    }
    items = [thought, message(), call]
    got = answer(CREATED, *(done(item, n) for n, item in enumerate(items)), ended(*items))
    assert json.loads(got.model_dump_json()) == json.loads(whole(*items).model_dump_json())
    assert (got.text, got.reasoning, got.tool_calls[0].function and got.tool_calls[0].function.arguments) == (
        "Hello",
        "Hm.",
        '{"a":1}',
    )


def test_items_that_only_the_end_tells_of_are_there() -> None:
    assert answer(CREATED, ended(message())).text == "Hello"
    assert answer(*BEGUN, HELLO, ended(message())).text == "Hello"
    assert answer(*BEGUN, HELLO, ended()).text == "Hel"


def test_an_item_that_ends_with_less_than_its_pieces_is_what_the_pieces_said() -> None:
    got = answer(*BEGUN, HELLO, done(message("", content=[])), ended())
    assert got.text == "Hel"
    assert got.message.extra["provider_blocks"][0]["parts"] == [{"type": "output_text", "characters": 3}]


def test_a_server_that_numbers_no_items_names_them() -> None:
    bare = [
        {k: v for k, v in one.items() if k != "output_index"}
        for one in (added(message("", content=[])), HELLO, done(message()))
    ]
    head = {"type": "response.created", "response": {"id": "resp_1", "status": "in_progress"}}
    got = answer(head, *bare, ended(message()))
    assert (got.text, got.model, got.created) == ("Hello", "gpt-x", 7)


def test_arguments_in_pieces() -> None:
    call = {
        "type": "function_call",
        "id": "fc_1",
        "call_id": "c",
        "name": "f",
        "arguments": "",
        "status": "in_progress",
    }
    piece = {"type": "response.function_call_arguments.delta", "output_index": 0, "item_id": "fc_1", "delta": '{"a"'}
    chunks = read(CREATED, added(call), piece, piece | {"delta": ":1}"}, done(call | {"arguments": '{"a":1}'}), ended())
    deltas = [delta for chunk in chunks for delta in chunk.choices[0].delta.tool_calls]
    assert [(d.index, d.id, d.function.name, d.function.arguments) for d in deltas] == [
        (0, "c", "f", ""),
        (0, None, None, '{"a"'),
        (0, None, None, ":1}"),
    ]
    assert chunks[-1].finish_reason == "tool_calls"


def test_a_custom_tools_call() -> None:
    call = {"type": "custom_tool_call", "id": "ctc_1", "call_id": "c", "name": "f", "input": "x", "status": "completed"}
    for got in (answer(CREATED, added(call | {"input": ""}), done(call), ended(call)), whole(call)):
        assert (got.tool_calls[0].id, got.tool_calls[0].type, got.tool_calls[0].function) == ("c", "custom", None)
        assert got.tool_calls[0].extra["custom"] == {"name": "f", "input": "x"}
        assert got.finish_reason == "tool_calls"


def test_parts_of_reasoning_stand_below_each_other() -> None:
    parts = [{"type": "summary_text", "text": text} for text in ("One.", "Two.")]
    item = {"type": "reasoning", "id": "rs_1", "summary": parts, "encrypted_content": "E"}
    piece = {"type": "response.reasoning_summary_text.delta", "output_index": 0, "item_id": "rs_1"}
    pieces = [piece | {"summary_index": n, "delta": text} for n, text in ((0, "One"), (0, "."), (1, "Two."))]
    got = answer(CREATED, added(item | {"summary": []}), *pieces, done(item), ended(item))
    assert got.reasoning == "One.\n\nTwo."
    assert json.loads(got.model_dump_json()) == json.loads(whole(item).model_dump_json())


def test_a_refusal() -> None:
    item = message(content=[{"type": "refusal", "refusal": "No, thanks."}])
    piece = {
        "type": "response.refusal.delta",
        "output_index": 0,
        "item_id": "msg_1",
        "content_index": 0,
        "delta": "No,",
    }
    for got in (answer(*BEGUN, piece, done(item), ended(item)), whole(item)):
        assert (got.message.refusal, got.text, got.finish_reason) == ("No, thanks.", "", "stop")


def test_citations_are_a_chats_and_their_place_is_in_the_whole_text() -> None:
    cited = {"type": "url_citation", "url": "https://x.invalid", "title": "T", "start_index": 0, "end_index": 5}
    second = message(id="msg_2", content=[{"type": "output_text", "text": "World", "annotations": [cited]}])
    events = [done(message(), 0), added(second | {"content": []}, 1), done(second, 1)]
    for got in (answer(CREATED, *events, ended(message(), second)), whole(message(), second)):
        assert got.text == "HelloWorld"
        place = {"url": "https://x.invalid", "title": "T", "start_index": 5, "end_index": 10}
        assert got.message.annotations == ({"type": "url_citation", "url_citation": place},)


def test_log_probabilities() -> None:
    token = {"token": "Hello", "bytes": [72], "logprob": -0.1, "top_logprobs": []}
    item = message(content=[{"type": "output_text", "text": "Hello", "annotations": [], "logprobs": [token]}])
    for got in (answer(*BEGUN, done(item), ended(item)), whole(item)):
        assert got.choices[0].logprobs == {"content": [token]}
        assert "Hello" not in json.dumps(got.message.extra)


def test_what_only_this_vendor_says_is_kept_and_echoes_are_not() -> None:
    got = whole(message(), content_filters=[{"blocked": False}], tools=[{"type": "x"}], instructions="Be short.")
    assert got.extra == {"content_filters": [{"blocked": False}]}


# -- nonsense


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'"x"',
        b'{"choices": []}',
        b'{"output": 3}',
        b'{"output": [{"type": "message", "content": [{"type": "output_text"}]}]}',
    ],
)
def test_what_is_no_answer(body: bytes) -> None:
    with pytest.raises(ResponseValidationError, match="Responses API"):
        CODEC.decode(CALL, body)


@pytest.mark.parametrize(
    "data", [b"{", b"3", b'{"type": "response.output_item.added"}', b'{"type": "response.completed", "response": 3}']
)
def test_what_is_no_event(data: bytes) -> None:
    decoder = CODEC.decoder(CALL)
    with pytest.raises(ResponseValidationError):
        decoder.feed(b"data: " + data + b"\n\n")


NAMES = [
    "type",
    "id",
    "output",
    "content",
    "summary",
    "text",
    "item",
    "response",
    "output_index",
    "delta",
    "call_id",
    "name",
    "error",
    "usage",
    "input_tokens",
    "status",
    "annotations",
    "code",
]
WORDS = [
    "",
    "message",
    "reasoning",
    "function_call",
    "custom_tool_call",
    "output_text",
    "refusal",
    "summary_text",
    "completed",
    "failed",
]
anything = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 999) | st.sampled_from(WORDS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=5),
    max_leaves=12,
)
TYPES = [
    "response.created",
    "response.output_item.added",
    "response.output_item.done",
    "response.output_text.delta",
    "response.function_call_arguments.delta",
    "response.completed",
    "response.failed",
    "error",
]


@given(anything)
@settings(max_examples=300, deadline=None)
def test_any_json_is_an_answer_or_our_error(value: Any) -> None:
    for body in (value, {"output": value}, {"output": [value]}, {"output": [], "usage": value}):
        with contextlib.suppress(APIError):
            assert isinstance(CODEC.decode(CALL, json.dumps(body).encode()), ChatResponse)


@given(st.lists(st.tuples(st.sampled_from(TYPES), anything), max_size=4))
@settings(max_examples=300, deadline=None)
def test_any_json_in_a_stream_is_a_chunk_or_our_error(events: list[tuple[str, Any]]) -> None:
    decoder = CODEC.decoder(CALL)
    with contextlib.suppress(APIError):
        for kind, value in events:
            fields = value if isinstance(value, dict) else {"item": value, "response": value, "output_index": 0}
            decoder.feed(event({**fields, "type": kind}))
        CODEC.assemble(CALL, decoder.finish())


@given(st.binary(max_size=200))
def test_any_bytes_are_our_errors(body: bytes) -> None:
    with pytest.raises(APIError):
        CODEC.decode(CALL, body)
    decoder = CODEC.decoder(CALL)
    with pytest.raises(APIError):
        [*decoder.feed(body), *decoder.finish()]
