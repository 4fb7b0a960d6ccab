"""A complete answer of the vendor as a chat response.

Source: https://docs.cohere.com/reference/chat
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from pydantic import ValidationError

from ...pipeline.errors import ResponseValidationError
from ...pipeline.types import ChatResponse, FinishReason
from .cohere_assistant import fields_of
from .cohere_errors import body_error, broken_off
from .cohere_usage import usage_of
from .plain_json import json_object

Json = dict[str, Any]

FINISH: Final[dict[str, FinishReason]] = {
    "COMPLETE": "stop",
    "STOP_SEQUENCE": "stop",
    "MAX_TOKENS": "length",
    "ERROR_LIMIT": "length",
    "TOOL_CALL": "tool_calls",
    "ERROR_TOXIC": "content_filter",
}
BROKEN_OFF: Final = frozenset({"ERROR", "TIMEOUT", "USER_CANCEL"})
"""Reasons that say: this is no whole answer."""


def decode_response(body: bytes, *, model: str, created: int, provider: str) -> ChatResponse:
    """Answers name no model: `model` is the one that was asked. Raises `ResponseValidationError` for what is no answer, the error's own class for an error in a 200."""
    data = json_object(body)
    if data is None:
        raise no_answer(provider)
    if not isinstance(data.get("message"), dict):
        raise body_error(data, provider) if isinstance(data.get("message"), str) else no_answer(provider)
    reason = data.get("finish_reason")
    if reason in BROKEN_OFF:
        raise broken_off(reason, data, provider, data.get("id"))
    try:
        return ChatResponse.model_validate(_fields(data) | {"model": model, "created": created})
    except (ValidationError, KeyError, TypeError, AttributeError) as error:
        raise no_answer(provider) from error


def _fields(data: Json) -> Json:
    message, reason = fields_of(data["message"]), data.get("finish_reason")
    choice = {"index": 0, "message": message, "finish_reason": finish_of(reason), "native_finish_reason": reason}
    if data.get("logprobs"):
        choice["logprobs"] = logprobs_of(data["logprobs"])
    return {"id": data.get("id") or "", "choices": (choice,), "usage": usage_of(data.get("usage"))}


def finish_of(reason: str | None) -> FinishReason | None:
    """The vendor's word in OpenAI's terms; None only for none."""
    return None if reason is None else FINISH.get(reason, "stop")


def logprobs_of(items: Iterable[Json]) -> Json:
    """OpenAI's form: one entry for each piece of text, with the sum over its tokens, whose ids are kept.

    Source: https://docs.cohere.com/reference/chat#response.body.logprobs
    """
    return {"content": [_logprob(item) for item in items]}


def _logprob(item: Json) -> Json:
    text, each = item.get("text") or "", item.get("logprobs") or ()
    return {
        "token": text,
        "logprob": sum(each),
        "bytes": list(text.encode()),
        "top_logprobs": [],
        "token_ids": item.get("token_ids") or [],
    }


def no_answer(provider: str) -> ResponseValidationError:
    """What arrived is not the vendor's."""
    return ResponseValidationError(
        "Expected an answer of the v2 chat API, found something else. Is base_url the vendor's?", provider=provider
    )
