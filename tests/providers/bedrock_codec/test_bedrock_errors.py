"""Statuses and messages of Bedrock as errors of ours."""

from __future__ import annotations

import json

import pytest

from glassway.pipeline.errors import APIStatusError
from glassway.providers.codecs.bedrock import BedrockCodec

CODEC = BedrockCodec()
CORAL = ":http://internal.amazon.com/coral/com.amazon.bedrock/"


def error(status: int, kind: str, message: str, **headers: str) -> APIStatusError:
    return CODEC.error(
        status,
        {"x-amzn-errortype": kind + CORAL, "x-amzn-requestid": "r-1", **headers},
        json.dumps({"message": message}).encode(),
    )


@pytest.mark.parametrize(
    ("status", "kind", "message", "expected", "retryable"),
    [
        (400, "ValidationException", "1 validation error detected", "BadRequestError", False),
        (400, "ValidationException", "Input is too long for requested model.", "ContextWindowExceededError", False),
        (400, "ValidationException", "prompt is too long: 903884 tokens > 200000 maximum", "ContextWindowExceededError", False),
        (400, "ValidationException", "input length and `max_tokens` exceed context limit: 190000", "ContextWindowExceededError", False),
        (400, "ValidationException", "too many total text bytes: 25000000 > 24000000", "ContextWindowExceededError", False),
        (400, "ValidationException", "This model's maximum context length is 202752 tokens. However, you requested 65536", "ContextWindowExceededError", False),
        (400, "ValidationException", "Too many input tokens. Max input tokens: 8192, request input token count: 9000", "ContextWindowExceededError", False),
        (400, "ValidationException", "The maximum tokens you requested exceeds the model limit of 4096", "BadRequestError", False),
        (400, "ValidationException", "Output blocked by content filtering policy", "ContentPolicyError", False),
        (403, "AccessDeniedException", "You don't have access to the model with the specified model ID.", "PermissionDeniedError", False),
        (403, "AccessDeniedException", "Authentication failed: Please make sure your API Key is valid.", "AuthenticationError", False),
        (403, "AccessDeniedException", "Bearer Token has expired", "AuthenticationError", False),
        (403, "ExpiredTokenException", "The security token included in the request is expired", "AuthenticationError", False),
        (403, "UnrecognizedClientException", "The security token included in the request is invalid.", "AuthenticationError", False),
        (403, "InvalidSignatureException", "Signature expired: 20260101T000000Z is now earlier than", "AuthenticationError", False),
        (403, "MissingAuthenticationTokenException", "Missing Authentication Token", "AuthenticationError", False),
        (404, "ResourceNotFoundException", "Could not resolve the foundation model from the provided model identifier.", "NotFoundError", False),
        (408, "ModelTimeoutException", "Model has timed out in processing the request.", "InternalServerError", True),
        (424, "ModelErrorException", "The model failed", "InternalServerError", True),
        (429, "ThrottlingException", "Too many requests, please wait before trying again.", "RateLimitError", True),
        (429, "ThrottlingException", "Too many tokens per day, please wait before trying again.", "RateLimitError", False),
        (429, "ModelNotReadyException", "Model is not ready for inference.", "ServiceUnavailableError", True),
        (400, "ServiceQuotaExceededException", "Your request exceeds the service quota for your account", "RateLimitError", False),
        (500, "InternalServerException", "The system encountered an unexpected error", "InternalServerError", True),
        (503, "ServiceUnavailableException", "Bedrock is unable to process your request.", "ServiceUnavailableError", True),
        (503, "", "", "ServiceUnavailableError", True),
        (418, "TeapotException", "short and stout", "BadRequestError", False),
    ],
)  # fmt: skip
def test_what_a_status_means(status: int, kind: str, message: str, expected: str, retryable: bool) -> None:
    raised = error(status, kind, message)
    assert (type(raised).__name__, raised.retryable) == (expected, retryable)
    assert (raised.status_code, raised.request_id, raised.provider) == (status, "r-1", "bedrock")
    assert message.rstrip(".")[:60] in raised.message


@pytest.mark.parametrize(
    ("status", "kind", "message", "advice"),
    [
        (403, "AccessDeniedException", "User is not authorized to perform: bedrock:InvokeModel on resource", "IAM policy"),
        (403, "AccessDeniedException", "not authorized to perform: bedrock:InvokeModel with an explicit deny in a service control policy", "organisation"),
        (403, "AccessDeniedException", "You don't have access to the model with the specified model ID.", "region by region"),
        (400, "ValidationException", "Invocation of model ID x with on-demand throughput isn't supported.", "inference profile"),
        (400, "ValidationException", "The provided model identifier is invalid.", "region=..."),
        (404, "ResourceNotFoundException", "This model version has reached the end of its life.", "newer version"),
        (403, "UnrecognizedClientException", "The security token included in the request is invalid.", "credentials"),
        (429, "ThrottlingException", "Too many tokens, please wait before trying again.", "cross-region"),
        (429, "ThrottlingException", "Too many tokens per day, please wait.", "quota"),
    ],
)  # fmt: skip
def test_the_next_step_tells_region_from_permission(status: int, kind: str, message: str, advice: str) -> None:
    assert advice in error(status, kind, message).message


def test_the_name_may_stand_in_the_body_and_the_message_may_be_capital() -> None:
    body = b'{"__type": "com.amazon.coral.service#UnrecognizedClientException", "Message": "no"}'
    raised = CODEC.error(403, {}, body)
    assert type(raised).__name__ == "AuthenticationError"
    assert "UnrecognizedClientException: no" in raised.message


@pytest.mark.parametrize("body", [b"", b"<html>" * 99, b"[1]", b'{"message": {"a": 1}}', b'"x"'])
def test_a_body_that_is_no_error_leaves_the_status(body: bytes) -> None:
    raised = CODEC.error(502, {}, body)
    assert (type(raised).__name__, raised.status_code) == ("InternalServerError", 502)
    assert "no message" in raised.message


def test_how_long_to_wait_is_read() -> None:
    assert error(429, "ThrottlingException", "slow", **{"retry-after": "7"}).retry_after_s == 7


def test_accounts_and_keys_are_masked() -> None:
    message = "User: arn:aws:iam::123456789012:user/ann is not authorized to perform: bedrock:InvokeModel with AKIAIOSFODNN7EXAMPLE"
    said = error(403, "AccessDeniedException", message).message
    assert "123456789012" not in said
    assert "AKIAIOSFODNN7EXAMPLE" not in said
    assert "not authorized to perform" in said
