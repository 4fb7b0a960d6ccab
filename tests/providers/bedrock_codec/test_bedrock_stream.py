"""Streams that no recording has: native blocks, exceptions, damage."""

from __future__ import annotations

import json
from typing import Any

import pytest
from bedrock_exchanges import call_of, frame, frames
from hypothesis import given, settings
from hypothesis import strategies as st

from glassway.pipeline.errors import (
    APIError,
    BadRequestError,
    ContextWindowExceededError,
    InternalServerError,
    RateLimitError,
    ResponseValidationError,
    ServiceUnavailableError,
    StreamInterruptedError,
)
from glassway.providers.codecs.anthropic_format import ANSWER_TOOL
from glassway.providers.codecs.bedrock import BedrockCodec

CODEC = BedrockCodec()
START = ("messageStart", {"role": "assistant"})
HELLO = ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "Hello"}})
STOP = ("messageStop", {"stopReason": "end_turn"})
COUNTS = ("metadata", {"usage": {"inputTokens": 3, "outputTokens": 4, "totalTokens": 7}, "metrics": {"latencyMs": 5}})


def delta(index: int, **content: Any) -> tuple[str, dict[str, Any]]:
    return "contentBlockDelta", {"contentBlockIndex": index, "delta": content}


def begin(index: int, **content: Any) -> tuple[str, dict[str, Any]]:
    return "contentBlockStart", {"contentBlockIndex": index, "start": content}


def end(index: int) -> tuple[str, dict[str, Any]]:
    return "contentBlockStop", {"contentBlockIndex": index}


def read(data: bytes, *, size: int | None = None, **request: Any) -> Any:
    call = call_of({"stream": True, **request})
    decoder = CODEC.decoder(call)
    step = size or len(data) or 1
    chunks = [chunk for at in range(0, len(data), step) for chunk in decoder.feed(data[at : at + step])]
    return CODEC.assemble(call, [*chunks, *decoder.finish()])


def test_texts_finish_and_counts() -> None:
    answer = read(frames(START, HELLO, end(0), STOP, COUNTS))
    assert (answer.text, answer.finish_reason, answer.usage.total_tokens) == ("Hello", "stop", 7)
    assert answer.extra["metrics"] == {"latencyMs": 5}


def test_reasoning_comes_with_its_signature_and_its_encrypted_part() -> None:
    answer = read(
        frames(
            START,
            delta(0, reasoningContent={"text": "Hm"}),
            delta(0, reasoningContent={"text": "m."}),
            delta(0, reasoningContent={"signature": "SI"}),
            delta(0, reasoningContent={"signature": "GN"}),
            end(0),
            delta(1, reasoningContent={"redactedContent": "c2VjcmV0"}),
            end(1),
            STOP,
        )
    )
    assert answer.reasoning == "Hmm."
    shown = [
        (block.type, block.text, block.signature, block.data, block.index) for block in answer.message.reasoning_blocks
    ]
    assert shown == [("thinking", "Hmm.", "SIGN", None, 0), ("redacted_thinking", None, None, "c2VjcmV0", 1)]


def test_a_tool_without_arguments_has_an_empty_object() -> None:
    use = {"toolUseId": "t1", "name": "now"}
    answer = read(
        frames(
            START,
            begin(0, toolUse=use),
            delta(0, toolUse={"input": ""}),
            end(0),
            ("messageStop", {"stopReason": "tool_use"}),
        )
    )
    [call] = answer.tool_calls
    assert (call.id, call.function.name, call.function.arguments, answer.finish_reason) == (
        "t1",
        "now",
        "{}",
        "tool_calls",
    )


def test_parallel_tools_that_are_mixed_keep_apart() -> None:
    answer = read(
        frames(
            START,
            begin(0, toolUse={"toolUseId": "a", "name": "f"}),
            begin(1, toolUse={"toolUseId": "b", "name": "g"}),
            delta(1, toolUse={"input": '{"y":'}),
            delta(0, toolUse={"input": '{"x": 1}'}),
            delta(1, toolUse={"input": " 2}"}),
            end(0),
            end(1),
            ("messageStop", {"stopReason": "tool_use"}),
        )
    )
    assert [(call.id, call.function.arguments) for call in answer.tool_calls] == [("a", '{"x": 1}'), ("b", '{"y": 2}')]


def test_tools_that_bedrock_runs_itself_are_no_tool_calls_and_are_kept() -> None:
    answer = read(
        frames(
            START,
            begin(0, toolUse={"toolUseId": "s", "name": "nova_grounding", "type": "server_tool_use"}),
            delta(0, toolUse={"input": '{"q": 1}'}),
            end(0),
            begin(1, toolResult={"toolUseId": "s", "status": "success"}),
            delta(1, toolResult=[{"text": "found"}]),
            end(1),
            delta(2, text="So it is."),
            delta(2, citation={"title": "T", "location": {"web": {"url": "https://x.test", "domain": "x.test"}}}),
            end(2),
            STOP,
        )
    )
    assert (answer.tool_calls, answer.finish_reason, answer.text) == ((), "stop", "So it is.")
    [note] = answer.message.annotations
    assert note == {
        "type": "url_citation",
        "url_citation": {"url": "https://x.test", "title": "T", "start_index": 0, "end_index": 9},
    }
    use, result, cited = answer.message.extra["provider_blocks"]
    assert use["toolUse"] == {"toolUseId": "s", "name": "nova_grounding", "type": "server_tool_use", "input": {"q": 1}}
    assert result["toolResult"] == {"toolUseId": "s", "status": "success", "content": [{"text": "found"}]}
    assert (cited["type"], cited["characters"]) == ("citationsContent", 9)


def test_the_forced_answer_tool_is_shown_as_text() -> None:
    schema = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}}
    request = {"model": "amazon.nova-lite-v1:0", "response_format": schema}
    events = [
        START,
        begin(0, toolUse={"toolUseId": "t", "name": ANSWER_TOOL}),
        delta(0, toolUse={"input": '{"a"'}),
        delta(0, toolUse={"input": ": 1}"}),
    ]
    answer = read(frames(*events, end(0), ("messageStop", {"stopReason": "tool_use"})), **request)
    assert (answer.text, answer.tool_calls, answer.finish_reason) == ('{"a": 1}', (), "stop")
    whole = {
        "output": {"message": {"content": [{"toolUse": {"toolUseId": "t", "name": ANSWER_TOOL, "input": {"a": 1}}}]}},
        "stopReason": "tool_use",
    }
    unary = CODEC.decode(call_of(request), json.dumps(whole).encode())
    assert (json.loads(unary.text), unary.tool_calls, unary.finish_reason) == ({"a": 1}, (), "stop")


def test_events_of_the_future_are_passed_over() -> None:
    answer = read(
        frames(START, ("surprise", {"a": 1}), HELLO, end(0), end(7), delta(9, hologram={"x": 1}), end(9), STOP)
    )
    assert answer.text == "Hello"


@pytest.mark.parametrize(
    ("name", "expected", "status", "retryable"),
    [
        ("throttlingException", RateLimitError, 429, True),
        ("modelStreamErrorException", InternalServerError, 424, True),
        ("validationException", BadRequestError, 400, False),
        ("internalServerException", InternalServerError, 500, True),
        ("serviceUnavailableException", ServiceUnavailableError, 503, True),
        ("modelTimeoutException", InternalServerError, 408, True),
        ("newException", InternalServerError, 500, True),
    ],
)
def test_an_exception_frame_is_the_error_it_names(
    name: str, expected: type[APIError], status: int, retryable: bool
) -> None:
    with pytest.raises(APIError) as raised:
        read(frame(name, {"message": "It broke"}, kind="exception"))
    error = raised.value
    assert (type(error), error.status_code, error.retryable, error.provider) == (expected, status, retryable, "bedrock")
    assert "It broke" in error.message


def test_an_exception_that_tells_the_models_own_status_has_that() -> None:
    data = frame(
        "modelStreamErrorException", {"originalStatusCode": 503, "originalMessage": "overloaded"}, kind="exception"
    )
    with pytest.raises(InternalServerError, match="503 ModelStreamErrorException: overloaded") as error:
        read(data)
    assert error.value.status_code == 503


def test_a_prompt_that_is_too_long_is_told_inside_the_stream() -> None:
    with pytest.raises(ContextWindowExceededError):
        read(
            frame(
                "validationException",
                {"message": "The model returned the following errors: prompt is too long: 9 tokens > 8 maximum"},
                kind="exception",
            )
        )


def test_an_error_frame_without_json_is_told_as_it_is() -> None:
    with pytest.raises(InternalServerError, match="went wrong"):
        read(frame("InternalFailure", b"went wrong", kind="error"))


def test_what_came_before_an_error_is_handed_out_first() -> None:
    decoder = CODEC.decoder(call_of({"stream": True}))
    chunks = decoder.feed(frames(START, HELLO) + frame("throttlingException", {"message": "slow"}, kind="exception"))
    assert "".join(chunk.text for chunk in chunks) == "Hello"
    with pytest.raises(RateLimitError):
        decoder.feed(b"")
    with pytest.raises(RateLimitError):
        decoder.finish()


@pytest.mark.parametrize("at", [5, 9, 30, 60, -2])
def test_a_damaged_byte_is_found_by_the_checksums(at: int) -> None:
    data = bytearray(frames(START, HELLO, STOP))
    data[at] ^= 0x41
    with pytest.raises((ResponseValidationError, StreamInterruptedError)):
        read(bytes(data))


@pytest.mark.parametrize(
    "data",
    [
        b"<html><body>Bad Gateway</body></html>" * 9,
        b'data: {"choices": []}\n\n' * 20,
        frame("contentBlockDelta", b"[1, 2]"),
        frame("contentBlockDelta", b"\xff\xfe"),
        frame("contentBlockDelta", {"delta": {"text": "x"}}),
        frame("contentBlockStart", {"contentBlockIndex": 0, "start": {"toolUse": {"name": "x"}}}),
        frame("messageStop", {}),
        frame("metadata", {"usage": {"inputTokens": "many"}}),
        frame("metadata", {"usage": [1]}),
    ],
)
def test_what_is_not_the_vendors_is_said_so(data: bytes) -> None:
    with pytest.raises(ResponseValidationError) as error:
        read(data + frames(STOP))
    assert error.value.provider == "bedrock"


def test_an_end_before_the_stop_reason_is_an_interruption() -> None:
    for data in (
        b"",
        frames(START),
        frames(START, HELLO, end(0)),
        frames(START, HELLO, end(0), STOP) + frame(*COUNTS)[:-1],
    ):
        with pytest.raises(StreamInterruptedError):
            read(data)


def test_a_stream_without_counts_is_complete() -> None:
    answer = read(frames(START, HELLO, end(0), STOP))
    assert (answer.text, answer.usage) == ("Hello", None)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(["Wörter", "", "🙂", '"\\'])), st.integers(1, 200))
def test_any_split_gives_the_same_answer(texts: list[str], size: int) -> None:
    data = frames(START, *(delta(0, text=text) for text in texts), end(0), STOP, COUNTS)
    assert read(data, size=size) == read(data)
    assert read(data, size=size).text == "".join(texts)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"output": {"message": {}}}',
        b'{"output": {"message": {"content": [1]}}, "stopReason": "end_turn"}',
        b"<html>",
    ],
)
def test_an_answer_that_is_none(body: bytes) -> None:
    with pytest.raises(ResponseValidationError, match="Converse"):
        CODEC.decode(call_of({}), body)


@pytest.mark.parametrize(
    ("native", "finish"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("guardrail_intervened", "content_filter"),
        ("content_filtered", "content_filter"),
        ("malformed_tool_use", "stop"),
        ("a_new_one", "stop"),
    ],
)
def test_why_an_answer_ended(native: str, finish: str) -> None:
    body = {"output": {"message": {"role": "assistant", "content": [{"text": "x"}]}}, "stopReason": native}
    whole = CODEC.decode(call_of({}), json.dumps(body).encode())
    streamed = read(frames(START, HELLO, end(0), ("messageStop", {"stopReason": native})))
    for answer in (whole, streamed):
        assert (answer.finish_reason, answer.choices[0].native_finish_reason) == (finish, native)


def test_a_prompt_router_tells_the_model_and_caches_are_counted_by_their_lifetime() -> None:
    usage = {
        "inputTokens": 1,
        "outputTokens": 2,
        "totalTokens": 33,
        "cacheReadInputTokens": 10,
        "cacheWriteInputTokens": 20,
        "cacheDetails": [{"ttl": "1h", "inputTokens": 15}, {"ttl": "5m", "inputTokens": 5}],
    }
    router = {"promptRouter": {"invokedModelId": "arn:model"}}
    body = {
        "output": {"message": {"content": []}},
        "stopReason": "end_turn",
        "usage": usage,
        "trace": router,
        "serviceTier": {"type": "flex"},
    }
    answer = CODEC.decode(call_of({}), json.dumps(body).encode())
    assert (answer.model, answer.service_tier, answer.usage.prompt_tokens, answer.usage.total_tokens) == (
        "arn:model",
        "flex",
        31,
        33,
    )
    assert answer.usage.prompt_tokens_details.model_extra["ephemeral_1h_input_tokens"] == 15
    assert answer.usage.anomalies() == ()
