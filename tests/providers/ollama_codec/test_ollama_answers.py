"""Answers that are not in the recordings: errors, streams of every kind, lines cut anywhere, nonsense."""

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
    AuthenticationError,
    BadRequestError,
    ContextWindowExceededError,
    InternalServerError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    ResponseValidationError,
    ServiceUnavailableError,
    StreamInterruptedError,
)
from glassway.pipeline.facts import Attempt
from glassway.pipeline.types import ChatRequest
from glassway.providers.codecs.ollama import OllamaCodec
from glassway.providers.codecs.ollama_lines import LineDecoder
from glassway.providers.codecs.ollama_models import shown_model
from glassway.testing import FakeClock

CODEC = OllamaCodec()
ASKED = ChatRequest.model_validate({"model": "m", "messages": [{"role": "user", "content": "x"}]})
CALL = Call.start(ASKED, clock=FakeClock())


def line(
    content: str = "", *, done: bool = False, more: dict[str, Any] | None = None, **message: Any
) -> dict[str, Any]:
    said = {"role": "assistant", "content": content, **message}
    return {"model": "m", "created_at": "2026-01-02T03:04:05.123456789Z", "message": said, "done": done, **(more or {})}


END = line(done=True, more={"done_reason": "stop", "prompt_eval_count": 3, "eval_count": 2})


def wire(*lines: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(one, ensure_ascii=False).encode() + b"\n" for one in lines)


def chunks_of(*pieces: bytes) -> list[Any]:
    decoder = CODEC.decoder(CALL)
    return [chunk for piece in pieces for chunk in decoder.feed(piece)] + list(decoder.finish())


def response(*lines: dict[str, Any]) -> Any:
    return CODEC.assemble(CALL, chunks_of(wire(*lines)))


@pytest.mark.parametrize(
    ("status", "message", "expected", "advice", "retryable"),
    [
        (400, "registry.ollama.ai/library/gemma3:1b does not support tools", BadRequestError, "Change the request", False),
        (400, "the input length exceeds the context length", ContextWindowExceededError, "num_ctx", False),
        (500, "prompt too long; exceeded max context length by 10 tokens", ContextWindowExceededError, "num_ctx", False),
        (401, "unauthorized", AuthenticationError, "OLLAMA_API_KEY", False),
        (403, "cloud models are disabled", PermissionDeniedError, "server", False),
        (404, "model 'a/b:1' not found", NotFoundError, "Run: ollama pull a/b:1", False),
        (404, 'model "llama3" not found, try pulling it first', NotFoundError, "Run: ollama pull llama3", False),
        (429, "you have reached your hourly usage limit", RateLimitError, "Wait", True),
        (500, "model requires more system memory (5.6 GiB) than is available (2.0 GiB)", InternalServerError, "smaller model", False),
        (500, "llama runner process has terminated", InternalServerError, "Try again", True),
        (502, "upstream unreachable", InternalServerError, "Try again", True),
        (503, "server busy, please try again. maximum pending requests exceeded", ServiceUnavailableError, "later", True),
    ],
)  # fmt: skip
def test_errors_are_of_their_kind(
    status: int, message: str, expected: type[APIError], advice: str, retryable: bool
) -> None:
    error = CODEC.error(status, {"retry-after": "3"}, json.dumps({"error": message}).encode())
    assert type(error) is expected
    assert (error.status_code, error.retryable, error.retry_after_s) == (status, retryable, 3)
    assert message.rstrip(".") in error.message
    assert advice in error.message


def test_a_wrong_base_url_is_told() -> None:
    error = CODEC.error(404, {}, b"404 page not found")
    assert isinstance(error, NotFoundError)
    assert "404 page not found. Is base_url the server's root" in error.message


@pytest.mark.parametrize("body", [b"", b"[]", b'{"error": 3}', b"\xff"])
def test_an_error_without_a_message_is_one_still(body: bytes) -> None:
    assert isinstance(CODEC.error(500, {}, body), InternalServerError)


@pytest.mark.parametrize(
    ("said", "expected", "status"),
    [
        ({"error": "an error was encountered while running the model"}, InternalServerError, 500),
        ({"error": "model 'x' not found"}, NotFoundError, 404),
        ({"error": "server busy"}, ServiceUnavailableError, 503),
        ({"error": "exceeded max context length"}, ContextWindowExceededError, 400),
        ({"error": {"message": "slow down"}, "status_code": 429}, RateLimitError, 429),
    ],
)
@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_an_error_line_is_raised_behind_what_had_arrived(
    said: dict[str, Any], expected: type[APIError], status: int, size: int
) -> None:
    data, decoder, got = wire(line("Hé"), said), CODEC.decoder(CALL), ""
    with pytest.raises(expected) as error:  # noqa: PT012 - where it is raised depends on the size
        for at in range(0, len(data), size):
            got += "".join(chunk.text for chunk in decoder.feed(data[at : at + size]))
        decoder.finish()
    assert (got, error.value.status_code) == ("Hé", status)
    with pytest.raises(expected):
        CODEC.decode(CALL, wire(said))


@pytest.mark.parametrize("data", [b"", wire(line("x")), wire(line("x")) + wire(END)[:-9], b"\n\n"])
def test_an_early_end_is_an_interruption(data: bytes) -> None:
    with pytest.raises(StreamInterruptedError) as error:
        chunks_of(data)
    assert (error.value.retryable, error.value.provider) == (True, "ollama")


def test_the_last_line_needs_no_end_and_what_follows_it_is_passed_over() -> None:
    assert CODEC.assemble(CALL, chunks_of(wire(line("x"), END).rstrip(b"\n"))).finish_reason == "stop"
    assert CODEC.assemble(CALL, chunks_of(wire(line("x"), END, {"error": "late"}))).text == "x"


@pytest.mark.parametrize(
    "data", [b"<html>\n", b"[1]\n", b"{}\n", wire(line(tool_calls=[{}])), wire({**line(), "message": 3})]
)
def test_nonsense_in_a_stream_is_not_an_answer(data: bytes) -> None:
    with pytest.raises(ResponseValidationError) as error:
        chunks_of(data)
    assert "html" not in str(error.value)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        wire(line("x")),
        wire({**END, "message": {"content": 3}}),
        wire({**END, "eval_count": "many"}),
    ],
)
def test_nonsense_is_not_an_answer(body: bytes) -> None:
    with pytest.raises(ResponseValidationError):
        CODEC.decode(CALL, body)


@pytest.mark.parametrize(
    ("reason", "calls", "expected"),
    [("stop", False, "stop"), ("length", False, "length"), ("load", False, "stop"), ("unload", False, "stop"), (None, False, "stop"),
     ("stop", True, "tool_calls"), ("length", True, "length")],
)  # fmt: skip
def test_finish_reasons(reason: str | None, calls: bool, expected: str) -> None:
    tools = {"tool_calls": [{"function": {"name": "f", "arguments": {}}}]} if calls else {}
    end = {**END, "done_reason": reason}
    whole = CODEC.decode(CALL, wire({**end, "message": {"role": "assistant", "content": "", **tools}}))
    streamed = response(line(**tools), end)
    for answer in (whole, streamed):
        assert (answer.finish_reason, answer.choices[0].native_finish_reason) == (expected, reason)


def test_tool_calls_are_counted_over_the_whole_answer_whatever_index_they_have() -> None:
    def called(name: str) -> dict[str, Any]:
        return {"function": {"index": 0, "name": name, "arguments": {"n": name}}}

    answer = response(line(tool_calls=[called("f"), called("f")]), line(tool_calls=[called("g")]), END)
    assert [(call.function.name, call.function.arguments) for call in answer.tool_calls] == [
        ("f", '{"n":"f"}'),
        ("f", '{"n":"f"}'),
        ("g", '{"n":"g"}'),
    ]
    assert len({call.id for call in answer.tool_calls}) == 3
    assert (
        answer.tool_calls
        == response(line(tool_calls=[called("f"), called("f")]), line(tool_calls=[called("g")]), END).tool_calls
    )


def test_a_prompt_that_was_not_counted_is_said_to_be_missing() -> None:
    end = {name: value for name, value in END.items() if name != "prompt_eval_count"}
    for read in (lambda call: CODEC.decode(call, wire(end)), lambda call: _streamed(call, wire(end))):
        attempt = Attempt(1, "ollama", "m", 0)
        usage = read(CALL.in_attempt(attempt)).usage
        assert (usage.prompt_tokens, usage.completion_tokens, attempt.usage_source) == (0, 2, "partial")


def test_whole_counts_leave_the_attempt_alone_and_no_counts_are_no_usage() -> None:
    attempt = Attempt(1, "ollama", "m", 0)
    assert _streamed(CALL.in_attempt(attempt), wire(END)).usage.total_tokens == 5
    assert CODEC.decode(CALL, wire(line(done=True))).usage is None
    assert attempt.usage_source == "missing"


def _streamed(call: Call, data: bytes) -> Any:
    decoder = CODEC.decoder(call)
    return CODEC.assemble(call, [*decoder.feed(data), *decoder.finish()])


def test_log_probabilities_are_openais() -> None:
    item = {"token": "x", "logprob": -0.5, "top_logprobs": [{"token": "x", "logprob": -0.5}]}
    whole = CODEC.decode(CALL, wire({**END, "logprobs": [item, item]}))
    streamed = response({**line("x"), "logprobs": [item]}, {**END, "logprobs": [item]})
    assert whole.choices[0].logprobs == streamed.choices[0].logprobs == {"content": [item, item]}


def test_a_time_that_cannot_be_read_is_now() -> None:
    assert CODEC.decode(CALL, wire({**END, "created_at": "soon"})).created == CALL.clock.wall_ns() // 1_000_000_000


@pytest.mark.parametrize("body", [b"", b"{}", b'{"embeddings": 3}', b'{"embeddings": [["x"]]}'])
def test_nonsense_is_no_embedding(body: bytes, call_of: Any) -> None:
    with pytest.raises(ResponseValidationError):
        CODEC.decode(call_of({"operation": "embeddings", "input": "x"}), body)


def test_nonsense_is_no_model() -> None:
    with pytest.raises(ResponseValidationError):
        shown_model(b"{}")
    with pytest.raises(NotFoundError):
        shown_model(b'{"error": "model \'x\' not found"}')


def test_capabilities_are_told_where_the_server_has_them() -> None:
    body = b'{"details": {"family": "f"}, "capabilities": ["completion", "tools"], "model_info": {"general.architecture": "f", "f.context_length": "?"}}'
    shown = shown_model(body)
    assert shown.capabilities == {"completion", "tools"}
    assert shown.context_tokens is None


def test_a_line_without_an_end_is_not_held_for_ever() -> None:
    lines = LineDecoder(max_line_bytes=10)
    assert lines.feed(b"12345678\n90") == [b"12345678"]
    with pytest.raises(ResponseValidationError, match="at most 10 bytes"):
        lines.feed(b"123456789")


@given(
    texts=st.lists(st.text(alphabet=st.characters(exclude_categories=("Cs",)), min_size=1, max_size=6), max_size=6),
    cuts=st.lists(st.integers(0, 1_500), max_size=12),
    line_end=st.sampled_from([b"\n", b"\r\n", b"\n\n"]),
    ended=st.booleans(),
)
@settings(max_examples=80, deadline=None)
def test_any_split_gives_the_same_text(texts: list[str], cuts: list[int], line_end: bytes, ended: bool) -> None:
    data = wire(*(line(text) for text in texts), END).replace(b"\n", line_end)
    data = data if ended else data.rstrip(b"\r\n")
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    chunks = chunks_of(*(data[start:end] for start, end in itertools.pairwise(edges)))
    assert [chunk.text for chunk in chunks] == [*texts, ""]


@given(
    lines=st.lists(st.binary(max_size=12).map(lambda raw: raw.replace(b"\n", b"").strip()), max_size=8),
    cuts=st.lists(st.integers(0, 120), max_size=8),
)
@settings(max_examples=80, deadline=None)
def test_any_split_gives_the_same_lines(lines: list[bytes], cuts: list[int]) -> None:
    data = b"\n".join(lines)
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    decoder = LineDecoder()
    found = [one for start, end in itertools.pairwise(edges) for one in decoder.feed(data[start:end])]
    assert found + decoder.finish() == [one for one in lines if one]
