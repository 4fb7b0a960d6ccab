"""Requests to the server's own API as canonical ones.

Source: https://docs.ollama.com/api/chat, https://docs.ollama.com/api/embed
"""

from __future__ import annotations

from typing import Any, Final

from pydantic import ValidationError

from ...pipeline.errors import BadRequestError
from ...pipeline.types import ChatRequest, EmbeddingsRequest
from .ollama_tools import call_fields

Json = dict[str, Any]

_OPTIONS: Final = ("temperature", "top_p", "top_k", "seed", "stop", "frequency_penalty", "presence_penalty")
_ROLES: Final = ("system", "user", "assistant", "tool")
_JPEG, _GIF, _WEBP = "/9j/", "R0lGOD", "UklGR"
"""How the base64 of these kinds begins."""


def canonical_request(body: Json) -> ChatRequest:
    """The request that the codec would encode to `body`. What OpenAI's shape lacks stays, as further fields.

    Raises `BadRequestError` naming the place when `body` is not such a request.
    """
    try:
        return ChatRequest.model_validate(_fields(body))
    except ValidationError as error:
        place = error.errors(include_input=False, include_url=False, include_context=False)[0]
        raise _wrong(".".join(map(str, place["loc"])), place["msg"]) from None


def canonical_embeddings(body: Json) -> EmbeddingsRequest:
    """The same of a request to `/api/embed`. Raises pydantic's `ValidationError`."""
    return EmbeddingsRequest.model_validate({name: value for name, value in body.items() if value is not None})


def _fields(body: Json) -> Json:
    """The server streams unless told not to."""
    kept = {name: value for name, value in body.items() if value is not None and name not in ("format", "options")}
    turns = [
        _message(turn, f"messages.{number}") for number, turn in enumerate(_objects(body.get("messages"), "messages"))
    ]
    fields = {"model": "", "stream": True, **kept, **_sampling(body.get("options")), "messages": turns}
    wanted = body.get("format")
    if isinstance(wanted, dict):
        fields["response_format"] = {"type": "json_schema", "json_schema": {"name": "response", "schema": wanted}}
    elif wanted:
        fields["response_format"] = {"type": "json_object"}
    return fields


def _sampling(options: Any) -> Json:
    if not isinstance(options, dict):
        return {}
    rest = dict(options)
    fields = {name: rest.pop(name) for name in _OPTIONS if rest.get(name) is not None}
    if isinstance(rest.get("num_predict"), int) and rest["num_predict"] > 0:  # others mean "without end"
        fields["max_tokens"] = rest.pop("num_predict")
    return fields | ({"options": rest} if rest else {})


def _message(turn: Json, path: str) -> Json:
    if turn.get("role") not in _ROLES:
        raise _wrong(f"{path}.role", f"one of {', '.join(_ROLES)}")
    message = {name: value for name, value in turn.items() if name not in ("images", "thinking", "tool_calls")}
    if turn.get("images"):
        message["content"] = _parts(turn)
    if turn.get("thinking"):
        message["reasoning_content"] = turn["thinking"]
    if turn.get("tool_calls"):
        calls = _objects(turn["tool_calls"], f"{path}.tool_calls")
        message["tool_calls"] = [call_fields(call, number, path) for number, call in enumerate(calls)]
    return message


def _parts(turn: Json) -> list[Json]:
    text = [{"type": "text", "text": turn["content"]}] if turn.get("content") else []
    return text + [
        {"type": "image_url", "image_url": {"url": f"data:{_kind(image)};base64,{image}"}} for image in turn["images"]
    ]


def _kind(image: str) -> str:
    kinds = {_JPEG: "image/jpeg", _GIF: "image/gif", _WEBP: "image/webp"}
    return next((kind for start, kind in kinds.items() if image.startswith(start)), "image/png")


def _objects(value: Any, path: str) -> list[Json]:
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise _wrong(path, "a list of objects")
    return value


def _wrong(path: str, expected: str) -> BadRequestError:
    return BadRequestError(f"{path}: expected {expected}. See https://docs.ollama.com/api/chat", status_code=400)
