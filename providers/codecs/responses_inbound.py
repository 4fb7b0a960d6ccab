"""A request to the Responses API as a canonical one: for a gateway that speaks that protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from ...pipeline.errors import BadRequestError
from ...pipeline.types import ChatRequest
from .responses_content import part_of
from .responses_items import fields_of
from .responses_request import INSTRUCTIONS
from .responses_tools import canonical_choice, canonical_tool

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .responses_content import Item

_OUTPUTS: Final = ("function_call_output", "custom_tool_call_output")
_RENAMED: Final = {"max_output_tokens": "max_completion_tokens"}
_READ: Final = frozenset({"input", "instructions", "tools", "tool_choice", "text", "reasoning", "stream", "model"})


def canonical_request(body: Item, provider: str = "openai") -> ChatRequest:
    """The request that the Responses codec of `provider` would encode to `body`.

    What chat's shape lacks stays as it came: items of built-in tools, ids and encrypted reasoning in the messages'
    `provider_blocks` and `reasoning_blocks`, which `provider` alone gets back; parameters as further fields. Raises
    `BadRequestError` naming the place when `body` is not such a request, or has no `input` (a stored prompt).
    """
    try:
        return ChatRequest.model_validate(_fields(body, provider))
    except ValidationError as error:
        place = error.errors(include_input=False, include_url=False, include_context=False)[0]
        raise _wrong(".".join(map(str, place["loc"])), place["msg"]) from None
    except (KeyError, TypeError, AttributeError) as error:
        raise _wrong("input", f"items with all their fields ({type(error).__name__})") from None


def _fields(body: Item, provider: str) -> dict[str, Any]:
    fields = {
        _RENAMED.get(name, name): value for name, value in body.items() if name not in _READ and value is not None
    }
    if body.get("tools"):
        fields["tools"] = [canonical_tool(tool) for tool in _objects(body["tools"], "tools")]
    if body.get("tool_choice") is not None:
        fields["tool_choice"] = canonical_choice(body["tool_choice"])
    fields |= _text(body.get("text")) | _reasoning(body.get("reasoning"))
    messages = [*_instructions(body.get("instructions"), provider), *_conversation(body.get("input"), provider)]
    return fields | {"model": body.get("model") or "", "stream": body.get("stream") or False, "messages": messages}


def _text(text: Any) -> dict[str, Any]:
    if not isinstance(text, dict):
        return {}
    rest, fields = dict(text), dict[str, Any]()
    form = rest.pop("format", None)
    if isinstance(form, dict):
        schema = {name: value for name, value in form.items() if name != "type" and value is not None}
        fields["response_format"] = {"type": form.get("type"), **({"json_schema": schema} if schema else {})}
    if "verbosity" in rest:
        fields["verbosity"] = rest.pop("verbosity")
    return fields | ({"text": rest} if rest else {})


def _reasoning(reasoning: Any) -> dict[str, Any]:
    if not isinstance(reasoning, dict):
        return {}
    rest = {name: value for name, value in reasoning.items() if name != "effort" and value is not None}
    effort = {"reasoning_effort": reasoning["effort"]} if reasoning.get("effort") is not None else {}
    return effort | ({"reasoning": rest} if rest else {})


def _instructions(text: Any, provider: str) -> Iterator[Item]:
    if isinstance(text, str) and text:
        mark = {"provider": provider, "type": INSTRUCTIONS}
        yield {"role": "system", "content": text, "provider_blocks": [mark]}


def _conversation(items: Any, provider: str) -> Iterator[Item]:
    """One message for each of the others' items, one for all that the assistant wrote between them."""
    if isinstance(items, str):
        yield {"role": "user", "content": items}
        return
    answer: list[Item] = []
    for item in _objects(items, "input"):
        if (message := _said_to_the_model(item, provider)) is None:
            answer.append(item if "type" in item else {"type": "message", **item})
            continue
        if answer:
            yield fields_of(answer, provider)
            answer = []
        yield message
    if answer:
        yield fields_of(answer, provider)


def _said_to_the_model(item: Item, provider: str) -> Item | None:
    """The message of the user, of the system or of a function; None for what the assistant wrote."""
    kind = item.get("type", "message")
    if kind in _OUTPUTS:
        message = {"role": "tool", "tool_call_id": item.get("call_id") or "", "content": _content(item.get("output"))}
        return message | _mark(item, ("type", "call_id", "output"), provider)
    if kind != "message" or item.get("role") == "assistant":
        return None
    message = {"role": item.get("role"), "content": _content(item.get("content"))}
    return message | _mark(item, ("type", "role", "content"), provider)


def _mark(item: Item, named: Sequence[str], provider: str) -> Item:
    rest = {name: value for name, value in item.items() if name not in named and value is not None}
    return {"provider_blocks": [{"provider": provider, "type": item.get("type", "message"), **rest}]} if rest else {}


def _content(content: Any) -> Any:
    return content if isinstance(content, str) or content is None else [part_of(part) for part in content]


def _objects(value: Any, path: str) -> list[Item]:
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise _wrong(path, "a list of objects")
    return value


def _wrong(path: str, expected: str) -> BadRequestError:
    return BadRequestError(
        f"{path}: expected {expected}. See https://platform.openai.com/docs/api-reference/responses/create",
        status_code=400,
    )
