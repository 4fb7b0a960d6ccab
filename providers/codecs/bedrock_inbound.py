"""A request to Converse as a canonical one: for a gateway that speaks Bedrock's protocol."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from pydantic import ValidationError

from ...pipeline.errors import BadRequestError
from ...pipeline.types import ChatRequest, Message, ResponseFormat
from .bedrock_assistant import request_message
from .bedrock_content import Block, cache_point, parts_of, with_marks
from .bedrock_request import PASSED
from .bedrock_tools import choice_of, tools_of
from .plain_json import json_object

_INFERENCE: Final = {"maxTokens": "max_tokens", "temperature": "temperature", "topP": "top_p", "stopSequences": "stop"}


def canonical_request(body: dict[str, Any], model: str, *, stream: bool = False) -> ChatRequest:
    """The request that the Converse codec would encode to `body`; `model` and `stream` are told by the path.

    What OpenAI's shape lacks stays as it came: foreign blocks as `OtherPart`s, or in a message's `provider_blocks`,
    parameters as further fields. Raises `BadRequestError` naming the place when `body` is not such a request.
    """
    try:
        return ChatRequest.model_validate(_fields(body) | {"model": model, "stream": stream})
    except ValidationError as error:
        place = error.errors(include_input=False, include_url=False, include_context=False)[0]
        raise _wrong(".".join(map(str, place["loc"])), place["msg"]) from None


def _fields(body: dict[str, Any]) -> dict[str, Any]:
    fields: dict[str, Any] = {name: body[name] for name in PASSED - {"outputConfig"} if body.get(name)}
    config = _object(body.get("inferenceConfig"), "inferenceConfig")
    fields |= {ours: config[theirs] for theirs, ours in _INFERENCE.items() if config.get(theirs) is not None}
    fields |= _tools(_object(body.get("toolConfig"), "toolConfig"))
    fields |= _format(_object(body.get("outputConfig"), "outputConfig"))
    if tier := _object(body.get("serviceTier"), "serviceTier").get("type"):
        fields["service_tier"] = tier
    system = _blocks(body.get("system") or [], "system")
    head = (Message.model_construct(role="system", content=parts_of(system)),) if system else ()
    return fields | {"messages": (*head, *_conversation(body.get("messages")))}


def _tools(config: dict[str, Any]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    if config.get("tools"):
        fields["tools"] = tools_of(_blocks(config["tools"], "toolConfig.tools"))
    if config.get("toolChoice"):
        fields |= choice_of(_object(config["toolChoice"], "toolConfig.toolChoice"))
    return fields


def _format(config: dict[str, Any]) -> dict[str, Any]:
    """A JSON schema is said in OpenAI's words; the rest of `outputConfig` stays."""
    match config:
        case {
            "textFormat": {"type": "json_schema", "structure": {"jsonSchema": {"schema": str(text), **named}}},
            **rest,
        }:
            schema = {
                "name": "response",
                **{str(key): value for key, value in named.items()},
                "schema": json_object(text),
                "strict": True,
            }
            wanted = ResponseFormat.model_construct(type="json_schema", json_schema=schema)
            return {"response_format": wanted} | ({"outputConfig": rest} if rest else {})
    return {"outputConfig": config} if config else {}


def _conversation(turns: Any) -> Iterator[Message]:
    for number, turn in enumerate(_blocks(turns, "messages")):
        blocks = _blocks(turn.get("content"), f"messages.{number}.content")
        role = turn.get("role")
        if role == "assistant":
            yield request_message(blocks)
        elif role == "user":
            yield from _user(blocks)
        elif role == "system":
            yield Message.model_construct(role="system", content=parts_of(blocks))
        else:
            raise _wrong(f"messages.{number}.role", "user, assistant or system")


def _user(blocks: Sequence[Block]) -> Iterator[Message]:
    """Tool results are messages of their own; what stands between them stays in its place."""
    held: list[Block] = []
    for block, mark in with_marks(blocks):
        if "toolResult" not in block:
            held += [block, *cache_point(mark.get("cache_control"))]
            continue
        if held:
            yield Message.model_construct(role="user", content=parts_of(held))
            held = []
        yield _tool_result(_object(block["toolResult"], "toolResult"), mark)
    if held or not blocks:
        yield Message.model_construct(role="user", content=parts_of(held))


def _tool_result(result: dict[str, Any], mark: dict[str, Any]) -> Message:
    content = parts_of(_blocks(result.get("content") or [], "toolResult.content"))
    status = {"is_error": result["status"] == "error"} if "status" in result else {}
    return Message.model_construct(
        role="tool", tool_call_id=result.get("toolUseId", ""), content=content, **status, **mark
    )


def _object(value: Any, path: str) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _wrong(path, "an object")
    return value


def _blocks(value: Any, path: str) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(one, dict) and one for one in value):
        raise _wrong(path, "a list of objects")
    return value


def _wrong(path: str, expected: str) -> BadRequestError:
    return BadRequestError(
        f"{path}: expected {expected}. See https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html",
        status_code=400,
    )
