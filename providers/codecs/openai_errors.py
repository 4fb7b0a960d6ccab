"""What an error in OpenAI's form means, and in the forms of those who only nearly speak it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic_core import from_json

from ...pipeline.errors import (
    APIError,
    APIStatusError,
    AuthenticationError,
    ContentPolicyError,
    ContextWindowExceededError,
    RateLimitError,
    status_error_class,
)
from ..redaction import MASK, safe_message
from ..request_id import request_id
from ..retry_after import retry_after_s, seconds_in_message

if TYPE_CHECKING:
    from collections.abc import Mapping

Json = dict[str, Any]


class _Said(NamedTuple):
    """What the vendor said: its words for the error, and its text."""

    words: frozenset[str]
    message: str
    status: int | None = None


_CONTEXT_WORDS = {
    "context_length_exceeded",
    "exceed_context_size_error",
    "context_window_exceeded",
    "model_max_prompt_tokens_exceeded",
}
_CONTEXT_TEXT = re.compile(
    r"maximum context length|context (?:window|length|size)|maximum prompt length|prompt is too long"
    r"|too large for model with \d+ maximum|`inputs` tokens \+ `max_new_tokens`",
    re.IGNORECASE,
)
_POLICY_WORDS = {
    "content_filter",
    "content_policy_violation",
    "responsibleaipolicyviolation",
    "invalid_prompt",
    "moderation_blocked",
}
_POLICY_TEXT = re.compile(
    r"content exists risk|flagged as potentially violating|content management policy|input was flagged|requires moderation",
    re.IGNORECASE,
)
_QUOTA_WORDS = {"insufficient_quota", "billing_hard_limit_reached", "insufficient_balance", "billing_not_active"}
_KEY_WORDS = {"invalid_api_key", "invalid_authentication_error"}
_KEY_TEXT = re.compile(r"\b(?:incorrect|invalid) api key", re.IGNORECASE)
_KEY_ECHO = re.compile(r"(?<=provided: )\S+|(?<=API key: )\S+", re.IGNORECASE)


def error_of_status(status_code: int, headers: Mapping[str, str], body: bytes) -> APIStatusError:
    """The error of an HTTP status. Its message is the vendor's, bounded, without keys and echoes of the request."""
    said = _read(body)
    error = _made(said, status_code, headers)
    error.request_id = request_id(headers)
    return error


def error_in_body(data: Any) -> APIError | None:
    """The error that an answer with a good status holds instead of, or beside, its choices; None if there is none.

    Without a status of its own it counts as the server's failure (500).
    """
    error = data.get("error") if isinstance(data, dict) else None
    if not error:
        return None
    said = _said(data)
    status = said.status if said.status is not None and 400 <= said.status < 600 else _status_of(said)
    return _made(said, status, {})


def _made(said: _Said, status: int, headers: Mapping[str, str]) -> APIStatusError:
    kind = _class(said, status)
    return kind(
        f"The vendor answered {status}: {_text(said, status)}",
        status_code=status,
        retry_after_s=_retry_after_s(kind, said, headers),
        retryable=_retryable(said, status, headers),
    )


def _class(said: _Said, status: int) -> type[APIStatusError]:
    message = said.message
    if status in (400, 403) and (said.words & _POLICY_WORDS or _POLICY_TEXT.search(message)):
        return ContentPolicyError
    if status in (400, 413, 422) and (said.words & _CONTEXT_WORDS or _CONTEXT_TEXT.search(message)):
        return ContextWindowExceededError
    if status == 400 and (said.words & _KEY_WORDS or _KEY_TEXT.search(message)):
        return AuthenticationError  # xAI says 400 to a wrong key
    if status == 402:
        return RateLimitError  # DeepSeek, OpenRouter: the account has no money left
    return status_error_class(status)


def _retryable(said: _Said, status: int, headers: Mapping[str, str]) -> bool | None:
    """None leaves it to the class. Source: https://github.com/openai/openai-python reads `x-should-retry`."""
    if status == 402 or said.words & _QUOTA_WORDS:
        return False
    if status == 429 and said.message.startswith("Request too large"):
        return False
    if (told := headers.get("x-should-retry")) in ("true", "false"):
        return told == "true"
    return True if status in (408, 498) else None  # 498 is Groq's "flex tier capacity exceeded"


def _retry_after_s(kind: type[APIStatusError], said: _Said, headers: Mapping[str, str]) -> float | None:
    told = retry_after_s(headers, exhausted=kind is RateLimitError)
    if told is None and kind is RateLimitError:
        told = seconds_in_message(said.message)
    return told


def _text(said: _Said, status: int) -> str:
    message = said.message
    if status in (400, 401, 403):
        message = _KEY_ECHO.sub(MASK, message)
    return safe_message(message) or "no explanation."


def _read(body: bytes) -> _Said:
    try:
        return _said(from_json(body))
    except ValueError:
        text = body[:4_000].decode("utf-8", "replace").strip()
        page = text.startswith("<")
        return _Said(frozenset(), "a page of HTML, probably from a proxy in between." if page else text)


def _said(data: Any) -> _Said:
    """Shapes: `{"error": {...}}`, `{"error": "text"}`, the object itself (Mistral), `{"detail": ...}` (FastAPI), a bare string (xAI)."""
    if isinstance(data, list) and data:
        data = data[0]
    if isinstance(data, str):
        return _Said(frozenset(), data)
    if not isinstance(data, dict):
        return _Said(frozenset(), "")
    inner = data.get("error")
    error = inner if isinstance(inner, dict) else data
    words = {str(error.get(name)).lower() for name in ("code", "type") if error.get(name) is not None}
    if isinstance(details := error.get("innererror"), dict):
        words.add(str(details.get("code")).lower())
    return _Said(frozenset(words), _message(data, error), _status(error))


def _message(data: Json, error: Json) -> str:
    for text in (error.get("message"), data.get("error"), error.get("detail"), data.get("message")):
        if isinstance(text, str):
            return text
        if isinstance(text, list):
            return "; ".join(_problem(item) for item in text if isinstance(item, dict))
        if isinstance(text, dict) and isinstance(text.get("message"), str):
            return str(text["message"])
    return ""


def _problem(item: Json) -> str:
    """One entry of FastAPI's list, without its `input`, which is the request."""
    place = item.get("loc")
    where = ".".join(map(str, place)) if isinstance(place, list) else ""
    return f"{where}: {item.get('msg', '')}"


def _status(error: Json) -> int | None:
    for name in ("status_code", "raw_status_code", "status", "code"):
        value = error.get(name)
        if isinstance(value, int) or (isinstance(value, str) and value.isdigit()):
            return int(value)
    return None


def _status_of(said: _Said) -> int:
    words = said.words
    if words & _QUOTA_WORDS or any("rate_limit" in word for word in words):
        return 429
    if words & (_CONTEXT_WORDS | _POLICY_WORDS) or "invalid_request_error" in words:
        return 400
    return 503 if "overloaded" in said.message.lower() or words & {"overloaded_error", "service_unavailable"} else 500
