"""Streams: every event, any cut, errors inside a 200, and ends that come too early."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glassway.pipeline.call import Call
from glassway.pipeline.errors import (
    APIError,
    InternalServerError,
    RateLimitError,
    ResponseValidationError,
    ServiceUnavailableError,
    StreamInterruptedError,
)
from glassway.pipeline.types import ChatChunk, ChatRequest, ChatResponse
from glassway.providers.codecs.anthropic import AnthropicCodec
from glassway.testing import FakeClock

CODEC = AnthropicCodec()
CALL = Call.start(
    ChatRequest.model_validate({"model": "claude-x", "messages": [{"role": "user", "content": "x"}]}), clock=FakeClock()
)

START = {
    "type": "message_start",
    "message": {"id": "m", "model": "c", "usage": {"input_tokens": 3, "output_tokens": 1}},
}
STOP = {"type": "message_stop"}


def ended(reason: str = "end_turn", **usage: Any) -> dict[str, Any]:
    return {
        "type": "message_delta",
        "delta": {"stop_reason": reason, "stop_sequence": None},
        "usage": {"output_tokens": 7} | usage,
    }


def begun(block: dict[str, Any], index: int = 0) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": block}


def grown(index: int = 0, **delta: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": delta}


def stopped(index: int = 0) -> dict[str, Any]:
    return {"type": "content_block_stop", "index": index}


TEXT = [
    begun({"type": "text", "text": ""}),
    grown(type="text_delta", text="Hé"),
    grown(type="text_delta", text="llo"),
    stopped(),
]
ERROR = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}, "request_id": "req_1"}


def wire(*events: dict[str, Any]) -> bytes:
    return b"".join(
        b"event: %s\ndata: %s\n\n" % (event["type"].encode(), json.dumps(event, ensure_ascii=False).encode())
        for event in events
    )


def chunks_of(*pieces: bytes) -> list[ChatChunk]:
    decoder = CODEC.decoder(CALL)
    return [*(chunk for piece in pieces for chunk in decoder.feed(piece)), *decoder.finish()]


def response(*events: dict[str, Any]) -> ChatResponse:
    return CODEC.assemble(CALL, chunks_of(wire(*events)))


def test_the_first_chunk_has_the_role_and_the_prompts_tokens_the_last_all_tokens() -> None:
    first, *middle, last = chunks_of(wire(START, *TEXT, ended(), STOP))
    assert first.choices[0].delta.role == "assistant"
    assert not first.has_content
    assert first.usage is not None
    assert (first.usage.prompt_tokens, first.usage.completion_tokens) == (3, 1)
    assert [chunk.text for chunk in middle] == ["Hé", "llo"]
    assert last.usage is not None
    assert (last.usage.prompt_tokens, last.usage.completion_tokens, last.usage.total_tokens) == (3, 7, 10)
    assert last.finish_reason == "stop"
    assert {chunk.id for chunk in (first, *middle, last)} == {"m"}


def test_usage_at_the_end_replaces_usage_at_the_beginning_and_null_does_not() -> None:
    start = {
        "type": "message_start",
        "message": {"usage": {"input_tokens": 3, "cache_read_input_tokens": 5, "output_tokens": 1}},
    }
    usage = response(
        start, *TEXT, ended(input_tokens=4, cache_read_input_tokens=None, cache_creation_input_tokens=2), STOP
    ).usage
    assert usage is not None
    assert (usage.prompt_tokens, usage.cached_tokens, usage.cache_write_tokens) == (11, 5, 2)


def test_usage_keeps_what_the_vendor_counts_beside_openai() -> None:
    lifetimes = {"ephemeral_5m_input_tokens": 2, "ephemeral_1h_input_tokens": 9}
    counts = {
        "input_tokens": 1,
        "cache_creation_input_tokens": 11,
        "cache_creation": lifetimes,
        "service_tier": "priority",
        "output_tokens": 1,
    }
    start = {"type": "message_start", "message": {"usage": counts}}
    answer = response(
        start,
        *TEXT,
        ended(server_tool_use={"web_search_requests": 2}, output_tokens_details={"thinking_tokens": 4}),
        STOP,
    )
    usage = answer.usage
    assert usage is not None
    assert usage.prompt_tokens_details is not None
    assert usage.prompt_tokens_details.model_extra == lifetimes | {"input_tokens": 1}
    assert usage.model_extra == {"server_tool_use": {"web_search_requests": 2}, "service_tier": "priority"}
    assert usage.reasoning_tokens == 4
    assert answer.service_tier == "priority"


def test_pings_and_unknown_events_and_deltas_are_passed_over() -> None:
    odd = [{"type": "ping"}, {"type": "news", "x": 1}, grown(type="news_delta", text="x")]
    assert response(START, odd[0], TEXT[0], *odd, *TEXT[1:], ended(), STOP).text == "Héllo"


def test_blocks_of_unknown_kinds_are_kept_with_what_their_deltas_brought() -> None:
    block = {"type": "compaction", "content": "a", "n": 1}
    answer = response(START, begun(block), grown(type="compaction_delta", content="b", n=2), stopped(), ended(), STOP)
    assert answer.message.extra["provider_blocks"] == (
        {"provider": "anthropic", "type": "compaction", "content": "ab", "n": 2},
    )


def test_a_server_tools_input_is_assembled() -> None:
    block = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}
    pieces = [grown(type="input_json_delta", partial_json=piece) for piece in ("", '{"que', 'ry": "é"}')]
    answer = response(START, begun(block), *pieces, stopped(), ended("pause_turn"), STOP)
    assert answer.message.extra["provider_blocks"][0]["input"] == {"query": "é"}
    assert (answer.finish_reason, answer.choices[0].native_finish_reason) == ("stop", "pause_turn")


def test_thinking_comes_with_its_signature() -> None:
    events = [
        begun({"type": "thinking", "thinking": "", "signature": ""}),
        grown(type="thinking_delta", thinking="h"),
        grown(type="thinking_delta", thinking="m"),
    ]
    answer = response(START, *events, grown(type="signature_delta", signature="sig"), stopped(), ended(), STOP)
    (block,) = answer.message.reasoning_blocks or ()
    assert (answer.reasoning, block.text, block.signature, block.index, block.provider) == (
        "hm",
        "hm",
        "sig",
        0,
        "anthropic",
    )


def test_omitted_thinking_is_a_signature_alone() -> None:
    events = [
        begun({"type": "thinking", "thinking": "", "signature": ""}),
        grown(type="signature_delta", signature="sig"),
        stopped(),
    ]
    answer = response(START, *events, ended(), STOP)
    assert answer.reasoning is None
    assert [block.signature for block in answer.message.reasoning_blocks or ()] == ["sig"]


def test_redacted_thinking_is_kept() -> None:
    answer = response(START, begun({"type": "redacted_thinking", "data": "enc"}), stopped(), ended(), STOP)
    assert [(block.type, block.data) for block in answer.message.reasoning_blocks or ()] == [
        ("redacted_thinking", "enc")
    ]


def test_citations_say_which_text_they_support() -> None:
    cited = {
        "type": "web_search_result_location",
        "url": "https://x.test",
        "title": "t",
        "cited_text": "c",
        "encrypted_index": "e",
    }
    page = {
        "type": "page_location",
        "document_index": 0,
        "document_title": None,
        "start_page_number": 1,
        "end_page_number": 2,
        "cited_text": "c",
    }
    second = [
        begun({"type": "text", "text": "", "citations": []}, 1),
        grown(1, type="citations_delta", citation=cited),
        grown(1, type="citations_delta", citation=page),
    ]
    message = response(START, *TEXT, *second, grown(1, type="text_delta", text="!!"), stopped(1), ended(), STOP).message
    assert message.annotations == (
        {
            "type": "url_citation",
            "url_citation": {"url": "https://x.test", "title": "t", "start_index": 5, "end_index": 7},
            "cited_text": "c",
        },
        page | {"start_index": 5, "end_index": 7},
    )
    assert message.extra["provider_blocks"][1]["citations"] == [cited, page]


def tool(index: int, *pieces: str, **more: Any) -> list[dict[str, Any]]:
    block = {"type": "tool_use", "id": f"t{index}", "name": "f", "input": {}} | more
    return [
        begun(block, index),
        *(grown(index, type="input_json_delta", partial_json=piece) for piece in pieces),
        stopped(index),
    ]


def test_tool_calls_are_numbered_among_themselves() -> None:
    answer = response(
        START, *TEXT, *tool(1, '{"a"', ": 1}"), *tool(2, caller={"type": "direct"}), ended("tool_use"), STOP
    )
    assert [(call.id, call.function.arguments) for call in answer.tool_calls if call.function] == [
        ("t1", '{"a": 1}'),
        ("t2", "{}"),
    ]
    assert answer.tool_calls[1].extra == {"caller": {"type": "direct"}}
    assert answer.finish_reason == "tool_calls"


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(
    value=st.dictionaries(st.text(max_size=8), JSON, max_size=4),
    cuts=st.lists(st.integers(0, 400), max_size=8),
    ascii_only=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_arguments_arrive_whole_however_the_model_cut_them(
    value: dict[str, Any], cuts: list[int], ascii_only: bool
) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only)
    edges = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    pieces = [text[start:end] for start, end in itertools.pairwise(edges)]
    (call,) = response(START, *tool(0, *pieces), ended("tool_use"), STOP).tool_calls
    assert call.function is not None
    assert json.loads(call.function.arguments) == value


@given(
    texts=st.lists(st.text(min_size=1, max_size=6), min_size=1, max_size=5),
    cuts=st.lists(st.integers(0, 3_000), max_size=12),
    line_end=st.sampled_from([b"\n", b"\r\n"]),
)
@settings(max_examples=60, deadline=None)
def test_cuts_inside_a_character_change_nothing(texts: list[str], cuts: list[int], line_end: bytes) -> None:
    data = wire(
        START, TEXT[0], *(grown(type="text_delta", text=text) for text in texts), stopped(), ended(), STOP
    ).replace(b"\n", line_end)
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    chunks = chunks_of(*(data[start:end] for start, end in itertools.pairwise(edges)))
    assert chunks == chunks_of(data)
    assert CODEC.assemble(CALL, chunks).text == "".join(texts)


def test_it_is_complete_with_its_stop_reason_even_without_the_last_event() -> None:
    assert response(START, *TEXT, ended()).finish_reason == "stop"


def test_what_comes_after_the_end_is_passed_over() -> None:
    data = wire(START, *TEXT, ended(), STOP) + b"data: [DONE]\n\n" + wire(ERROR)
    assert CODEC.assemble(CALL, chunks_of(data)).text == "Héllo"


@pytest.mark.parametrize(
    "data", [b"", wire(START), wire(START, *TEXT), wire(START, *TEXT) + b'data: {"type": "message_del', b": ping\n\n"]
)
def test_an_early_end_is_an_interruption(data: bytes) -> None:
    with pytest.raises(StreamInterruptedError) as error:
        chunks_of(data)
    assert error.value.retryable
    assert error.value.provider == "anthropic"


@pytest.mark.parametrize(
    ("kind", "expected", "status"),
    [
        ("overloaded_error", ServiceUnavailableError, 529),
        ("api_error", InternalServerError, 500),
        ("rate_limit_error", RateLimitError, 429),
        ("timeout_error", InternalServerError, 504),
        ("something_new", InternalServerError, 500),
    ],
)
def test_an_error_event_is_the_error(kind: str, expected: type[APIError], status: int) -> None:
    with pytest.raises(expected) as error:
        chunks_of(wire({"type": "error", "error": {"type": kind, "message": "m"}, "request_id": "req_1"}))
    assert (error.value.status_code, error.value.request_id, error.value.retryable) == (status, "req_1", True)


@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_chunks_before_an_error_are_handed_out_first(size: int) -> None:
    data = wire(START, *TEXT[:2], ERROR)
    decoder = CODEC.decoder(CALL)
    got: list[ChatChunk] = []
    with pytest.raises(ServiceUnavailableError):  # noqa: PT012 - where it is raised depends on the size
        for at in range(0, len(data), size):
            got += decoder.feed(data[at : at + size])
        got += decoder.finish()
    assert [chunk.text for chunk in got] == ["", "Hé"]


@pytest.mark.parametrize(
    "data",
    [
        b"data: <html>\n\n",
        b"data: [1]\n\n",
        wire({"type": "content_block_delta", "index": 4, "delta": {"type": "text_delta", "text": "x"}}),
        wire(START, TEXT[0], grown(type="text_delta")),
        wire({"type": "message_start"}),
        wire(begun({"type": "tool_use"})),
        wire({"type": "message_start", "message": {"usage": {"input_tokens": "many"}}}),
    ],
)
def test_nonsense_is_not_an_answer(data: bytes) -> None:
    with pytest.raises(ResponseValidationError) as error:
        chunks_of(data)
    assert "html" not in str(error.value)
