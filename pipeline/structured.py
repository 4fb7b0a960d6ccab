"""Answers of the shape of a pydantic model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from .errors import ResponseValidationError
from .params import chat_messages
from .types import ChatResponse, Message

ParsedT = TypeVar("ParsedT", bound=BaseModel)


def ask_for(prompt: str | Sequence[Message | dict[str, Any]]) -> list[Message | dict[str, Any]]:
    """A prompt, or messages, as messages."""
    return [*chat_messages(prompt, None)] if isinstance(prompt, str) else [*prompt]


def schema_format(model: type[BaseModel]) -> dict[str, Any]:
    """`response_format` for a pydantic model.

    Source: https://platform.openai.com/docs/guides/structured-outputs - strict schemas list every property as required
    and allow no others.
    """
    return {
        "type": "json_schema",
        "json_schema": {"name": model.__name__, "schema": _strict(model.model_json_schema()), "strict": True},
    }


def read_as(model: type[ParsedT], response: ChatResponse) -> tuple[ParsedT | None, ResponseValidationError]:
    """(instance, error): the instance is None when the answer does not validate; the error then says why, without the answer."""
    refusal = response.choices[0].message.refusal if response.choices else None
    if refusal:
        return None, _complaint(model, response, "the model refused to answer")
    try:
        return model.model_validate_json(response.text), _complaint(model, response, "")
    except ValidationError as error:
        return None, _complaint(model, response, _where(error))


def repair_messages(
    messages: Sequence[Message | dict[str, Any]], response: ChatResponse, complaint: ResponseValidationError
) -> list[Message | dict[str, Any]]:
    """The conversation, with the answer that did not validate and what was wrong with it."""
    ask = f"That is not valid: {complaint.message} Answer again with JSON of the required schema only."
    return [*messages, Message(role="assistant", content=response.text), Message(role="user", content=ask)]


def _complaint(model: type[BaseModel], response: ChatResponse, why: str) -> ResponseValidationError:
    hint = " Raise max_tokens: the answer was cut off." if response.finish_reason == "length" else ""
    return ResponseValidationError(
        f"Expected JSON of {model.__name__}: {why}.{hint}",
        provider=response.provider,
        model=response.model,
        request_id=response.request_id,
    )


def _where(error: ValidationError) -> str:
    first = error.errors(include_input=False, include_url=False)[:3]
    return "; ".join(f"{'.'.join(map(str, item['loc'])) or 'the whole'}: {item['msg']}" for item in first)


def _strict(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    strict = {name: _strict(value) for name, value in schema.items() if name != "default"}
    if strict.get("type") == "object" and isinstance(strict.get("properties"), dict):
        strict["required"] = list(strict["properties"])
        strict["additionalProperties"] = False
    return strict
