"""The vendor's errors as ours.

Source: https://platform.claude.com/docs/en/api/errors
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
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
from ..redaction import safe_message
from .plain_json import json_object

_TYPES: Final[Mapping[str, tuple[type[APIStatusError], int]]] = {
    "invalid_request_error": (BadRequestError, 400),
    "authentication_error": (AuthenticationError, 401),
    "billing_error": (RateLimitError, 402),
    "permission_error": (PermissionDeniedError, 403),
    "not_found_error": (NotFoundError, 404),
    "request_too_large": (BadRequestError, 413),
    "rate_limit_error": (RateLimitError, 429),
    "api_error": (InternalServerError, 500),
    "timeout_error": (InternalServerError, 504),
    "overloaded_error": (ServiceUnavailableError, 529),
}
_TOO_LONG: Final = re.compile(
    r"prompt is too long|exceeds? (?:the )?(?:context|maximum context)|context (?:window|length|size|limit)|input is too long",
    re.IGNORECASE,
)
_POLICY: Final = re.compile(r"content filtering policy|violat\w+ .*(?:usage|content) policy", re.IGNORECASE)
_NO_MONEY: Final = re.compile(r"credit balance|billing|plan and billing|spend limit", re.IGNORECASE)

_NEXT: Final[Mapping[type[APIStatusError], str]] = {
    ContextWindowExceededError: "Send less, ask for fewer tokens, or fall back to a model with a larger window.",
    ContentPolicyError: "Change the content, or fall back to another vendor.",
    BadRequestError: "Change the request: it will fail again as it is.",
    AuthenticationError: "Check ANTHROPIC_API_KEY or api_key.",
    PermissionDeniedError: "Check what the key's workspace may use.",
    NotFoundError: "Check the model's name and base_url.",
    RateLimitError: "Wait, or spread the load.",
    InternalServerError: "Try again.",
    ServiceUnavailableError: "Try again later, or fall back to another vendor.",
}


def status_error(status_code: int, headers: Mapping[str, str], body: bytes, provider: str) -> APIStatusError:
    """The error of a status of 400 or more; `headers` have lower-case names."""
    kind, message, request_id = _read(json_object(body))
    should_retry = {"true": True, "false": False}.get(headers.get("x-should-retry", ""))
    return _error(
        kind,
        message,
        status_code=status_code,
        provider=provider,
        request_id=headers.get("request-id") or request_id,
        retry_after_s=retry_after_s(headers),
        should_retry=should_retry,
    )


def body_error(data: Mapping[str, Any], provider: str) -> APIStatusError:
    """The error of an object `{"type": "error", ...}` in a 200: an event of a stream, or a whole body."""
    kind, message, request_id = _read(data)
    status_code = _TYPES[kind][1] if kind in _TYPES else 500
    return _error(kind, message, status_code=status_code, provider=provider, request_id=request_id)


def _read(data: Mapping[str, Any] | None) -> tuple[str, str, str | None]:
    """Type, message and request id. Behind a cloud the object may be the cloud's: type is then empty."""
    error = (data or {}).get("error")
    error = error if isinstance(error, dict) else {}
    kind, message, request_id = error.get("type"), error.get("message"), (data or {}).get("request_id")
    return (
        str(kind or error.get("status") or ""),
        str(message or ""),
        request_id if isinstance(request_id, str) else None,
    )


def _error(
    kind: str,
    message: str,
    *,
    status_code: int,
    provider: str,
    request_id: str | None,
    retry_after_s: float | None = None,
    should_retry: bool | None = None,
) -> APIStatusError:
    broke = kind == "billing_error" or (status_code < 429 and bool(_NO_MONEY.search(message)))
    error_class = RateLimitError if broke else _class(kind, message, status_code)
    said = (safe_message(message) or "no message").rstrip(".")
    advice = "Top up the account, or fall back to another vendor." if broke else _NEXT.get(error_class, "")
    return error_class(
        f"The vendor answered {status_code}{f' {kind[:64]}' if kind else ''}: {said}. {advice}".rstrip(),
        provider=provider,
        request_id=request_id,
        status_code=status_code,
        retry_after_s=retry_after_s,
        retryable=False if broke else should_retry,
        fault="caller" if broke else None,
    )


def _class(kind: str, message: str, status_code: int) -> type[APIStatusError]:
    error_class = _TYPES[kind][0] if kind in _TYPES else status_error_class(status_code)
    if kind == "invalid_request_error" and status_code not in (400, 413):
        # The vendor uses this type for further 4xx too: the status says more.
        error_class = status_error_class(status_code)
    if issubclass(error_class, BadRequestError):
        if _TOO_LONG.search(message):
            return ContextWindowExceededError
        if _POLICY.search(message):
            return ContentPolicyError
    return error_class


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait: `retry-after-ms`, or `retry-after` as seconds or as a date, measured from the answer's own `date`."""
    for name, scale in (("retry-after-ms", 1e-3), ("retry-after", 1.0)):
        try:
            seconds = float(headers[name]) * scale
        except (KeyError, ValueError):
            continue
        return max(0.0, seconds) if math.isfinite(seconds) else None
    try:
        until, now = (parsedate_to_datetime(headers[name]) for name in ("retry-after", "date"))
        return max(0.0, (until - now).total_seconds())
    except (KeyError, ValueError, TypeError):
        return None
