"""The assistant's turn: the vendor's message, and a message in OpenAI's shape.

The vendor thinks in two ways: older models write a `tool_plan` before they call tools, reasoning models content blocks
of the type `thinking`. Both are `reasoning_content`; `reasoning_blocks` say which, so that each goes back as it came.

Source: https://docs.cohere.com/reference/chat, https://docs.cohere.com/docs/reasoning
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from pydantic_core import to_json

from ...pipeline.types import Message, TextPart, ToolCall
from .cohere_citations import annotation_of, citations_of
from .cohere_content import texts_of
from .notes import Note

Json = dict[str, Any]

PROVIDER: Final = "cohere"
PLAN: Final = "tool_plan"
PLAN_INDEX: Final = -1
"""A plan comes before all content, and has no place among its blocks."""


def assistant_turn(message: Message, note: Note) -> Json | None:
    """The vendor's message; None, with a note, for a turn without content."""
    content = _content(message, note)
    plan = _plan(message, note)
    calls = [_tool_call(call) for call in message.tool_calls or ()]
    citations = citations_of(message, note)
    turn: Json = {"role": "assistant"}
    named = {"tool_calls": calls, "tool_plan": plan, "content": content, "citations": citations}
    turn |= {name: value for name, value in named.items() if value}
    if len(turn) == 1:
        note("messages.assistant", "dropped", "a turn without content")
        return None
    return turn


def _content(message: Message, note: Note) -> str | list[Json]:
    texts = texts_of(message.content if message.content is not None else message.refusal, note)
    thoughts = [{"type": "thinking", "thinking": text} for text in _own(message, "thinking")]
    if not thoughts:
        return texts
    if isinstance(texts, str):
        texts = [{"type": "text", "text": texts}] if texts else []
    return [*thoughts, *texts]


def _own(message: Message, kind: str) -> list[str]:
    blocks = message.reasoning_blocks or ()
    return [block.text for block in blocks if block.provider == PROVIDER and block.type == kind and block.text]


def _plan(message: Message, note: Note) -> str:
    blocks = message.reasoning_blocks or ()
    own = [block for block in blocks if block.provider == PROVIDER]
    if len(own) < len(blocks):
        note("messages.reasoning_blocks", "dropped", "the vendor takes no signed reasoning of others back")
    if own or not message.reasoning_content:
        return "".join(_own(message, PLAN))
    if message.tool_calls:
        note("messages.reasoning_content", "renamed", "sent as the tool_plan")
        return message.reasoning_content
    note(
        "messages.reasoning_content",
        "dropped",
        "the vendor takes reasoning of others back only as a plan before tool calls",
    )
    return ""


def _tool_call(call: ToolCall) -> Json:
    if call.function is not None:
        function = {"name": call.function.name, "arguments": call.function.arguments or "{}"}
    else:
        custom = call.extra.get("custom") or {}
        arguments = to_json({"input": custom.get("input", "")}).decode()
        function = {"name": custom.get("name", ""), "arguments": arguments}
    return {"id": call.id, "type": "function", "function": function}


def fields_of(message: Json) -> Json:
    """The vendor's message as the fields of ours. Raises `TypeError`, `KeyError` or `AttributeError` for what is none."""
    content = message.get("content")
    blocks: list[Json] = [{"type": "text", "text": content}] if isinstance(content, str) else content or []
    texts = [block["text"] for block in blocks if block["type"] == "text"]
    fields: Json = {"role": "assistant", "content": "".join(texts) if texts else None}
    fields |= reasoning_fields(message.get("tool_plan"), blocks)
    if calls := [tool_call_of(call) for call in message.get("tool_calls") or ()]:
        fields["tool_calls"] = calls
    starts = starts_of(blocks)
    if citations := [annotation_of(one, starts) for one in message.get("citations") or ()]:
        fields["annotations"] = tuple(citations)
    return fields


def starts_of(blocks: Sequence[Json]) -> dict[int, int]:
    """Where in the whole text each content block begins."""
    starts, length = {}, 0
    for index, block in enumerate(blocks):
        starts[index] = length
        length += len(block["text"]) if block["type"] == "text" else 0
    return starts


def reasoning_fields(plan: Any, blocks: Sequence[Json]) -> Json:
    """Plan and thoughts: as text, and as blocks that know what they are."""
    thoughts = [
        (index, "thinking", block["thinking"]) for index, block in enumerate(blocks) if block["type"] == "thinking"
    ]
    pieces = [piece for piece in [(PLAN_INDEX, PLAN, plan), *thoughts] if piece[2]]
    if not pieces:
        return {}
    return {
        "reasoning_content": "".join(text for _, _, text in pieces),
        "reasoning_blocks": [
            {"type": kind, "index": index, "provider": PROVIDER, "text": text} for index, kind, text in pieces
        ],
    }


def tool_call_of(call: Json) -> Json:
    """The arguments of a tool without parameters may be missing."""
    function = call["function"]
    named = {"name": function["name"], "arguments": function.get("arguments") or "{}"}
    return {"id": call["id"], "type": "function", "function": named}


def text_parts(blocks: Sequence[Json]) -> tuple[TextPart, ...]:
    """The texts of a turn, one by one."""
    return tuple(TextPart.model_construct(**block) for block in blocks if block["type"] == "text")
