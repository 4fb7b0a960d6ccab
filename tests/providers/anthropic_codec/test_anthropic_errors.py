"""Errors of the Messages API as ours: class, fields, and a message without keys or prompts."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from glassway.pipeline.call import Call
from glassway.pipeline.errors import (
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    ConflictError,
    ContentPolicyError,
    ContextWindowExceededError,
    InternalServerError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    ResponseValidationError,
    ServiceUnavailableError,
)
from glassway.pipeline.types import ChatRequest
from glassway.providers.codecs.anthropic import AnthropicCodec
from glassway.testing import FakeClock

CODEC = AnthropicCodec()
CORPUS = Path(os.environ.get("GLASSWAY_CORPUS") or Path(__file__).parents[3] / "../shared/corpus").resolve()


def error(status: int, kind: str = "", message: str = "m", headers: dict[str, str] | None = None) -> APIStatusError:
    body = {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_body"}
    return CODEC.error(status, headers or {}, json.dumps(body).encode())


@pytest.mark.parametrize(
    ("status", "kind", "expected", "retryable"),
    [
        (400, "invalid_request_error", BadRequestError, False),
        (401, "authentication_error", AuthenticationError, False),
        (402, "billing_error", RateLimitError, False),
        (403, "permission_error", PermissionDeniedError, False),
        (404, "not_found_error", NotFoundError, False),
        (409, "invalid_request_error", ConflictError, True),
        (413, "request_too_large", BadRequestError, False),
        (429, "rate_limit_error", RateLimitError, True),
        (500, "api_error", InternalServerError, True),
        (504, "timeout_error", InternalServerError, True),
        (529, "overloaded_error", ServiceUnavailableError, True),
        (503, "", ServiceUnavailableError, True),
        (418, "something_new", BadRequestError, False),
        (502, "something_new", InternalServerError, True),
    ],
)
def test_each_type_has_its_class(status: int, kind: str, expected: type[APIStatusError], retryable: bool) -> None:
    found = error(status, kind)
    assert type(found) is expected
    assert (found.status_code, found.retryable, found.provider, found.request_id) == (
        status,
        retryable,
        "anthropic",
        "req_body",
    )


@pytest.mark.parametrize(
    "message",
    [
        "prompt is too long: 210000 tokens > 200000 maximum",
        "input length and `max_tokens` exceed context limit: 178959 + 64000 > 200000, decrease input length or `max_tokens` and try again",
    ],
)
def test_too_long_a_prompt_is_told_apart(message: str) -> None:
    found = error(400, "invalid_request_error", message)
    assert type(found) is ContextWindowExceededError
    assert message in found.message


def test_a_limit_of_output_is_not_the_context_window() -> None:
    message = (
        "max_tokens: 99999 > 8192, which is the maximum allowed number of output tokens for claude-3-5-haiku-20241022"
    )
    assert type(error(400, "invalid_request_error", message)) is BadRequestError


def test_content_filtering_is_told_apart() -> None:
    assert type(error(400, "invalid_request_error", "Output blocked by content filtering policy")) is ContentPolicyError


def test_an_empty_account_is_worth_no_retry_and_is_the_callers_move() -> None:
    found = error(400, "invalid_request_error", "Your credit balance is too low to access the Anthropic API.")
    assert type(found) is RateLimitError
    assert (found.retryable, found.fault) == (False, "caller")


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "12"}, 12.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after": "Sat, 21 Nov 2026 10:00:30 GMT", "date": "Sat, 21 Nov 2026 10:00:00 GMT"}, 30.0),
        ({"retry-after": "Sat, 21 Nov 2026 09:00:00 GMT", "date": "Sat, 21 Nov 2026 10:00:00 GMT"}, 0.0),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "Sat, 21 Nov 2026 10:00:30 GMT"}, None),
        ({}, None),
    ],
)
def test_the_vendor_says_how_long_to_wait(headers: dict[str, str], seconds: float | None) -> None:
    assert error(429, "rate_limit_error", headers=headers).retry_after_s == seconds


@pytest.mark.parametrize(("said", "retryable"), [("true", True), ("false", False)])
def test_the_vendor_says_whether_to_try_again(said: str, retryable: bool) -> None:
    for status in (400, 529):
        assert error(status, headers={"x-should-retry": said}).retryable is retryable


def test_the_requests_id_is_the_headers_first() -> None:
    assert error(500, headers={"request-id": "req_header"}).request_id == "req_header"


@pytest.mark.parametrize(
    "body", [b"", b"<html>SECRET</html>", b"[1]", b'"text"', b'{"error": "text"}', b'{"error": null}', b"\xff\xfe"]
)
def test_a_body_that_is_no_error_leaves_the_status(body: bytes) -> None:
    found = CODEC.error(502, {}, body)
    assert type(found) is InternalServerError
    assert "SECRET" not in found.message


def test_behind_a_cloud_the_clouds_own_errors_are_read_too() -> None:
    body = {"error": {"code": 404, "message": "Publisher Model `x` was not found.", "status": "NOT_FOUND"}}
    found = AnthropicCodec(provider="vertex", host="vertex").error(404, {}, json.dumps(body).encode())
    assert type(found) is NotFoundError
    assert found.provider == "vertex"
    assert "NOT_FOUND: Publisher Model `x` was not found." in found.message


def test_keys_and_prompts_are_not_repeated() -> None:
    found = error(
        400, "invalid_request_error", "bad key sk-ant-api03-AAAA1111BBBB2222 for input_value='my PROMPT' " + "x" * 5_000
    )
    assert "AAAA1111" not in found.message
    assert "PROMPT" not in found.message
    assert len(found.message) < 500


def test_error_shapes_that_were_reported_publicly() -> None:
    file = CORPUS / "error_shapes.json"
    if not file.exists():
        pytest.skip(f"no recorded exchanges at {CORPUS}")
    expected = {529: ServiceUnavailableError, 500: InternalServerError, 429: RateLimitError}
    shapes: list[dict[str, Any]] = [shape for shape in json.loads(file.read_text()) if shape["provider"] == "anthropic"]
    found = {
        shape["status"]: type(CODEC.error(shape["status"], {}, json.dumps(shape["body"]).encode())) for shape in shapes
    }
    assert found == expected


CALL = Call.start(
    ChatRequest.model_validate({"model": "claude-x", "messages": [{"role": "user", "content": "x"}]}), clock=FakeClock()
)


def test_an_error_in_a_200_is_an_error() -> None:
    body = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    with pytest.raises(ServiceUnavailableError) as found:
        CODEC.decode(CALL, json.dumps(body).encode())
    assert found.value.status_code == 529


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>PAGE</html>",
        b"[]",
        b'{"type": "message"}',
        b'{"content": [{"type": "text"}], "usage": {}}',
        b'{"content": [{"type": "tool_use", "id": "t"}], "usage": {}}',
        b'{"content": [1], "usage": {}}',
        b'{"content": [], "usage": [1]}',
        b'{"content": [], "usage": {"input_tokens": "many"}}',
    ],
)
def test_a_body_that_is_no_message_is_not_an_answer(body: bytes) -> None:
    with pytest.raises(ResponseValidationError) as found:
        CODEC.decode(CALL, body)
    assert "PAGE" not in str(found.value)
