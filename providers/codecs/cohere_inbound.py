"""A request to the v2 chat API as a canonical one.

Source: https://docs.cohere.com/reference/chat
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from pydantic import ValidationError

from ...pipeline.errors import BadRequestError
from ...pipeline.types import ChatRequest
from .cohere_assistant import reasoning_fields, text_parts, tool_call_of
from .cohere_tools import choice_of

Json = dict[str, Any]

_RENAMED: Final = {"p": "top_p", "k": "top_k", "stop_sequences": "stop"}
_ROLES: Final = ("system", "user", "assistant", "tool")


def canonical_request(body: Json) -> ChatRequest:
    """The request that the codec would encode to `body`. What OpenAI's shape lacks stays, as further fields.

    Raises `BadRequestError` naming the place when `body` is not such a request.
    """
    try:
        return ChatRequest.model_validate(_fields(body))
    except ValidationError as error:
        place = error.errors(include_input=False, include_url=False, include_context=False)[0]
        raise _wrong(".".join(map(str, place["loc"])), place["msg"]) from None


def _fields(body: Json) -> Json:
    fields = {_RENAMED.get(name, name): value for name, value in body.items() if value is not None}
    fields["messages"] = [
        _message(turn, f"messages.{number}") for number, turn in enumerate(_objects(body.get("messages"), "messages"))
    ]
    if "tool_choice" in fields:
        fields["tool_choice"] = choice_of(fields["tool_choice"])
    if isinstance(wanted := body.get("response_format"), dict):
        fields["response_format"] = _format(wanted)
    return {"model": "", "stream": False} | fields


def _format(wanted: Json) -> Json:
    """`schema` is the older name of `json_schema`."""
    schema = wanted.get("json_schema") or wanted.get("schema")
    if wanted.get("type") != "json_object" or not isinstance(schema, dict):
        return wanted
    return {"type": "json_schema", "json_schema": {"name": "response", "schema": schema}}


def _message(turn: Json, path: str) -> Json:
    role = turn.get("role")
    if role not in _ROLES:
        raise _wrong(f"{path}.role", f"one of {', '.join(_ROLES)}")
    return _assistant(turn, path) if role == "assistant" else turn


def _assistant(turn: Json, path: str) -> Json:
    content, plan = turn.get("content"), turn.get("tool_plan")
    blocks: Sequence[Json] = [] if content is None or isinstance(content, str) else _objects(content, f"{path}.content")
    message: Json = {
        "role": "assistant",
        "content": content if isinstance(content, str) else text_parts(blocks) or None,
    }
    message |= reasoning_fields(plan, blocks)
    if calls := _objects(turn.get("tool_calls") or [], f"{path}.tool_calls"):
        message["tool_calls"] = [tool_call_of(call) for call in calls]
    if turn.get("citations"):
        message["annotations"] = turn["citations"]
    return message


def _objects(value: Any, path: str) -> list[Json]:
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise _wrong(path, "a list of objects")
    return value


def _wrong(path: str, expected: str) -> BadRequestError:
    return BadRequestError(f"{path}: expected {expected}. See https://docs.cohere.com/reference/chat", status_code=400)
