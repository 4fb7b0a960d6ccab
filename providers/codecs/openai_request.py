"""A canonical chat request as the body of a request in OpenAI's form."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ...pipeline.facts import Translation
from .notes import notes_of
from .openai_guests import fit_guests

if TYPE_CHECKING:
    from ...pipeline.call import Call
    from ...pipeline.types import ChatRequest
    from ..dialect import Dialect
    from .notes import Action

Json = dict[str, Any]

_REASONING_MODEL = re.compile(r"(?:ft:)?(?:o[1-9]|gpt-[5-9])")
"""Models that refuse `max_tokens`. Source: https://platform.openai.com/docs/guides/reasoning"""


_ASKS_NOTHING: Json = {"modalities": ["text"], "logprobs": False, "store": False, "logit_bias": {}}
"""Values that a vendor without the parameter need not be asked for: nothing is lost."""


def chat_body(call: Call, request: ChatRequest, dialect: Dialect) -> Json:
    """The body for `call.target.model`; unknown fields pass through. Notes what changed as `TRANSLATION` facts."""
    body = request.to_dict()
    body["model"] = call.target.model
    notes: dict[str, Translation] = {}
    _limit_output(body, dialect, notes)
    for name in dialect.unsupported & body.keys() if dialect.unsupported else ():
        if body.pop(name) not in (None, _ASKS_NOTHING.get(name)):
            notes[name] = Translation(name, "dropped", f"{dialect.name} does not take it")
    for name in dialect.renamed.keys() & body.keys() if dialect.renamed else ():
        _rename(body, name, dialect.renamed[name], notes, dialect)

    def say(parameter: str, action: Action, reason: str) -> None:
        notes.setdefault(parameter, Translation(parameter, action, reason))

    # nearly all are a text that everybody takes as it is
    rich = [
        message
        for message in body["messages"]
        if len(message) != 2 or message.get("content").__class__ is not str or message["role"] == "developer"
    ]
    for message in rich:
        _fit_message(message, dialect, notes)
    fit_guests(body, rich, request.__pydantic_extra__ or (), dialect, say)
    if not dialect.keeps_extras and "tools" in body:
        for tool in body["tools"] or ():
            _drop(tool, "cache_control", dialect, notes)
    if request.stream and dialect.asks_for_stream_usage:
        body["stream_options"] = {"include_usage": True, **(body.get("stream_options") or {})}
    if notes:
        note = notes_of(call)
        for one in notes.values():
            note(one.parameter, one.action, one.reason)
    return body


def _limit_output(body: Json, dialect: Dialect, notes: dict[str, Translation]) -> None:
    if dialect.output_limit == "max_tokens":
        _rename(body, "max_completion_tokens", "max_tokens", notes, dialect)
    elif (
        dialect.output_limit == "max_completion_tokens_for_reasoning_models"
        and "max_tokens" in body
        and _REASONING_MODEL.match(body["model"])
    ):
        _rename(body, "max_tokens", "max_completion_tokens", notes, dialect)


def _rename(body: Json, old: str, new: str, notes: dict[str, Translation], dialect: Dialect) -> None:
    """The value that already has the new name wins."""
    value = body.pop(old, None)
    if value is None:
        return
    if body.get(new) is None:
        body[new] = value
        notes[old] = Translation(old, "renamed", f"{dialect.name} calls it {new}")
    elif body[new] != value:
        notes[old] = Translation(old, "dropped", f"{new} is given too")


def _fit_message(message: Json, dialect: Dialect, notes: dict[str, Translation]) -> None:
    if None in message.values():
        for name in [name for name, value in message.items() if value is None and name != "content"]:
            del message[name]
    if len(message) > 2 and message["role"] == "assistant":
        _fit_answer(message, dialect, notes)
    if not dialect.keeps_extras:
        _drop(message, "cache_control", dialect, notes)
        if isinstance(content := message.get("content"), list):
            for part in content:
                _drop(part, "cache_control", dialect, notes)


def _fit_answer(message: Json, dialect: Dialect, notes: dict[str, Translation]) -> None:
    """An earlier answer of this or another vendor, as this one takes it back."""
    blocks = message.pop("reasoning_blocks", None)
    reasoning = message.pop("reasoning_content", None)
    if blocks and dialect.reasoning_details:
        blocks = _give_back(message, blocks, dialect)
    if blocks:
        notes["reasoning_blocks"] = Translation(
            "reasoning_blocks", "dropped", f"{dialect.name} takes no signed reasoning of others back"
        )
    if reasoning is not None:
        _put_reasoning(message, reasoning, dialect, notes)
    for call in message.get("tool_calls") or ():
        call.pop("index", None)
    if isinstance(audio := message.get("audio"), dict) and "id" in audio:
        message["audio"] = {"id": audio["id"]}
    if not dialect.keeps_extras:
        _drop(message, "annotations", dialect, notes)


def _give_back(message: Json, blocks: list[Json], dialect: Dialect) -> list[Json]:
    """Put the vendor's own blocks into the message; returns the others, which it cannot read."""
    own = [
        _detail(block)
        for block in blocks
        if block.get("provider", dialect.name) == dialect.name
        and block.get("type") != "reasoning"  # is of its Responses
    ]
    if own:
        message["reasoning_details"] = own
    return blocks[len(own) :] if len(own) < len(blocks) else []


def _put_reasoning(message: Json, text: str, dialect: Dialect, notes: dict[str, Translation]) -> None:
    if dialect.reasoning == "none":
        notes["reasoning_content"] = Translation(
            "reasoning_content", "dropped", f"{dialect.name} takes no reasoning text back"
        )
    elif dialect.reasoning == "thinking_part":
        message["content"] = [_thinking(text), *_parts(message.get("content"))]
        notes["reasoning_content"] = Translation(
            "reasoning_content", "renamed", f"{dialect.name} takes it as a part of the content"
        )
    else:
        message[dialect.reasoning] = text


def _thinking(text: str) -> Json:
    return {"type": "thinking", "thinking": [{"type": "text", "text": text}]}


def _parts(content: Any) -> list[Json]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    return content or []


def _detail(block: Json) -> Json:
    detail = {name: value for name, value in block.items() if name != "provider"}
    if detail.get("type") == "reasoning.summary":
        detail["summary"] = detail.pop("text", "")
    return detail


def _drop(holder: Json, name: str, dialect: Dialect, notes: dict[str, Translation]) -> None:
    if holder.pop(name, None):
        notes[name] = Translation(name, "dropped", f"{dialect.name} does not take it")
