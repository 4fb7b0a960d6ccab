"""The vendor's errors as ours.

Source: https://ai.google.dev/gemini-api/docs/troubleshooting, https://cloud.google.com/apis/design/errors
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from ...pipeline.errors import (
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
    status_error_class,
)
from ..redaction import safe_message
from ..retry_after import retry_after_s, seconds_in_message
from .gemini_names import Json
from .plain_json import read_json

_STATUS: Final[Mapping[str, tuple[type[APIStatusError], int]]] = {
    "INVALID_ARGUMENT": (BadRequestError, 400),
    "FAILED_PRECONDITION": (BadRequestError, 400),
    "OUT_OF_RANGE": (BadRequestError, 400),
    "UNAUTHENTICATED": (AuthenticationError, 401),
    "PERMISSION_DENIED": (PermissionDeniedError, 403),
    "NOT_FOUND": (NotFoundError, 404),
    "ABORTED": (ConflictError, 409),
    "ALREADY_EXISTS": (ConflictError, 409),
    "RESOURCE_EXHAUSTED": (RateLimitError, 429),
    "CANCELLED": (InternalServerError, 499),
    "INTERNAL": (InternalServerError, 500),
    "UNKNOWN": (InternalServerError, 500),
    "DATA_LOSS": (InternalServerError, 500),
    "UNIMPLEMENTED": (InternalServerError, 501),
    "UNAVAILABLE": (ServiceUnavailableError, 503),
    "DEADLINE_EXCEEDED": (InternalServerError, 504),
}
_TOO_LONG: Final = re.compile(
    r"token count.*exceeds the maximum|exceeds the maximum number of tokens|maximum (?:context|input) (?:length|tokens)|context (?:window|length)",
    re.IGNORECASE | re.DOTALL,
)
_BAD_KEY: Final = re.compile(
    r"API key (?:not valid|expired|not found|was reported)|API_KEY_(?:INVALID|EXPIRED)", re.IGNORECASE
)
_REGION: Final = re.compile(r"location is not supported|not available in your (?:country|region)", re.IGNORECASE)
_POLICY: Final = re.compile(
    r"prohibited use policy|responsible ai|safety (?:filter|polic|setting)\w*|content polic(?:y|ies)|was blocked",
    re.IGNORECASE,
)
_USED_UP: Final = re.compile(
    r"prepay\w* credits?|credits? (?:are|is|have been) depleted|spend\w* (?:cap|limit)", re.IGNORECASE
)

_NEXT: Final[Mapping[type[APIStatusError], str]] = {
    ContextWindowExceededError: "Send less, or fall back to a model with a larger window.",
    ContentPolicyError: "Change the content, or fall back to another vendor.",
    BadRequestError: "Change the request: it will fail again as it is.",
    AuthenticationError: "Check the key or token: GEMINI_API_KEY for AI Studio, an access token for Vertex AI.",
    PermissionDeniedError: "Check what the key or the project may use, and where.",
    NotFoundError: "Check the model's name, the location and base_url.",
    RateLimitError: "Wait, or spread the load.",
    InternalServerError: "Try again.",
    ServiceUnavailableError: "Try again later, or fall back to another vendor.",
}


def status_error(status_code: int, headers: Mapping[str, str], body: bytes, provider: str) -> APIStatusError:
    """The error of a status of 400 or more; `headers` have lower-case names."""
    return _error(error_object(_parsed(body)) or {}, status_code, headers, provider)


def body_error(error: Json, provider: str) -> APIStatusError:
    """The error of an `error` object in a 200: inside a stream, or a whole body."""
    code = error.get("code")
    status_code = (
        code if isinstance(code, int) and code >= 400 else _STATUS.get(error.get("status") or "", (None, 500))[1]
    )
    return _error(error, status_code, {}, provider)


def error_object(data: Any) -> Json | None:
    """The `error` of a body; a stream that is a JSON array has it inside of one."""
    if isinstance(data, list):
        data = data[0] if data else None
    error = data.get("error") if isinstance(data, dict) else None
    return error if isinstance(error, dict) else None


def _parsed(body: bytes) -> Any:
    try:
        return read_json(body)
    except ValueError:
        return None


def _error(error: Json, status_code: int, headers: Mapping[str, str], provider: str) -> APIStatusError:
    message, status = str(error.get("message") or ""), str(error.get("status") or "")
    details = (
        [one for one in error.get("details") or () if isinstance(one, dict)]
        if isinstance(error.get("details"), list)
        else []
    )
    error_class = _class(message, status, status_code, details)
    used_up = error_class is RateLimitError and (bool(_USED_UP.search(message)) or _per_day(details))
    said = (safe_message(message) or "no message").rstrip(".")
    advice = "Raise the quota, or fall back to another vendor." if used_up else _NEXT.get(error_class, "")
    return error_class(
        f"The vendor answered {status_code}{f' {status[:64]}' if status else ''}: {said}. {advice}".rstrip(),
        provider=provider,
        request_id=headers.get("x-goog-request-id"),
        status_code=status_code,
        retry_after_s=_wait_s(headers, details, message),
        retryable=False if used_up else None,
        fault="caller" if used_up else None,
    )


def _class(message: str, status: str, status_code: int, details: Sequence[Json]) -> type[APIStatusError]:
    error_class = _STATUS[status][0] if status in _STATUS else status_error_class(status_code)
    if not issubclass(error_class, BadRequestError):
        return error_class
    if _BAD_KEY.search(message) or "API_KEY_INVALID" in _reasons(details):
        return AuthenticationError
    if _REGION.search(message):
        return PermissionDeniedError
    if _TOO_LONG.search(message):
        return ContextWindowExceededError
    return ContentPolicyError if _POLICY.search(message) else error_class


def _reasons(details: Sequence[Json]) -> list[Any]:
    return [detail.get("reason") for detail in details]


def _per_day(details: Sequence[Json]) -> bool:
    """A quota of the day, or one of nothing at all, rather than a rate.

    Source: https://ai.google.dev/gemini-api/docs/rate-limits
    """
    return any("PerDay" in str(one.get("quotaId")) or str(one.get("quotaValue")) == "0" for one in _violations(details))


def _violations(details: Sequence[Json]) -> Iterator[Json]:
    for detail in details:
        violations = detail.get("violations")
        yield from (one for one in violations if isinstance(one, dict)) if isinstance(violations, list) else ()


def _wait_s(headers: Mapping[str, str], details: Sequence[Json], message: str) -> float | None:
    """`RetryInfo` says it in the body. Source: https://github.com/googleapis/googleapis/blob/master/google/rpc/error_details.proto"""
    for detail in details:
        delay = re.fullmatch(r"(\d+(?:\.\d+)?)s", str(detail.get("retryDelay")))
        if delay:
            return float(delay[1])
    told = retry_after_s(headers)
    return told if told is not None else seconds_in_message(message)
