"""The assistant's turn: Converse's blocks in the vendor's order, and a message in OpenAI's shape.

Where OpenAI's shape cannot say what the vendor wrote - citations, several texts, another order, server tools - the
message also carries `provider_blocks`: one entry per block. Native blocks are in it whole, the others only as a mark of
their place, so that no text is kept twice and a stage that rewrites the message rewrites what is sent back.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any, Final

from ...pipeline.types import Message, ReasoningBlock, ToolCall
from .bedrock_content import Block, blocks_of, cache_point, kind_of, marked, part_blocks, parts_of, with_marks
from .bedrock_models import Traits
from .notes import Note
from .plain_json import json_object, write_json

PROVIDER: Final = "bedrock"
_SIGNERS: Final = (None, PROVIDER, "anthropic")
"""Anthropic's signatures hold on all platforms: https://platform.claude.com/docs/en/build-with-claude/extended-thinking"""

_ORDER: Final = {"reasoningContent": 0, "text": 1, "toolUse": 2}
_NOT_IN_AN_ID: Final = re.compile(r"[^a-zA-Z0-9_.:-]")
_ID_CHARS: Final = 64

Group = list[Block]
"""A block with the cache point behind it."""


def assistant_blocks(message: Message, traits: Traits, note: Note) -> list[Block]:
    """The content blocks of an assistant message: reasoning first, tool calls last, unless it says its own order."""
    layout = [entry for entry in message.extra.get("provider_blocks") or () if entry.get("provider") == PROVIDER]
    reasoning = [[block] for block in _signed(message, traits, note)]
    texts = _text_groups(message, layout, note)
    tools = [
        [_tool_use(call, note), *cache_point(call.extra.get("cache_control"))] for call in message.tool_calls or ()
    ]
    groups = _arranged(layout, iter(reasoning), iter(texts), iter(tools)) if layout else [*reasoning, *texts, *tools]
    return marked(message, list(chain.from_iterable(groups)))


def _arranged(
    layout: Sequence[Block], reasoning: Iterator[Group], texts: Iterator[Group], tools: Iterator[Group]
) -> Iterator[Group]:
    sources = {"reasoningContent": reasoning, "text": texts, "toolUse": tools}
    for entry in layout:
        kind = entry["type"]
        if kind in entry:
            yield [{kind: entry[kind]}]
        elif (group := next(sources.get(kind, texts), None)) is not None:
            yield [_cited(group[0], entry["citations"]), *group[1:]] if "citations" in entry else group
    yield from (*reasoning, *texts, *tools)


def _cited(block: Block, citations: Sequence[Any]) -> Block:
    return {"citationsContent": {"content": [{"text": block.get("text", "")}], "citations": list(citations)}}


def _text_groups(message: Message, layout: Sequence[Block], note: Note) -> list[Group]:
    content = message.content or message.refusal
    if isinstance(content, str) or content is None:
        cut = _cut(content, layout) if content and layout else None
        return [[block] for block in (blocks_of(content, note) if cut is None else cut)]
    return [group for part in content if (group := part_blocks(part, note))]


def _cut(text: str, layout: Sequence[Block]) -> list[Block] | None:
    """The text as the blocks that it came in; None if a stage has changed its length since."""
    places = [entry for entry in layout if "characters" in entry]
    if sum(entry["characters"] for entry in places) != len(text):
        return None
    blocks: list[Block] = []
    start = 0
    for entry in places:
        end = start + entry["characters"]
        blocks.append({"text": text[start:end]})
        start = end
    return blocks


def _signed(message: Message, traits: Traits, note: Note) -> list[Block]:
    blocks = message.reasoning_blocks or ()
    signed = [block for block in blocks if traits.signs and _is_signed(block)]
    if len(signed) < len(blocks) or (message.reasoning_content and not blocks):
        note("messages.reasoning", "dropped", "only reasoning that the model's vendor signed can be sent back")
    ordered = sorted(signed, key=lambda block: -1 if block.index is None else block.index)
    return [{"reasoningContent": _reasoning_block(block)} for block in ordered]


def _is_signed(block: ReasoningBlock) -> bool:
    if block.data:
        return block.provider in (None, PROVIDER)
    return block.signature is not None and block.provider in _SIGNERS


def _reasoning_block(block: ReasoningBlock) -> Block:
    if block.data:
        return {"redactedContent": block.data}
    return {"reasoningText": {"text": block.text or "", "signature": block.signature}}


def _tool_use(call: ToolCall, note: Note) -> Block:
    custom = call.extra.get("custom") or {}
    name = call.function.name if call.function else custom.get("name", "")
    given = _input(call.function.arguments, note) if call.function else {"input": custom.get("input", "")}
    return {"toolUse": {"toolUseId": tool_id(call.id, note), "name": name, "input": given}}


def _input(arguments: str, note: Note) -> dict[str, Any]:
    if not arguments.strip():
        return {}
    parsed = json_object(arguments)
    if parsed is None:
        reason = "not a JSON object; sent as {'invalid_arguments': <the text>}"
        note("messages.tool_calls.arguments", "emulated", reason)
        return {"invalid_arguments": arguments}
    return parsed


def tool_id(text: str, note: Note) -> str:
    """A tool call's id as the vendor allows it; the same text always gives the same id.

    Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ToolUseBlock.html
    """
    clean = _NOT_IN_AN_ID.sub("_", text) or "_"
    if len(clean) > _ID_CHARS:
        clean = f"{clean[:47]}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
    if clean != text:
        note("messages.tool_calls.id", "renamed", f"the vendor allows {_ID_CHARS} letters, digits and _ . : -")
    return clean


def request_message(blocks: Sequence[Block]) -> Message:
    """The turn of a request: texts stay parts, with their marks. Raises pydantic's `ValidationError` for malformed blocks."""
    fields = fields_of(blocks) | {"content": parts_of(_only_texts(blocks)) or None}
    if not is_canonical([block for block, _ in with_marks(blocks)]):
        fields["provider_blocks"] = [_place(block) for block, _ in with_marks(blocks)]
    return Message.model_validate(fields)


def _only_texts(blocks: Sequence[Block]) -> list[Block]:
    texts: list[Block] = []
    for block, mark in with_marks(blocks):
        if (text := text_of(block)) is not None:
            texts += [{"text": text}, *cache_point(mark.get("cache_control"))]
    return texts


def fields_of(blocks: Sequence[Block]) -> dict[str, Any]:
    """What a message has beside its content: role, reasoning, tool calls; as plain data, which pydantic turns into models fastest."""
    pairs = list(with_marks(blocks))
    reasoning = [
        _reasoning(at, block["reasoningContent"]) for at, (block, _) in enumerate(pairs) if "reasoningContent" in block
    ]
    tools = [_tool_call(block["toolUse"], mark) for block, mark in pairs if is_tool_call(block)]
    fields: dict[str, Any] = {"role": "assistant"}
    if thoughts := "".join(block.get("text", "") for block in reasoning):
        fields["reasoning_content"] = thoughts
    if reasoning:
        fields["reasoning_blocks"] = reasoning
    if tools:
        fields["tool_calls"] = tools
    return fields


def _reasoning(index: int, content: Block) -> dict[str, Any]:
    if "redactedContent" in content:
        return {"type": "redacted_thinking", "index": index, "provider": PROVIDER, "data": content["redactedContent"]}
    said = content.get("reasoningText") or {}
    present = {name: said[name] for name in ("text", "signature") if said.get(name) is not None}
    return {"type": "thinking", "index": index, "provider": PROVIDER, **present}


def _tool_call(use: Block, mark: dict[str, Any]) -> dict[str, Any]:
    function = {"name": use.get("name"), "arguments": write_json(use.get("input") or {}).decode()}
    return {"id": use.get("toolUseId"), "type": "function", "function": function, **mark}


def is_tool_call(block: Block) -> bool:
    """Whether the caller is asked to run a tool; tools that Bedrock runs itself are native."""
    return "toolUse" in block and block["toolUse"].get("type") != "server_tool_use"


def is_canonical(blocks: Sequence[Block]) -> bool:
    """Whether reasoning, then texts, then tool calls is what came, and nothing else."""
    ranks = [_rank(block) for block in blocks]
    return ranks == sorted(ranks) and -1 not in ranks


def _rank(block: Block) -> int:
    return -1 if "toolUse" in block and not is_tool_call(block) else _ORDER.get(kind_of(block), -1)


def layout_of(blocks: Sequence[Block]) -> list[Block]:
    """The `provider_blocks` of a response; empty where OpenAI's shape says it all. Empty texts have no place."""
    full = [block for block in blocks if block.get("text") != ""]
    if is_canonical(full) and sum("text" in block for block in full) < 2:
        return []
    return [_place(block) | _measure(block) for block in full]


def _place(block: Block) -> Block:
    kind = kind_of(block)
    if _rank(block) >= 0:
        return {"provider": PROVIDER, "type": kind}
    if kind == "citationsContent":
        return {"provider": PROVIDER, "type": kind, "citations": block[kind].get("citations") or []}
    return {"provider": PROVIDER, "type": kind, kind: block[kind]}


def _measure(block: Block) -> Block:
    text = text_of(block)
    return {} if text is None else {"characters": len(text)}


def text_of(block: Block) -> str | None:
    """What a block adds to the message's text; None if it is no text."""
    if "citationsContent" in block:
        return "".join(piece.get("text", "") for piece in block["citationsContent"].get("content") or ())
    return block.get("text")


def joined_text(blocks: Sequence[Block]) -> str | None:
    """The texts of a response as one; None if there is none."""
    texts = [text for block in blocks if (text := text_of(block)) is not None]
    return "".join(texts) if texts else None
