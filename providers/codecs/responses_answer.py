"""A complete answer of Responses as a chat response.

Source: https://platform.openai.com/docs/api-reference/responses/object
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from ...pipeline.errors import APIError, InternalServerError, ResponseValidationError
from ...pipeline.types import ChatResponse, FinishReason, Usage
from .openai_errors import error_in_body
from .plain_json import json_object
from .responses_items import fields_of

if TYPE_CHECKING:
    from .responses_content import Item

_INCOMPLETE: Final[dict[str, FinishReason]] = {"max_output_tokens": "length", "content_filter": "content_filter"}
_NAMED: Final = frozenset({"id", "object", "created_at", "model", "output", "usage", "error", "service_tier", "status"})
_ECHOES: Final = frozenset(
    {"instructions", "tools", "tool_choice", "temperature", "top_p", "top_logprobs", "text", "reasoning", "truncation"}
    | {"max_output_tokens", "max_tool_calls", "parallel_tool_calls", "prompt", "prompt_cache_key", "user", "metadata"}
    | {"prompt_cache_retention", "prompt_cache_options", "safety_identifier", "store", "background", "include"}
    | {"frequency_penalty", "presence_penalty", "previous_response_id", "output_text", "completed_at", "input"}
)
"""What the answer repeats of the request; the further fields are kept as they came."""

_CALLERS_FAULT: Final = ("invalid_", "image_", "unsupported_", "empty_image", "failed_to_download_image")
_POLICY: Final = ("bio_policy", "misalignment_policy_violation", "image_content_policy_violation")
"""How the codes of a failed answer begin that are the request's fault. The vendor gives no status with them.

Source: https://platform.openai.com/docs/api-reference/responses/object#responses-object-error
"""


def decode_response(body: bytes, provider: str) -> ChatResponse:
    """Raises `ResponseValidationError` for what is no answer, and the error's own class for one that failed."""
    data = json_object(body)
    if data is None or not isinstance(data.get("output"), list):
        raise (error_in_body(data) if data is not None else None) or _no_answer("something else")
    raise_failure(data)
    try:
        return ChatResponse.model_validate(_fields(data, provider))
    except ValidationError as error:
        raise _no_answer(f"one that does not fit ({error.errors(include_input=False)[0]['msg']})") from error
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise _no_answer(f"one that does not fit ({type(error).__name__})") from error


def _no_answer(found: str) -> ResponseValidationError:
    return ResponseValidationError(
        f"Expected an answer of the Responses API, found {found}. Is base_url right, and does it serve that API?"
    )


def _fields(data: Item, provider: str) -> dict[str, Any]:
    message = fields_of(data["output"], provider)
    logprobs = [
        one
        for item in data["output"]
        if item["type"] == "message"
        for part in item.get("content") or ()
        for one in part.get("logprobs") or ()
    ]
    choice = {"index": 0, "message": message, **finish_of(data, has_tools="tool_calls" in message)}
    if logprobs:
        choice["logprobs"] = {"content": logprobs}
    usage = usage_of(data.get("usage"))
    return {
        "id": data.get("id") or "",
        "created": created_of(data),
        "model": data.get("model") or "",
        "choices": (choice,),
        **({} if usage is None else {"usage": usage}),
        **extras_of(data),
    }


def created_of(data: Item) -> int:
    """When it was made, seconds since 1970; 0 where the vendor does not say."""
    return int(data.get("created_at") or 0)


def finish_of(data: Item, *, has_tools: bool) -> dict[str, Any]:
    """`finish_reason` and the vendor's own word for it. An answer that is still being made has no reason."""
    status = data.get("status") or "completed"
    if status == "incomplete":
        reason = (data.get("incomplete_details") or {}).get("reason")
        return {"finish_reason": _INCOMPLETE.get(str(reason), "length"), "native_finish_reason": reason or status}
    ended: FinishReason = "tool_calls" if has_tools else "stop"
    return {"finish_reason": ended if status == "completed" else None, "native_finish_reason": status}


def extras_of(data: Item) -> dict[str, Any]:
    """The answer's further fields, and the tier that served it."""
    tier = {"service_tier": data["service_tier"]} if isinstance(data.get("service_tier"), str) else {}
    rest = {name: value for name, value in data.items() if name not in _NAMED and name not in _ECHOES}
    return tier | {name: value for name, value in rest.items() if value not in (None, [], {})}


def usage_of(counts: Any) -> Usage | None:
    """Token counts under chat's names; further ones stay."""
    if not isinstance(counts, dict):
        return None
    usage = {_COUNTS.get(name, name): value for name, value in counts.items() if value is not None}
    return Usage.model_validate(usage)


_COUNTS: Final = {
    "input_tokens": "prompt_tokens",
    "input_tokens_details": "prompt_tokens_details",
    "output_tokens": "completion_tokens",
    "output_tokens_details": "completion_tokens_details",
}


def raise_failure(data: Item) -> None:
    """Raises what a failed or cancelled answer means."""
    error = data.get("error")
    if isinstance(error, (dict, str)) and error:
        raise failure(error)
    if (status := data.get("status")) in ("failed", "cancelled"):
        raise InternalServerError(f"The vendor broke off its answer (status {status!r}). Try again.", status_code=200)


def failure(error: Item | str) -> APIError:
    """The error that an answer or a stream with a good status tells of."""
    if isinstance(error, dict) and isinstance(code := error.get("code"), str) and "status" not in error:
        if code in _POLICY:
            error = {**error, "type": "content_policy_violation", "status": 400}
        elif code.startswith(_CALLERS_FAULT):
            error = {**error, "status": 400}
    return error_in_body({"error": error}) or InternalServerError("The vendor's answer failed.", status_code=200)
