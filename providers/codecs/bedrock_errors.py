"""The vendor's errors as ours: of a status, and of a frame inside a stream.

Source: https://docs.aws.amazon.com/bedrock/latest/userguide/troubleshooting-api-error-codes.html,
https://docs.aws.amazon.com/IAM/latest/UserGuide/signature-v4-troubleshooting.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from ...pipeline.errors import (
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    ContentPolicyError,
    ContextWindowExceededError,
    InternalServerError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    ServiceUnavailableError,
    status_error_class,
)
from ..redaction import MASK, safe_message
from ..retry_after import retry_after_s
from .plain_json import json_object

_TYPES: Final[Mapping[str, tuple[type[APIStatusError], int]]] = {
    "ValidationException": (BadRequestError, 400),
    "ServiceQuotaExceededException": (RateLimitError, 400),
    "UnrecognizedClientException": (AuthenticationError, 403),
    "InvalidClientTokenId": (AuthenticationError, 403),
    "InvalidSignatureException": (AuthenticationError, 403),
    "SignatureDoesNotMatch": (AuthenticationError, 403),
    "IncompleteSignatureException": (AuthenticationError, 403),
    "MissingAuthenticationTokenException": (AuthenticationError, 403),
    "ExpiredTokenException": (AuthenticationError, 403),
    "ExpiredToken": (AuthenticationError, 403),
    "RequestExpired": (AuthenticationError, 403),
    "AccessDeniedException": (PermissionDeniedError, 403),
    "OptInRequired": (PermissionDeniedError, 403),
    "ResourceNotFoundException": (NotFoundError, 404),
    "ModelTimeoutException": (InternalServerError, 408),
    "ModelErrorException": (InternalServerError, 424),
    "ModelStreamErrorException": (InternalServerError, 424),
    "ThrottlingException": (RateLimitError, 429),
    "ModelNotReadyException": (ServiceUnavailableError, 429),
    "InternalServerException": (InternalServerError, 500),
    "InternalFailure": (InternalServerError, 500),
    "ServiceUnavailableException": (ServiceUnavailableError, 503),
    "ServiceUnavailable": (ServiceUnavailableError, 503),
}
_TOO_LONG: Final = re.compile(
    r"(?:prompt|input) is too long|input tokens exceeded|too many (?:total text bytes|input tokens)|context (?:window|length|size|limit)"
    r"|exceeds? (?:the )?(?:maximum|model's|context).{0,40}(?:tokens|length)|maximum (?:prompt|input) (?:length|tokens)",
    re.IGNORECASE,
)
_POLICY: Final = re.compile(
    r"content filtering policy|blocked by .{0,30}(?:filter|policy)|violat\w+ .{0,60}policy", re.IGNORECASE
)
_BAD_KEY: Final = re.compile(
    r"api key|bearer token|security token|credentials?\b.{0,40}(?:expired|invalid)", re.IGNORECASE
)
_DAILY: Final = re.compile(r"tokens per day|per day", re.IGNORECASE)
_ACCOUNT: Final = re.compile(r"(\barn:aws[\w-]*:[\w-]*:[\w-]*:)\d{12}|\b\d{12}\b")

_ADVICE: Final = (
    (re.compile(r"service control policy|explicit deny", re.IGNORECASE), "A policy of the organisation denies this, perhaps for this region only: try region=... of an allowed one, or ask its administrator."),
    (re.compile(r"not authorized to perform|resource-based policy|identity-based policy", re.IGNORECASE), "Allow bedrock:InvokeModel (for streams bedrock:InvokeModelWithResponseStream) for this model and region in the IAM policy."),
    (re.compile(r"access to the model|model access|marketplace|use case details", re.IGNORECASE), "Ask for access to the model in the Bedrock console, in this region: access is granted region by region."),
    (re.compile(r"on-demand throughput", re.IGNORECASE), "Use the model's inference profile: its id with the region group before it, such as us., eu. or global."),
    (re.compile(r"model identifier is invalid|not supported in (?:this|your) region|isn't supported in", re.IGNORECASE), "Check the model's id, and that the region serves it (region=...)."),
    (re.compile(r"end of its life|legacy|deprecated", re.IGNORECASE), "Use a newer version of the model."),
)  # fmt: skip
"""What the message tells of the next step, where its class alone tells too little."""

_NEXT: Final[Mapping[type[APIStatusError], str]] = {
    ContextWindowExceededError: "Send less, ask for fewer tokens, or fall back to a model with a larger window.",
    ContentPolicyError: "Change the content, or fall back to another vendor.",
    BadRequestError: "Change the request: it will fail again as it is.",
    AuthenticationError: "Check the AWS credentials (keys, profile, session token, AWS_BEARER_TOKEN_BEDROCK) and this machine's clock.",
    PermissionDeniedError: "Check the IAM policy, the model's access, and the region.",
    NotFoundError: "Check the model's id or ARN, and that it is in this region.",
    RateLimitError: "Wait, spread the load, or use a cross-region inference profile.",
    InternalServerError: "Try again.",
    ServiceUnavailableError: "Try again later, or fall back to another region or vendor.",
}


def status_error(status_code: int, headers: Mapping[str, str], body: bytes, provider: str) -> APIStatusError:
    """The error of a status of 400 or more; `headers` have lower-case names."""
    data = json_object(body) or {}
    named = headers.get("x-amzn-errortype") or data.get("__type") or data.get("code") or ""
    return _error(
        _type_name(str(named)),
        _message(data),
        status_code,
        provider,
        request_id=headers.get("x-amzn-requestid"),
        retry_after=retry_after_s(headers),
    )


def frame_error(name: str, payload: bytes, provider: str) -> APIStatusError:
    """The error of an exception frame (`throttlingException` ...) in a stream that began with a 200."""
    kind = _type_name(name)
    data = json_object(payload) or {}
    status_code = data.get("originalStatusCode")
    if not isinstance(status_code, int) or status_code < 400:
        status_code = _TYPES[kind][1] if kind in _TYPES else 500
    return _error(kind, _message(data) or payload.decode("utf-8", "replace")[:1_000], status_code, provider)


def _type_name(text: str) -> str:
    """`ValidationException:http://...`, `com.amazon.coral.service#UnknownOperationException`, `throttlingException`: the name."""
    name = text.partition(":")[0].rpartition("#")[2].strip()
    return name[:1].upper() + name[1:]


def _message(data: Mapping[str, Any]) -> str:
    said = data.get("message") or data.get("Message") or data.get("originalMessage") or ""
    return said if isinstance(said, str) else ""


def _error(
    kind: str,
    message: str,
    status_code: int,
    provider: str,
    *,
    request_id: str | None = None,
    retry_after: float | None = None,
) -> APIStatusError:
    error_class = _class(kind, message, status_code)
    shown = _ACCOUNT.sub(rf"\1{MASK}", message)
    said = (safe_message(shown) or "no message").rstrip(".")
    exhausted = error_class is RateLimitError and (
        kind == "ServiceQuotaExceededException" or bool(_DAILY.search(message))
    )
    return error_class(
        f"Bedrock answered {status_code}{f' {kind[:64]}' if kind else ''}: {said}. {_advice(error_class, message, exhausted=exhausted)}".rstrip(),
        provider=provider,
        request_id=request_id,
        status_code=status_code,
        retry_after_s=retry_after,
        retryable=False if exhausted else None,
        fault="caller" if exhausted else None,
    )


def _class(kind: str, message: str, status_code: int) -> type[APIStatusError]:
    error_class = _TYPES[kind][0] if kind in _TYPES else status_error_class(status_code)
    if error_class is PermissionDeniedError and _BAD_KEY.search(message):
        return AuthenticationError
    if issubclass(error_class, BadRequestError) or status_code == 400:
        if _TOO_LONG.search(message):
            return ContextWindowExceededError
        if _POLICY.search(message):
            return ContentPolicyError
    return error_class


def _advice(error_class: type[APIStatusError], message: str, *, exhausted: bool) -> str:
    if exhausted:
        return "The account's quota is used up: ask AWS to raise it, or fall back to another region or vendor."
    if issubclass(error_class, (ContextWindowExceededError, ContentPolicyError, AuthenticationError)):
        return _NEXT[error_class]
    return next((advice for pattern, advice in _ADVICE if pattern.search(message)), _NEXT.get(error_class, ""))
