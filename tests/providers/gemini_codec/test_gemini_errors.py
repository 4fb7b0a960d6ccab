"""Google's errors as ours: `google.rpc.Status` in all its shapes."""

from __future__ import annotations

import json
from typing import Any

import pytest

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
    ServiceUnavailableError,
)
from glassway.providers.codecs.gemini import GeminiCodec


def error(
    code: int, status: str, message: str = "m", details: Any = None, *, array: bool = False, **headers: str
) -> APIStatusError:
    body: Any = {
        "error": {
            "code": code,
            "message": message,
            "status": status,
            **({"details": details} if details is not None else {}),
        }
    }
    return GeminiCodec().error(code, headers, json.dumps([body] if array else body).encode())


@pytest.mark.parametrize("array", [False, True], ids=["object", "array"])
@pytest.mark.parametrize(
    ("code", "status", "message", "kind"),
    [
        (400, "INVALID_ARGUMENT", "Request contains an invalid argument.", BadRequestError),
        (
            400,
            "INVALID_ARGUMENT",
            "The input token count (1250074) exceeds the maximum number of tokens allowed (1048576).",
            ContextWindowExceededError,
        ),
        (
            400,
            "INVALID_ARGUMENT",
            "The input token count exceeds the maximum number of tokens allowed 1048575.",
            ContextWindowExceededError,
        ),
        (400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.", AuthenticationError),
        (400, "INVALID_ARGUMENT", "API key expired. Please renew the API key.", AuthenticationError),
        (400, "FAILED_PRECONDITION", "User location is not supported for the API use.", PermissionDeniedError),
        (400, "INVALID_ARGUMENT", "The prompt violates the Generative AI Prohibited Use Policy.", ContentPolicyError),
        (401, "UNAUTHENTICATED", "API keys are not supported by this API.", AuthenticationError),
        (403, "PERMISSION_DENIED", "Your API key was reported as leaked.", PermissionDeniedError),
        (404, "NOT_FOUND", "models/x is not found", NotFoundError),
        (409, "ABORTED", "m", ConflictError),
        (429, "RESOURCE_EXHAUSTED", "Resource exhausted. Please try again later.", RateLimitError),
        (500, "INTERNAL", "An internal error has occurred.", InternalServerError),
        (503, "UNAVAILABLE", "The model is overloaded.", ServiceUnavailableError),
        (504, "DEADLINE_EXCEEDED", "The request timed out.", InternalServerError),
    ],
)
def test_each_error_has_its_class(code: int, status: str, message: str, kind: type, array: bool) -> None:
    found = error(code, status, message, array=array)
    assert type(found) is kind
    assert (found.status_code, found.provider) == (code, "gemini")
    assert status in found.message
    assert message[:30] in found.message


def quota(quota_id: str, value: str = "10") -> dict[str, Any]:
    return {
        "@type": "type.googleapis.com/google.rpc.QuotaFailure",
        "violations": [{"quotaId": quota_id, "quotaValue": value}],
    }


RETRY = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.074824224s"}


def test_a_rate_says_when_to_come_back() -> None:
    found = error(
        429, "RESOURCE_EXHAUSTED", details=[quota("GenerateRequestsPerMinutePerProjectPerModel-FreeTier"), RETRY]
    )
    assert found.retryable
    assert found.retry_after_s == pytest.approx(34.074824224)


@pytest.mark.parametrize(
    ("message", "details"),
    [
        ("You exceeded your current quota", [quota("GenerateRequestsPerDayPerProjectPerModel-FreeTier"), RETRY]),
        ("You exceeded your current quota", [quota("GenerateRequestsPerMinutePerProject", "0")]),
        ("Your prepayment credits are depleted.", None),
    ],
)
def test_a_quota_that_is_used_up_is_not_worth_another_try(message: str, details: Any) -> None:
    found = error(429, "RESOURCE_EXHAUSTED", message, details)
    assert isinstance(found, RateLimitError)
    assert not found.retryable
    assert found.fault == "caller"


def test_a_reason_says_more_than_the_message() -> None:
    info = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}
    assert type(error(400, "INVALID_ARGUMENT", "Ungültiger Schlüssel.", [info])) is AuthenticationError


def test_headers_and_the_message_say_it_too() -> None:
    assert error(429, "RESOURCE_EXHAUSTED", **{"retry-after": "7"}).retry_after_s == 7
    assert error(429, "RESOURCE_EXHAUSTED", "Quota exceeded. Please retry in 12.5s.").retry_after_s == 12.5
    assert error(429, "RESOURCE_EXHAUSTED").retry_after_s is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>bad gateway</html>",
        b"[]",
        b"[1]",
        b'{"error": "x"}',
        b'{"error": {"details": 5, "status": null}}',
        b"\xff",
    ],
)
@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, BadRequestError), (429, RateLimitError), (502, InternalServerError), (503, ServiceUnavailableError)],
)
def test_an_error_of_any_shape_has_its_status(body: bytes, status: int, kind: type) -> None:
    found = GeminiCodec().error(status, {}, body)
    assert type(found) is kind
    assert found.status_code == status


def test_no_key_is_repeated() -> None:
    found = error(400, "INVALID_ARGUMENT", "API key not valid: AIzaSyCanaryCanaryCanary0123456789")
    assert "Canary" not in str(found)
