"""A request to `generateContent` as a canonical one: for a gateway that speaks Gemini's protocol."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, Final

from pydantic import ValidationError

from ...pipeline.errors import BadRequestError
from ...pipeline.types import ChatChunk, ChatRequest, ChoiceDelta, assemble_chat
from .gemini_answer import message_extra
from .gemini_names import Json, camelised
from .gemini_parts import canonical_part
from .gemini_schema import json_schema_of
from .gemini_tools import canonical_choice, canonical_tools
from .gemini_turn import Gains, Turn, made_id
from .plain_json import json_object

_CONFIG: Final = {
    "temperature": "temperature",
    "topP": "top_p",
    "maxOutputTokens": "max_completion_tokens",
    "stopSequences": "stop",
    "candidateCount": "n",
    "seed": "seed",
    "presencePenalty": "presence_penalty",
    "frequencyPenalty": "frequency_penalty",
    "responseLogprobs": "logprobs",
    "logprobs": "top_logprobs",
}
_READ: Final = frozenset({"contents", "systemInstruction", "tools", "toolConfig", "generationConfig", "model"})
_FORMAT: Final = ("responseMimeType", "responseSchema", "responseJsonSchema")
"""Source: https://ai.google.dev/api/generate-content"""


def canonical_request(body: Json, *, model: str, stream: bool = False) -> ChatRequest:
    """The request that the codec would encode to `body`; `model` and `stream` are in its URL.

    What OpenAI's shape lacks stays as it came: foreign parts whole, parameters as further fields. Raises
    `BadRequestError` naming the place when `body` is not such a request.
    """
    try:
        return ChatRequest.model_validate(_fields(camelised(body)) | {"model": model, "stream": stream})
    except ValidationError as error:
        place = error.errors(include_input=False, include_url=False, include_context=False)[0]
        raise _wrong(".".join(map(str, place["loc"])), place["msg"]) from None
    except (KeyError, TypeError, AttributeError) as error:
        raise _wrong("body", "contents with parts, each of one kind") from error


def _fields(body: Json) -> Json:
    fields = {name: value for name, value in body.items() if name not in _READ}
    fields |= _config(body.get("generationConfig") or {})
    if tools := _listed(body.get("tools")):
        fields["tools"] = canonical_tools(tools)
    fields |= _choice(body.get("toolConfig") or {})
    fields["messages"] = [*_system(body.get("systemInstruction")), *_conversation(body.get("contents"))]
    return fields


def _config(config: Json) -> Json:
    fields = {ours: config[theirs] for theirs, ours in _CONFIG.items() if config.get(theirs) is not None}
    if isinstance(top_k := config.get("topK"), (int, float)):
        fields["top_k"] = int(top_k)
    if config.get("responseModalities"):
        fields["modalities"] = [name.lower() for name in config["responseModalities"]]
    schema = config.get("responseJsonSchema") or json_schema_of(config.get("responseSchema"))
    is_json = config.get("responseMimeType") == "application/json"
    if is_json and schema:
        fields["response_format"] = {"type": "json_schema", "json_schema": {"name": "response", "schema": schema}}
    elif is_json:
        fields["response_format"] = {"type": "json_object"}
    said = {*_CONFIG, "topK", "responseModalities", *(_FORMAT if is_json else ())}
    rest = {name: value for name, value in config.items() if name not in said}
    return fields | ({"generationConfig": rest} if rest else {})


def _choice(config: Json) -> Json:
    """The choice in OpenAI's words where it has them; the rest of `toolConfig` stays."""
    calling = config.get("functionCallingConfig")
    choice = (
        canonical_choice(calling)
        if isinstance(calling, dict) and not calling.keys() - {"mode", "allowedFunctionNames"}
        else None
    )
    rest = {name: value for name, value in config.items() if choice is None or name != "functionCallingConfig"}
    return ({"tool_choice": choice} if choice is not None else {}) | ({"toolConfig": rest} if rest else {})


def _system(instruction: Any) -> list[Json]:
    if not instruction:
        return []
    content = [canonical_part(part) for part in _listed(instruction.get("parts"))]
    plain = len(content) == 1 and content[0]["type"] == "text"
    return [{"role": "system", "content": content[0]["text"] if plain else content}]


def _conversation(contents: Any) -> Iterator[Json]:
    open_calls: list[tuple[str, str]] = []
    for number, turn in enumerate(_listed(contents)):
        parts = _listed(turn.get("parts"))
        if turn.get("role") == "model":
            message = _answer(parts, f"turn {number}")
            open_calls = [(call["function"]["name"], call["id"]) for call in message.get("tool_calls", ())]
            yield message
        else:
            yield from _user(parts, open_calls, number)


def _answer(parts: Sequence[Json], seed: str) -> Json:
    turn, gains = Turn(seed), Gains()
    for part in parts:
        turn.add(part, gains)
    delta = gains.delta("assistant", [], message_extra(turn, gains, ended=True))
    return assemble_chat([ChatChunk(choices=(ChoiceDelta(delta=delta),))]).message.to_dict()


def _user(parts: Sequence[Json], open_calls: list[tuple[str, str]], number: int) -> Iterator[Json]:
    """Function responses are messages of their own; what stands between them stays in its place."""
    held: list[Json] = []
    for place, part in enumerate(parts):
        if "functionResponse" not in part:
            held.append(canonical_part(part))
            continue
        if held:
            yield _said(held)
            held = []
        yield _result(part["functionResponse"], open_calls, made_id(f"result {number}", place))
    if held or not parts:
        yield _said(held)


def _said(content: list[Json]) -> Json:
    plain = len(content) == 1 and content[0]["type"] == "text"
    return {"role": "user", "content": content[0]["text"] if plain else content}


def _result(response: Json, open_calls: list[tuple[str, str]], made: str) -> Json:
    """A response without an id answers the first call of its name that none has answered."""
    name = response["name"]
    call_id = response.get("id") or next((one for called, one in open_calls if called == name), made)
    if (name, call_id) in open_calls:
        open_calls.remove((name, call_id))
    text = _result_text(response.get("response") or {})
    media = [canonical_part(part) for part in _listed(response.get("parts"))]
    rest = {key: value for key, value in response.items() if key not in ("id", "name", "response", "parts")}
    content = [{"type": "text", "text": text}, *media] if media else text
    return {"role": "tool", "tool_call_id": call_id, "name": name, "content": content, **rest}


def _result_text(response: Json) -> str:
    """`{"result": "text"}` is how text is sent: the text alone, unless that would be read as an object again."""
    text = response.get("result")
    if response.keys() == {"result"} and isinstance(text, str) and json_object(text) is None:
        return text
    return json.dumps(response, ensure_ascii=False)


def _listed(value: Any) -> list[Json]:
    """The vendor takes one object where it expects a list of them."""
    if value is None:
        return []
    return [value] if isinstance(value, dict) else list(value)


def _wrong(path: str, expected: str) -> BadRequestError:
    return BadRequestError(
        f"{path}: expected {expected}. See https://ai.google.dev/api/generate-content", status_code=400
    )
