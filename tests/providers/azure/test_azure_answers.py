"""What Azure OpenAI adds to OpenAI's answers and errors: content filters, its limits, its ids of requests."""

from __future__ import annotations

import json
import os
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from glassway.pipeline.call import Call
from glassway.pipeline.errors import (
    AuthenticationError,
    ContentPolicyError,
    ContextWindowExceededError,
    NotFoundError,
    RateLimitError,
)
from glassway.pipeline.types import ChatRequest, ChatResponse
from glassway.providers.catalogue import row_of
from glassway.providers.vendors import codec_of

CORPUS = Path(os.environ.get("GLASSWAY_CORPUS") or Path(__file__).parents[3] / "../shared/corpus").resolve()
FILES = sorted(CORPUS.glob("azure/chat-*.json"))
CODEC = codec_of(row_of("azure"))
CALL = Call.start(ChatRequest.model_validate({"model": "m", "messages": [{"role": "user", "content": "x"}]}))
FILTERS = {"hate": {"filtered": False, "severity": "safe"}}


@cache
def response(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text())["response"]
    return found


def recorded(*, answers: bool) -> pytest.MarkDecorator:
    paths: list[Any] = [path for path in FILES if (response(path)["status"] == 200) is answers]
    absent = pytest.param(None, marks=pytest.mark.skip(reason=f"no recorded exchanges at {CORPUS}"))
    return pytest.mark.parametrize("path", paths or [absent], ids=lambda path: getattr(path, "stem", "none"))


def read(path: Path) -> ChatResponse:
    body = response(path)["body_text"].encode()
    if not response(path)["streaming"]:
        answer = CODEC.decode(CALL, body)
    else:
        decoder = CODEC.decoder(CALL)
        answer = CODEC.assemble(CALL, [*decoder.feed(body), *decoder.finish()])
    assert isinstance(answer, ChatResponse)
    return answer


def filters_in(path: Path) -> Counter[str]:
    """How often the vendor speaks of filters, by where it does."""
    body = response(path)["body_text"]
    parts = (
        [line[6:] for line in body.split("\n") if line.startswith("data: {")] if response(path)["streaming"] else [body]
    )
    said = Counter[str]()
    for data in map(json.loads, parts):
        said["prompt"] += bool(data.get("prompt_filter_results"))
        said["choices"] += any(choice.get("content_filter_results") for choice in data.get("choices") or ())
    return said


@recorded(answers=True)
def test_what_the_content_filters_found_is_kept(path: Path) -> None:
    answer, said = read(path), filters_in(path)
    assert bool(answer.extra.get("prompt_filter_results")) == bool(said["prompt"])
    assert any(choice.extra.get("content_filter_results") for choice in answer.choices) == bool(said["choices"])


@recorded(answers=False)
def test_errors_carry_what_the_vendor_said(path: Path) -> None:
    headers = response(path)["headers"]
    error = CODEC.error(response(path)["status"], headers, response(path)["body_text"].encode())
    assert type(error) is {404: NotFoundError, 429: RateLimitError}[error.status_code or 0]
    assert error.request_id == headers["apim-request-id"]
    if "retry-after-ms" in headers:
        assert error.retry_after_s == max(int(headers["retry-after-ms"]) / 1000, int(headers["retry-after"]))


def test_filters_of_a_stream() -> None:
    events = [
        {"id": "", "choices": [], "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": FILTERS}]},
        {
            "id": "1",
            "model": "gpt-4o",
            "choices": [{"index": 0, "delta": {"content": "x"}, "content_filter_results": FILTERS}],
        },
        {"id": "1", "model": "gpt-4o", "choices": [{"index": 0, "delta": {}, "finish_reason": "content_filter"}]},
    ]
    decoder = CODEC.decoder(CALL)
    chunks = [chunk for event in events for chunk in decoder.feed(b"data: " + json.dumps(event).encode() + b"\n\n")]
    answer = CODEC.assemble(CALL, [*chunks, *decoder.finish()])
    assert isinstance(answer, ChatResponse)
    assert (answer.id, answer.model, answer.text, answer.finish_reason) == ("1", "gpt-4o", "x", "content_filter")
    assert answer.extra["prompt_filter_results"][0]["content_filter_results"] == FILTERS
    assert answer.choices[0].extra["content_filter_results"] == FILTERS


def error(status: int, body: Any, **headers: str) -> Any:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return CODEC.error(status, named, json.dumps(body).encode())


FILTERED = {
    "error": {
        "message": "The response was filtered due to the prompt triggering Azure OpenAI's content management policy.",
        "type": None,
        "param": "prompt",
        "code": "content_filter",
        "status": 400,
        "innererror": {"code": "ResponsibleAIPolicyViolation", "content_filter_result": FILTERS},
    }
}
"""Source: https://learn.microsoft.com/en-us/azure/ai-foundry/openai/concepts/content-filter"""


@pytest.mark.parametrize("code", ["content_filter", None])
def test_a_prompt_that_was_filtered(code: str | None) -> None:
    got = error(400, {"error": {**FILTERED["error"], "code": code}})
    assert type(got) is ContentPolicyError
    assert got.retryable is False


def test_a_prompt_that_is_too_long() -> None:
    said = {"message": "This model's maximum context length is 8192 tokens.", "code": "context_length_exceeded"}
    assert type(error(400, {"error": said})) is ContextWindowExceededError


def test_a_limit_says_when_to_come_back() -> None:
    message = "Requests have exceeded token rate limit of your current pricing tier. Please retry after 7 seconds."
    got = error(429, {"error": {"code": "429", "message": message}}, apim_request_id="r-1")
    assert (type(got), got.retry_after_s, got.retryable, got.request_id) == (RateLimitError, 7.0, True, "r-1")
    got = error(429, {"error": {"code": "429", "message": message}}, retry_after="2", retry_after_ms="2500")
    assert got.retry_after_s == 2.5


def test_a_wrong_key() -> None:
    message = "Access denied due to invalid subscription key or wrong API endpoint."
    assert type(error(401, {"error": {"code": "401", "message": message}})) is AuthenticationError
    assert type(error(401, {"statusCode": 401, "message": message})) is AuthenticationError
