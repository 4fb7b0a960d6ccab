"""The server's errors as ours.

Source: https://docs.ollama.com/api/errors
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from ...pipeline.errors import (
    APIStatusError,
    AuthenticationError,
    BadRequestError,
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
from .plain_json import json_object

_MISSING: Final = re.compile(r"""model\s+["']?([\w./:-]+)["']?\s*(?:not found|, try pulling)""", re.IGNORECASE)
_TOO_LONG: Final = re.compile(
    r"context (?:length|window|size)|prompt (?:is )?too long|input (?:length|is too long)", re.IGNORECASE
)
_NO_MEMORY: Final = re.compile(r"requires more system memory|out of memory|insufficient memory", re.IGNORECASE)
_BUSY: Final = re.compile(r"server busy|overloaded|maximum pending requests", re.IGNORECASE)

_NEXT: Final[Mapping[type[APIStatusError], str]] = {
    ContextWindowExceededError: "Send less, or raise num_ctx.",
    BadRequestError: "Change the request: it will fail again as it is.",
    AuthenticationError: "Check OLLAMA_API_KEY or api_key.",
    PermissionDeniedError: "Check what this server may serve.",
    NotFoundError: "Is base_url the server's root, without a path? `ollama list` shows its models.",
    RateLimitError: "Wait, or use another server.",
    InternalServerError: "Try again; the server's log says more.",
    ServiceUnavailableError: "Try again later, or use another server.",
}


def status_error(status_code: int, headers: Mapping[str, str], body: bytes, provider: str) -> APIStatusError:
    """The error of a status of 400 or more; `headers` have lower-case names."""
    data = json_object(body)
    message = message_of(data) if data is not None else body[:4_000].decode("utf-8", "replace")
    return _error(message, status_code, headers, provider)


def body_error(data: Mapping[str, Any], provider: str) -> APIStatusError:
    """The error of an object with an `error` in a 200: a line of a stream, or a whole body."""
    message, told = message_of(data), data.get("status_code")
    status_code = told if isinstance(told, int) and 400 <= told < 600 else _status_of(message)
    return _error(message, status_code, {}, provider)


def message_of(data: Mapping[str, Any]) -> str:
    """The text of `error`, which proxies make an object."""
    error = data.get("error")
    text = error.get("message") if isinstance(error, dict) else error
    return text if isinstance(text, str) else ""


def _status_of(message: str) -> int:
    if _MISSING.search(message):
        return 404
    if _TOO_LONG.search(message):
        return 400
    return 503 if _BUSY.search(message) else 500


def _error(message: str, status_code: int, headers: Mapping[str, str], provider: str) -> APIStatusError:
    error_class = _class(message, status_code)
    memory = bool(_NO_MEMORY.search(message))
    said = (safe_message(message) or "no message").rstrip(".")
    return error_class(
        f"The vendor answered {status_code}: {said}. {_advice(error_class, message, memory=memory)}".rstrip(),
        provider=provider,
        status_code=status_code,
        retry_after_s=_wait_s(headers, message, status_code),
        retryable=False if memory or status_code == 501 else None,
    )


def _class(message: str, status_code: int) -> type[APIStatusError]:
    if _TOO_LONG.search(message) and status_code in (400, 413, 422, 500):
        return ContextWindowExceededError
    return ServiceUnavailableError if status_code >= 500 and _BUSY.search(message) else status_error_class(status_code)


def _advice(error_class: type[APIStatusError], message: str, *, memory: bool) -> str:
    if memory:
        return "Use a smaller model, a smaller num_ctx, or a larger machine."
    if error_class is NotFoundError and (missing := _MISSING.search(message)):
        return f"Run: ollama pull {safe_message(missing[1])}"
    return _NEXT.get(error_class, "")


def _wait_s(headers: Mapping[str, str], message: str, status_code: int) -> float | None:
    told = retry_after_s(headers, exhausted=status_code == 429)
    return seconds_in_message(message) if told is None and status_code == 429 else told
