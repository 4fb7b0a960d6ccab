"""A request to the Messages API as a canonical one: for a gateway that speaks Anthropic's protocol."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from pydantic import ValidationError

from ...pipeline.errors import BadRequestError
from ...pipeline.types import ChatRequest, Message, ResponseFormat
from .anthropic_assistant import request_message
from .anthropic_content import Block, part_of
from .anthropic_tools import choice_of, tool_of

_KEPT: Final = ("max_tokens", "temperature", "top_p", "top_k", "service_tier")
_READ: Final = frozenset(
    {
        *_KEPT,
        "model",
        "messages",
        "system",
        "tools",
        "tool_choice",
        "stop_sequences",
        "metadata",
        "stream",
        "output_config",
    }
)


def canonical_request(body: dict[str, Any]) -> ChatRequest:
    """The request that the Messages codec would encode to `body`.

    What OpenAI's shape lacks stays as it came: foreign blocks as `OtherPart`s, or in a message's `provider_blocks`,
    parameters as further fields. Raises `BadRequestError` naming the place when `body` is not such a request.
    """
    try:
        return ChatRequest.model_validate(_fields(body))
    except ValidationError as error:
        place = error.errors(include_input=False, include_url=False, include_context=False)[0]
        raise _wrong(".".join(map(str, place["loc"])), place["msg"]) from None


def _fields(body: dict[str, Any]) -> dict[str, Any]:
    fields: dict[str, Any] = {name: body[name] for name in _KEPT if body.get(name) is not None}
    fields |= {name: value for name, value in body.items() if name not in _READ}
    fields |= _format(body.get("output_config"))
    if body.get("stop_sequences") is not None:
        fields["stop"] = body["stop_sequences"]
    if isinstance(body.get("metadata"), dict) and body["metadata"].get("user_id"):
        fields["user"] = body["metadata"]["user_id"]
    if body.get("tools"):
        fields["tools"] = tuple(tool_of(tool) for tool in _objects(body["tools"], "tools"))
    if isinstance(body.get("tool_choice"), dict):
        fields |= choice_of(body["tool_choice"])
    fields["messages"] = (*_system(body.get("system")), *_conversation(body.get("messages")))
    return fields | {"model": body.get("model", ""), "stream": body.get("stream") or False}


def _format(config: Any) -> dict[str, Any]:
    """A JSON schema is said in OpenAI's words; the rest of `output_config` stays, and its effort is said in both."""
    if not isinstance(config, dict):
        return {}
    fields: dict[str, Any] = {}
    rest = dict(config)
    match config.get("format"):
        case {"type": "json_schema", "schema": dict(schema)}:
            del rest["format"]
            fields["response_format"] = ResponseFormat.model_construct(
                type="json_schema", json_schema={"name": "response", "schema": schema, "strict": True}
            )
    if isinstance(rest.get("effort"), str):
        fields["reasoning_effort"] = rest["effort"]
    return fields | ({"output_config": rest} if rest else {})


def _system(system: Any) -> tuple[Message, ...]:
    if not system:
        return ()
    content = system if isinstance(system, str) else tuple(part_of(block) for block in _objects(system, "system"))
    return (Message.model_construct(role="system", content=content),)


def _conversation(turns: Any) -> Iterator[Message]:
    for number, turn in enumerate(_objects(turns, "messages")):
        yield from _turn(turn, f"messages.{number}")


def _turn(turn: dict[str, Any], path: str) -> Iterator[Message]:
    role, content = turn.get("role"), turn.get("content")
    if role not in ("user", "assistant", "system"):
        raise _wrong(f"{path}.role", "user, assistant or system")
    if isinstance(content, str):
        yield Message.model_construct(role=role, content=content)
        return
    blocks = _objects(content, f"{path}.content")
    if role == "user":
        yield from _user(blocks)
    elif role == "assistant":
        yield request_message(blocks)
    else:
        yield Message.model_construct(role="system", content=tuple(map(part_of, blocks)))


def _user(blocks: Sequence[Block]) -> Iterator[Message]:
    """Tool results are messages of their own; what stands between them stays in its place."""
    held: list[Block] = []
    for block in blocks:
        if block["type"] != "tool_result":
            held.append(block)
            continue
        if held:
            yield Message.model_construct(role="user", content=tuple(map(part_of, held)))
            held = []
        yield _tool_result(block)
    if held or not blocks:
        yield Message.model_construct(role="user", content=tuple(map(part_of, held)))


def _tool_result(block: Block) -> Message:
    content = block.get("content")
    if content is not None and not isinstance(content, str):
        content = tuple(map(part_of, _objects(content, "messages.content.content")))
    rest = {name: value for name, value in block.items() if name not in ("type", "tool_use_id", "content")}
    return Message.model_construct(role="tool", tool_call_id=block.get("tool_use_id", ""), content=content, **rest)


def _objects(value: Any, path: str) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise _wrong(path, "a list of objects")
    typed = path in ("messages", "tools")
    if not typed and not all(isinstance(one.get("type"), str) for one in value):
        raise _wrong(path, "a `type` in each")
    return value


def _wrong(path: str, expected: str) -> BadRequestError:
    return BadRequestError(
        f"{path}: expected {expected}. See https://platform.claude.com/docs/en/api/messages/create", status_code=400
    )
