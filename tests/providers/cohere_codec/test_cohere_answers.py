"""Answers that are not in the recordings: errors, streams of every kind, nonsense."""

from __future__ import annotations

import base64
import itertools
import json
import struct
from typing import TYPE_CHECKING, Any

import cohere.core
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glassway.pipeline.call import Call
from glassway.pipeline.errors import (
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    ContentPolicyError,
    ContextWindowExceededError,
    InternalServerError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    ResponseValidationError,
    ServiceUnavailableError,
    StreamInterruptedError,
    UnprocessableEntityError,
)
from glassway.pipeline.types import ChatRequest
from glassway.providers.codecs.cohere import CohereCodec
from glassway.testing import FakeClock

if TYPE_CHECKING:
    from pathlib import Path

CODEC = CohereCodec()
CALL = Call.start(
    ChatRequest.model_validate({"model": "m", "messages": [{"role": "user", "content": "x"}]}), clock=FakeClock()
)


def wire(*events: dict[str, Any]) -> bytes:
    return b"".join(
        f"event: {one.get('type')}\ndata: {json.dumps(one, ensure_ascii=False)}\n\n".encode() for one in events
    )


def said(kind: str, index: int | None = None, **message: Any) -> dict[str, Any]:
    return {"type": kind, **({} if index is None else {"index": index}), "delta": {"message": message}}


def ended(reason: str = "COMPLETE", **more: Any) -> dict[str, Any]:
    return {"type": "message-end", "delta": {"finish_reason": reason, **more}}


START = {"type": "message-start", "id": "i1", "delta": {"message": {"role": "assistant"}}}
TEXT = [
    said("content-start", 0, content={"type": "text", "text": ""}),
    said("content-delta", 0, content={"text": "Hé"}),
]


@pytest.fixture
def chunks_of(call_of: Any) -> Any:
    """`chunks_of(*pieces)`: the chunks of a stream in these pieces."""

    def chunks(*pieces: bytes) -> list[Any]:
        decoder = CODEC.decoder(call_of({}))
        return [chunk for piece in pieces for chunk in decoder.feed(piece)] + list(decoder.finish())

    return chunks


@pytest.fixture
def response(chunks_of: Any, call_of: Any) -> Any:
    """`response(*events)`: what a stream of these events is joined to."""
    return lambda *events: CODEC.assemble(call_of({}), chunks_of(wire(*events)))


SHAPES: list[tuple[int, str, type[APIStatusError], dict[str, Any]]] = [
    (400, "invalid request: list of documents must not be empty", BadRequestError, {"retryable": False}),
    (400, "too many tokens: total number of tokens in the prompt cannot exceed 4081 - received 4292.", ContextWindowExceededError, {}),
    (400, "too many tokens: size limit exceeded by 11326 tokens. Try using shorter or fewer inputs", ContextWindowExceededError, {}),
    (400, "too many tokens: max tokens must be less than or equal to 4096, the maximum output for this model", BadRequestError, {}),
    (401, "invalid api token", AuthenticationError, {"fault": "caller"}),
    (402, "Please add or update your payment method", RateLimitError, {"retryable": False, "fault": "caller"}),
    (403, "not allowed", PermissionDeniedError, {}),
    (404, "model 'command-r' was removed on September 15, 2025", NotFoundError, {}),
    (422, "your request resulted in an invalid tool generation", UnprocessableEntityError, {"retryable": False}),
    (429, "You are using a Trial key, which is limited to 40 API calls / minute.", RateLimitError, {"retryable": True}),
    (429, "You are using a Trial key, which is limited to 1000 API calls / month.", RateLimitError, {"retryable": False}),
    (498, "blocked token", ContentPolicyError, {"retryable": False}),
    (499, "request cancelled by user", InternalServerError, {"retryable": True}),
    (500, "internal server error", InternalServerError, {"retryable": True}),
    (501, "not implemented", InternalServerError, {"retryable": False}),
    (503, "no healthy upstream", ServiceUnavailableError, {"retryable": True}),
    (504, "timed out", InternalServerError, {"retryable": True}),
]  # fmt: skip


@pytest.mark.parametrize(("status", "message", "expected", "fields"), SHAPES)
def test_errors_are_of_their_kind(
    status: int, message: str, expected: type[APIStatusError], fields: dict[str, Any], client: Any
) -> None:
    body = json.dumps({"id": "e1", "message": message}).encode()
    with pytest.raises(cohere.core.ApiError) as theirs:
        client(status, body, "application/json").chat(model="m", messages=[])
    error = CODEC.error(status, {"retry-after": "7"}, body)
    assert type(error) is expected
    assert error.status_code == theirs.value.status_code
    assert theirs.value.body["message"].rstrip(".") in error.message
    assert (error.request_id, error.provider, error.retry_after_s) == ("e1", "cohere", 7)
    assert {name: getattr(error, name) for name in fields} == fields


def test_the_recorded_error_of_a_removed_model(corpus: Path) -> None:
    """A v1 exchange, but errors have one shape in both."""
    recorded = json.loads((corpus / "cohere/chat-v1-error-404-2.json").read_text())["response"]
    error = CODEC.error(404, recorded["headers"], recorded["body_text"].encode())
    assert isinstance(error, NotFoundError)
    assert error.request_id == "7321d3c5-0972-4705-a4d4-3b15cd2df22e"
    assert "model 'command-r' was removed on September 15, 2025" in error.message


@pytest.mark.parametrize("body", [b"", b"<html>", b'"x"', b"[]", b'{"message": 3}'])
def test_an_error_without_a_message_is_one_still(body: bytes) -> None:
    error = CODEC.error(503, {}, body)
    assert isinstance(error, ServiceUnavailableError)
    assert "no message" in error.message


def test_keys_in_an_error_are_masked() -> None:
    error = CODEC.error(401, {}, b'{"message": "invalid api token: api_key=abcdef0123456789abcdef0123456789"}')
    assert "abcdef" not in error.message


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"{}", b'{"message": {"content": 3}}', b'{"message": {"content": [{"type": "text"}]}}',
     b'{"message": {"tool_calls": [{}]}}', b'{"message": {}, "usage": {"tokens": {"input_tokens": "many"}}}'],
)  # fmt: skip
def test_nonsense_is_not_an_answer(body: bytes, call_of: Any) -> None:
    with pytest.raises(ResponseValidationError):
        CODEC.decode(call_of({}), body)


@pytest.mark.parametrize(("reason", "status"), [("ERROR", 500), ("TIMEOUT", 504)])
def test_an_answer_that_broke_off_is_an_error(reason: str, status: int, call_of: Any, chunks_of: Any) -> None:
    whole = json.dumps({"id": "i1", "message": {"content": []}, "finish_reason": reason, "usage": {}}).encode()
    for attempt in (lambda: CODEC.decode(call_of({}), whole), lambda: chunks_of(wire(START, ended(reason)))):
        with pytest.raises(InternalServerError) as error:
            attempt()
        assert (error.value.status_code, error.value.retryable, error.value.request_id) == (status, True, "i1")


def test_an_error_message_with_a_good_status_is_an_error(call_of: Any, chunks_of: Any) -> None:
    body = b'{"message": "internal"}'
    with pytest.raises(InternalServerError, match="internal"):
        CODEC.decode(call_of({}), body)
    with pytest.raises(InternalServerError, match="internal"):
        chunks_of(b"data: " + body + b"\n\n")


@pytest.mark.parametrize(
    ("reason", "expected"),
    [("COMPLETE", "stop"), ("STOP_SEQUENCE", "stop"), ("MAX_TOKENS", "length"), ("ERROR_LIMIT", "length"),
     ("ERROR_TOXIC", "content_filter"), ("TOOL_CALL", "tool_calls"), ("SOMETHING_NEW", "stop")],
)  # fmt: skip
def test_finish_reasons(reason: str, expected: str, response: Any) -> None:
    answer = response(START, *TEXT, ended(reason))
    assert (answer.finish_reason, answer.choices[0].native_finish_reason) == (expected, reason)


def test_citations_of_later_blocks_point_into_the_whole_text(response: Any, call_of: Any) -> None:
    citation = {"start": 1, "end": 3, "text": "bc", "sources": [], "type": "TEXT_CONTENT", "content_index": 2}
    of_plan = {"start": 0, "end": 1, "text": "p", "sources": [], "type": "PLAN"}
    blocks = [
        {"type": "text", "text": "aaaa"},
        {"type": "thinking", "thinking": "hm"},
        {"type": "text", "text": "abcd"},
    ]
    body = {"id": "i1", "message": {"content": blocks, "citations": [citation, of_plan]}, "finish_reason": "COMPLETE"}
    whole = CODEC.decode(call_of({}), json.dumps(body).encode())
    events = [
        said("content-start", 0, content={"type": "text", "text": "aaaa"}),
        said("content-start", 1, content={"type": "thinking", "thinking": "hm"}),
        said("content-start", 2, content={"type": "text", "text": "abcd"}),
        said("citation-start", 0, citations=citation),
        said("citation-start", 1, citations=of_plan),
    ]
    streamed = response(START, *events, ended())
    assert whole.message.annotations == ({**citation, "start_index": 5, "end_index": 7}, of_plan)
    assert streamed.message.to_dict() == whole.message.to_dict()
    assert streamed.text[5:7] == "bc"


def test_log_probabilities_are_summed_over_the_tokens_of_a_piece(response: Any, call_of: Any) -> None:
    item = {"text": "Hé", "token_ids": [1, 2], "logprobs": [-0.5, -0.25]}
    expected = {"token": "Hé", "logprob": -0.75, "bytes": [72, 195, 169], "top_logprobs": [], "token_ids": [1, 2]}
    body = {"id": "i", "message": {"content": []}, "finish_reason": "COMPLETE", "logprobs": [item, item]}
    whole = CODEC.decode(call_of({}), json.dumps(body).encode())
    streamed = response(START, {**TEXT[1], "logprobs": item}, {**TEXT[1], "logprobs": item}, ended())
    assert whole.choices[0].logprobs == streamed.choices[0].logprobs == {"content": [expected, expected]}


def test_a_tool_without_parameters_is_called_with_an_empty_object(response: Any) -> None:
    def begun(index: int) -> dict[str, Any]:
        function = {"name": f"f{index}", "arguments": ""}
        return said("tool-call-start", index, tool_calls={"id": f"t{index}", "type": "function", "function": function})

    more = [said("tool-call-delta", 1, tool_calls={"function": {"arguments": piece}}) for piece in ('{"a"', ": 1}")]
    over = [{"type": "tool-call-end", "index": index} for index in (0, 1)]
    answer = response(START, begun(0), over[0], begun(1), *more, over[1], ended("TOOL_CALL"))
    assert [(call.id, call.function.arguments) for call in answer.tool_calls] == [("t0", "{}"), ("t1", '{"a": 1}')]


def test_an_empty_text_is_a_text(response: Any, call_of: Any) -> None:
    body = {"id": "i1", "message": {"content": [{"type": "text", "text": ""}]}, "finish_reason": "COMPLETE"}
    assert CODEC.decode(call_of({}), json.dumps(body).encode()).message.content == ""
    assert response(START, TEXT[0], ended()).message.content == ""


def test_it_is_complete_with_its_end_and_what_follows_is_passed_over(
    response: Any, chunks_of: Any, call_of: Any
) -> None:
    data = wire(START, *TEXT, {"type": "something-new"}, ended()) + b"data: [DONE]\n\ndata: <html>\n\n"
    assert CODEC.assemble(call_of({}), chunks_of(data)).text == "Hé"


@pytest.mark.parametrize(
    "data", [b"", wire(START), wire(START, *TEXT), wire(START, *TEXT) + b'data: {"type": "mess', b"data: [DONE]\n\n"]
)
def test_an_early_end_is_an_interruption(data: bytes, chunks_of: Any) -> None:
    with pytest.raises(StreamInterruptedError) as error:
        chunks_of(data)
    assert (error.value.retryable, error.value.provider) == (True, "cohere")


@pytest.mark.parametrize(
    "data",
    [
        b"data: <html>\n\n",
        b"data: [1]\n\n",
        wire(said("content-delta", 0)),
        wire(said("tool-call-start", 0, tool_calls={})),
        wire({"type": "message-end"}),
    ],
)
def test_nonsense_in_a_stream_is_not_an_answer(data: bytes, chunks_of: Any) -> None:
    with pytest.raises(ResponseValidationError):
        chunks_of(data)


@given(
    texts=st.lists(st.text(min_size=1, max_size=6), min_size=1, max_size=5),
    cuts=st.lists(st.integers(0, 2_000), max_size=12),
    line_end=st.sampled_from([b"\n", b"\r\n"]),
)
@settings(max_examples=50, deadline=None)
def test_cuts_inside_a_character_change_nothing(texts: list[str], cuts: list[int], line_end: bytes) -> None:
    pieces = [said("content-delta", 0, content={"text": text}) for text in texts]
    data = wire(START, *pieces, ended()).replace(b"\n", line_end)
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    decoder = CODEC.decoder(CALL)
    chunks = [chunk for start, end in itertools.pairwise(edges) for chunk in decoder.feed(data[start:end])]
    chunks += decoder.finish()
    assert "".join(chunk.text for chunk in chunks) == "".join(texts)


def _embedded(call_of: Any, **by_type: Any) -> Any:
    body = {"id": "i", "embeddings": by_type, "meta": {"billed_units": {"input_tokens": 2, "image_tokens": 3}}}
    return CODEC.decode(call_of({"operation": "embeddings", "input": "x"}), json.dumps(body).encode())


def test_packed_vectors_become_numbers(call_of: Any) -> None:
    packed = base64.b64encode(struct.pack("<3f", 0.5, -1.25, 2.0)).decode()
    answer = _embedded(call_of, base64=[packed])
    assert answer.vectors == ((0.5, -1.25, 2.0),)
    assert answer.usage.prompt_tokens == 5


def test_of_several_types_the_most_exact_is_the_vector_and_all_are_kept(call_of: Any) -> None:
    answer = _embedded(call_of, int8=[[1, 2]], float=[[0.1, 0.2]])
    assert answer.vector == (0.1, 0.2)
    assert answer.extra["embeddings_by_type"] == {"int8": [[1, 2]], "float": [[0.1, 0.2]]}
    assert _embedded(call_of, int8=[[1, -2]]).vector == (1.0, -2.0)


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b'{"embeddings": {"float": [["x"]]}}', b'{"embeddings": {"base64": ["?"]}}', b'{"embeddings": []}'],
)
def test_nonsense_is_no_embedding(body: bytes, call_of: Any) -> None:
    with pytest.raises(ResponseValidationError):
        CODEC.decode(call_of({"operation": "embeddings", "input": "x"}), body)


def test_documents_are_put_beside_the_results_if_they_are_wanted(call_of: Any) -> None:
    body = b'{"id": "i", "results": [{"index": 1, "relevance_score": 0.5}]}'
    asked = {"operation": "rerank", "query": "q", "documents": ["a", {"text": "b"}]}
    assert CODEC.decode(call_of({**asked, "return_documents": True}), body).results[0].document == {"text": "b"}
    assert CODEC.decode(call_of(asked), body).results[0].document is None


@pytest.mark.parametrize(
    "body", [b"", b"{}", b'{"results": [{"index": 9, "relevance_score": 1}]}', b'{"results": [3]}']
)
def test_nonsense_is_no_ranking(body: bytes, call_of: Any) -> None:
    wanted = {"operation": "rerank", "query": "q", "documents": ["a"], "return_documents": True}
    with pytest.raises(ResponseValidationError):
        CODEC.decode(call_of(wanted), body)
