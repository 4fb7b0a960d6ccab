"""The vendor's errors as ours.

Source: https://docs.cohere.com/reference/errors
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
    UnprocessableEntityError,
    status_error_class,
)
from ..redaction import safe_message
from ..retry_after import retry_after_s, seconds_in_message
from .plain_json import json_object

_CLASSES: Final[Mapping[int, type[APIStatusError]]] = {
    402: RateLimitError,
    498: ContentPolicyError,
    499: InternalServerError,
}
"""402: nothing left to pay with. 498: a token that the vendor does not allow, in request or answer. 499: cancelled."""

_TOO_LONG: Final = re.compile(
    r"too many tokens: (?!max tokens)|context (?:window|length)|maximum context|size limit exceeded by \d+ tokens",
    re.IGNORECASE,
)
_POLICY: Final = re.compile(
    r"blocked (?:input|output|by)|violates? .*(?:usage|content|terms)|safety (?:filter|polic)", re.IGNORECASE
)
_USED_UP: Final = re.compile(
    r"calls? ?/ ?month|calls? per month|monthly|billing|payment|spend(?:ing)? limit", re.IGNORECASE
)

_NEXT: Final[Mapping[type[APIStatusError], str]] = {
    ContextWindowExceededError: "Send less, ask for fewer tokens, or fall back to a model with a larger window.",
    ContentPolicyError: "Change the content, or fall back to another vendor.",
    BadRequestError: "Change the request: it will fail again as it is.",
    AuthenticationError: "Check CO_API_KEY or api_key.",
    PermissionDeniedError: "Check what the key may use.",
    NotFoundError: "Check the model's name (old ones are removed) and base_url.",
    RateLimitError: "Wait, or spread the load.",
    InternalServerError: "Try again.",
    ServiceUnavailableError: "Try again later, or fall back to another vendor.",
    UnprocessableEntityError: "Change messages or tools.",
}

_IN_ANSWERS: Final = {"INVALID_TOOL_GENERATION": 422, "TIMEOUT": 504}


def status_error(status_code: int, headers: Mapping[str, str], body: bytes, provider: str) -> APIStatusError:
    """The error of a status of 400 or more; `headers` have lower-case names."""
    data = json_object(body) or {}
    return _error(_message(data), status_code, headers, provider, request_id=_text(data.get("id")))


def body_error(data: Mapping[str, Any], provider: str) -> APIStatusError:
    """The error of an answer with a good status that holds only a message."""
    return _error(_message(data), 500, {}, provider, request_id=_text(data.get("id")))


def broken_off(reason: str, said: Mapping[str, Any], provider: str, request_id: str | None) -> APIStatusError:
    """The error of an answer that ended with `ERROR` or `TIMEOUT`: the vendor's failure, or its model's, so another try may do."""
    kind = _text(said.get("error_type")) or reason
    message = _text(said.get("error")) or f"the answer ended with the reason {reason}"
    error = _error(message, _IN_ANSWERS.get(kind, 500), {}, provider, request_id=request_id, kind=kind)
    if isinstance(error, UnprocessableEntityError):  # the model wrote the tool call, not the caller
        error.retryable, error.fault = True, "provider"
    return error


def _message(data: Mapping[str, Any]) -> str:
    return _text(data.get("message")) or _text(data.get("error")) or ""


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _error(
    message: str,
    status_code: int,
    headers: Mapping[str, str],
    provider: str,
    *,
    request_id: str | None,
    kind: str = "",
) -> APIStatusError:
    error_class = _class(message, status_code)
    used_up = status_code == 402 or (status_code == 429 and bool(_USED_UP.search(message)))
    said = (safe_message(message) or "no message").rstrip(".")
    advice = "Use a production key, or fall back to another vendor." if used_up else _NEXT.get(error_class, "")
    return error_class(
        f"The vendor answered {status_code}{f' {kind[:64]}' if kind else ''}: {said}. {advice}".rstrip(),
        provider=provider,
        request_id=request_id,
        status_code=status_code,
        retry_after_s=_wait_s(headers, message, status_code),
        retryable=False if used_up or status_code == 501 else None,
        fault="caller" if used_up else None,
    )


def _class(message: str, status_code: int) -> type[APIStatusError]:
    error_class = _CLASSES.get(status_code) or status_error_class(status_code)
    if error_class in (BadRequestError, UnprocessableEntityError):
        if _TOO_LONG.search(message):
            return ContextWindowExceededError
        if _POLICY.search(message):
            return ContentPolicyError
    return error_class


def _wait_s(headers: Mapping[str, str], message: str, status_code: int) -> float | None:
    told = retry_after_s(headers, exhausted=status_code == 429)
    return seconds_in_message(message) if told is None and status_code == 429 else told
