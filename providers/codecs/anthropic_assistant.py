"""The assistant's turn: content blocks in the vendor's order, and a message in OpenAI's shape.

OpenAI's shape has one text, a list of tool calls and (ours) a list of reasoning blocks. Where that cannot say what the
vendor wrote - server tools, citations, several texts, another order - the message also carries `provider_blocks`: one
entry per block, in order. Native blocks are in it whole, the others only as a mark of their place, so that no text is
kept twice and a stage that rewrites the message's text or tool calls rewrites what is sent back.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

from ...pipeline.types import Message, ReasoningBlock, ToolCall
from .anthropic_content import Block, blocks_of, part_of
from .notes import Note
from .plain_json import json_object

PROVIDER: Final = "anthropic"
_OURS: Final = (None, PROVIDER)
_REASONING: Final = ("thinking", "redacted_thinking")
CALL_EXTRAS: Final = ("caller", "cache_control", "toolset_name")
_ORDER: Final = {"thinking": 0, "redacted_thinking": 0, "text": 1, "tool_use": 2}
_NOT_IN_AN_ID: Final = re.compile(r"[^a-zA-Z0-9_-]")


def assistant_blocks(message: Message, note: Note) -> list[Block]:
    """The content blocks of an assistant message: reasoning first, tool calls last, unless it says its own order."""
    layout = [entry for entry in message.extra.get("provider_blocks") or () if entry.get("provider") in _OURS]
    reasoning = [_reasoning_block(block) for block in _signed(message, note)]
    texts = blocks_of(message.content, note) or blocks_of(message.refusal, note)
    tools = [_tool_use(call, note) for call in message.tool_calls or ()]
    if not layout:
        return [*reasoning, *texts, *tools]
    if isinstance(message.content, str):
        texts = _cut(message.content, layout) or texts
    arranged = _arranged(layout, iter(reasoning), iter(texts), iter(tools))
    return [block for block in arranged if block.get("text") != ""]


def _arranged(
    layout: Sequence[Block], reasoning: Iterator[Block], texts: Iterator[Block], tools: Iterator[Block]
) -> Iterator[Block]:
    sources = {"thinking": reasoning, "redacted_thinking": reasoning, "text": texts, "tool_use": tools}
    for entry in layout:
        source = sources.get(entry["type"])
        if source is None:
            yield {name: value for name, value in entry.items() if name != "provider"}
        elif (block := next(source, None)) is not None:
            yield block
    yield from (*reasoning, *texts, *tools)


def _cut(text: str, layout: Sequence[Block]) -> list[Block] | None:
    """The text as the blocks that it came in; None if a stage has changed its length since."""
    places = [entry for entry in layout if entry["type"] == "text"]
    if sum(entry.get("characters", 0) for entry in places) != len(text):
        return None
    blocks, start = [], 0
    for entry in places:
        end = start + entry["characters"]
        cited = {"citations": entry["citations"]} if entry.get("citations") else {}
        blocks.append({"type": "text", "text": text[start:end], **cited})
        start = end
    return blocks


def _signed(message: Message, note: Note) -> list[ReasoningBlock]:
    blocks = message.reasoning_blocks or ()
    signed = [block for block in blocks if block.provider in _OURS and (block.data or block.signature is not None)]
    if len(signed) < len(blocks) or (message.reasoning_content and not blocks):
        note("messages.reasoning", "dropped", "only reasoning that Anthropic signed can be sent back")
    return sorted(signed, key=lambda block: -1 if block.index is None else block.index)


def _reasoning_block(block: ReasoningBlock) -> Block:
    if block.data:
        return {"type": "redacted_thinking", "data": block.data}
    return {"type": "thinking", "thinking": block.text or "", "signature": block.signature}


def _tool_use(call: ToolCall, note: Note) -> Block:
    extras: dict[str, Any] = {name: call.extra[name] for name in CALL_EXTRAS if name in call.extra}
    if call.function is None:
        custom = call.extra.get("custom") or {}
        return {
            "type": "tool_use",
            "id": tool_id(call.id, note),
            "name": custom.get("name", ""),
            "input": {"input": custom.get("input", "")},
            **extras,
        }
    return {
        "type": "tool_use",
        "id": tool_id(call.id, note),
        "name": call.function.name,
        "input": _input(call.function.arguments, note),
        **extras,
    }


def _input(arguments: str, note: Note) -> dict[str, Any]:
    if not arguments.strip():
        return {}
    parsed = json_object(arguments)
    if parsed is None:
        note(
            "messages.tool_calls.arguments", "emulated", "not a JSON object; sent as {'invalid_arguments': <the text>}"
        )
        return {"invalid_arguments": arguments}
    return parsed


def tool_id(text: str, note: Note) -> str:
    """A tool call's id in the letters that the vendor allows: other vendors' ids have more.

    Source: "String should match pattern '^[a-zA-Z0-9_-]+$'", the vendor's answer to other ids.
    """
    clean = _NOT_IN_AN_ID.sub("_", text)
    if clean != text:
        note("messages.tool_calls.id", "renamed", "the vendor allows letters, digits, _ and - only")
    return clean


def request_message(blocks: Sequence[Block]) -> Message:
    """The turn of a request: texts stay parts, with their marks. Raises pydantic's `ValidationError` for malformed blocks."""
    texts = tuple(part_of(block) for block in blocks if block["type"] == "text")
    fields = fields_of(blocks) | {"content": texts or None}
    if not is_canonical(blocks):
        fields["provider_blocks"] = [_place(block) for block in blocks]
    return Message.model_validate(fields)


def fields_of(blocks: Sequence[Block]) -> dict[str, Any]:
    """What a message has beside its content: role, reasoning, tool calls; as plain data, which pydantic turns into models fastest."""
    reasoning = [_reasoning(index, block) for index, block in enumerate(blocks) if block["type"] in _REASONING]
    tools = [_tool_call(block) for block in blocks if block["type"] == "tool_use"]
    fields: dict[str, Any] = {"role": "assistant"}
    if thoughts := "".join(block.get("text", "") for block in reasoning):
        fields["reasoning_content"] = thoughts
    if reasoning:
        fields["reasoning_blocks"] = reasoning
    if tools:
        fields["tool_calls"] = tools
    return fields


def _reasoning(index: int, block: Block) -> dict[str, Any]:
    names = {"thinking": "text", "signature": "signature", "data": "data"}
    present = {ours: block[theirs] for theirs, ours in names.items() if block.get(theirs) is not None}
    return {"type": block["type"], "index": index, "provider": PROVIDER, **present}


def _tool_call(block: Block) -> dict[str, Any]:
    extras = {name: block[name] for name in CALL_EXTRAS if block.get(name) is not None}
    arguments = json.dumps(block.get("input") or {}, ensure_ascii=False)
    function = {"name": block.get("name"), "arguments": arguments}
    return {"id": block.get("id"), "type": "function", "function": function, **extras}


def is_canonical(blocks: Sequence[Block]) -> bool:
    """Whether reasoning, then texts, then tool calls is what came, and nothing else."""
    ranks = [_ORDER.get(block["type"], -1) for block in blocks]
    return ranks == sorted(ranks) and -1 not in ranks


def layout_of(blocks: Sequence[Block]) -> list[Block]:
    """The `provider_blocks` of a response; empty where OpenAI's shape says it all."""
    texts = [block for block in blocks if block["type"] == "text"]
    if is_canonical(blocks) and len(texts) < 2 and not any(block.get("citations") for block in texts):
        return []
    return [_place(block) | _measure(block) for block in blocks]


def _place(block: Block) -> Block:
    if block["type"] in _ORDER:
        return {"provider": PROVIDER, "type": block["type"]}
    return {"provider": PROVIDER, **block}


def _measure(block: Block) -> Block:
    if block["type"] != "text":
        return {}
    cited = {"citations": block["citations"]} if block.get("citations") else {}
    return {"characters": len(block["text"]), **cited}


def joined_text(blocks: Sequence[Block]) -> str | None:
    """The texts of a response as one; None if there is none."""
    texts = [block["text"] for block in blocks if block["type"] == "text"]
    return "".join(texts) if texts else None
