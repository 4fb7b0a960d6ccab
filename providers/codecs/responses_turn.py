"""An assistant's message as input items: those that the vendor wrote, in their order, with what stages have changed since."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from ...pipeline.types import Message, ReasoningBlock, ToolCall
from .responses_items import CALLS, PARAGRAPH

if TYPE_CHECKING:
    from .notes import Note
    from .responses_content import Item

_CALL_ID_CHARS: Final = 64
"""Longer ids of calls are refused. Source: "string too long. Expected a string with maximum length 64", its answer."""

_QUEUED: Final = frozenset({"reasoning", "message", *CALLS})
_OF_A_BLOCK: Final = frozenset({"parts", "type"})


def layout_for(message: Message, provider: str) -> list[Item]:
    """The message's `provider_blocks` that are this vendor's."""
    blocks = message.extra.get("provider_blocks") or ()
    return [entry for entry in blocks if isinstance(entry, dict) and entry.get("provider") == provider]


def assistant_items(message: Message, provider: str, *, stored: bool, note: Note) -> list[Item]:
    """The items of an assistant's turn. `stored`: whether the vendor keeps what it answers, and knows reasoning by its id."""
    layout = layout_for(message, provider)
    reasoning = _reasoning(message, provider, stored=stored, note=note)
    calls = [_call(call, note) for call in message.tool_calls or ()]
    if not layout:
        return [*reasoning, *_plain(message, {}), *calls]
    whole = len(reasoning) >= sum(entry["type"] == "reasoning" for entry in layout)
    messages = _messages(message, layout) if whole else None
    if messages is None:
        messages = _plain(message, next((e for e in reversed(layout) if "phase" in e), {}))
    return list(_arranged(layout if whole else _loose(layout, note), reasoning, messages, calls))


def _loose(layout: Sequence[Item], note: Note) -> list[Item]:
    """The layout without ids: what has one is refused without the reasoning before it, and a built-in tool's item needs one."""
    if any(entry["type"] not in _QUEUED for entry in layout):
        note("messages.items", "dropped", "built-in tools' items cannot go back without the reasoning before them")
    return [{k: v for k, v in entry.items() if k != "id"} for entry in layout if entry["type"] in _QUEUED]


def _arranged(layout: Sequence[Item], reasoning: list[Item], messages: list[Item], calls: list[Item]) -> Iterator[Item]:
    queues = {"reasoning": iter(reasoning), "message": iter(messages), **dict.fromkeys(CALLS, iter(calls))}
    for entry in layout:
        own = {name: value for name, value in entry.items() if name not in ("provider", "type")}
        queue = queues.get(entry["type"])
        if queue is None:
            yield {"type": entry["type"], **own}
        elif (item := next(queue, None)) is not None:
            yield item | own if entry["type"] in CALLS else item
    for queue in (queues["reasoning"], queues["message"], queues["function_call"]):
        yield from queue


def _messages(message: Message, layout: Sequence[Item]) -> list[Item] | None:
    """The messages with their texts; None if a stage has changed the length of one since."""
    marks = [entry for entry in layout if entry["type"] == "message"]
    texts, refusals = _Cutter(message.text), _Cutter(message.refusal or "")
    items = [_message(mark, texts, refusals) for mark in marks]
    return items if texts.is_used_up and refusals.is_used_up else None


def _message(mark: Item, texts: _Cutter, refusals: _Cutter) -> Item:
    rest = {name: value for name, value in mark.items() if name not in ("provider", "parts", "characters")}
    if "parts" not in mark:
        return {**rest, "role": "assistant", "content": texts.take(mark.get("characters", 0))}
    return {**rest, "role": "assistant", "content": [_part(part, texts, refusals) for part in mark["parts"]]}


def _part(mark: Item, texts: _Cutter, refusals: _Cutter) -> Item:
    part = dict(mark)
    if (characters := part.pop("characters", None)) is None:
        return part
    if part["type"] == "refusal":
        return part | {"refusal": refusals.take(characters)}
    return part | {"text": texts.take(characters)}


class _Cutter:
    """Takes a text apart; asked for more than there is, it is not used up either."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._place = 0

    def take(self, characters: int) -> str:
        start, self._place = self._place, self._place + characters
        return self._text[start : self._place]

    @property
    def is_used_up(self) -> bool:
        return self._place == len(self._text)


def _plain(message: Message, mark: Item) -> list[Item]:
    text = message.text or message.refusal
    if not text:
        return []
    phase = {"phase": mark["phase"]} if mark.get("phase") else {}
    return [{"role": "assistant", "content": text, **phase}]


def _reasoning(message: Message, provider: str, *, stored: bool, note: Note) -> list[Item]:
    blocks = message.reasoning_blocks or ()
    own = [block for block in blocks if block.provider == provider and block.type == "reasoning"]
    if len(own) < len(blocks) or (message.reasoning_content and not blocks):
        note("messages.reasoning", "dropped", f"only reasoning that {provider} gave here can be sent back")
    items = [_reasoning_item(block) for block in sorted(own, key=lambda block: block.index or 0)]
    known = [item for item in items if "encrypted_content" in item or "content" in item or (stored and "id" in item)]
    if len(known) < len(items):
        note("messages.reasoning", "dropped", 'not stored, and given without include: ["reasoning.encrypted_content"]')
    return known


def _reasoning_item(block: ReasoningBlock) -> Item:
    parts = list(_cut(block))
    item: Item = {"type": "reasoning", "summary": [part for part in parts if part["type"] == "summary_text"]}
    if content := [part for part in parts if part["type"] != "summary_text"]:
        item["content"] = content
    if block.id is not None:
        item["id"] = block.id
    if block.data is not None:
        item["encrypted_content"] = block.data
    return item | {name: value for name, value in block.extra.items() if name not in _OF_A_BLOCK}


def _cut(block: ReasoningBlock) -> Iterator[Item]:
    text = block.text or ""
    marks: list[dict[str, Any]] = block.extra.get("parts") or [{"type": "summary_text", "characters": len(text)}]
    start = 0
    for mark in marks if block.text is not None else ():
        yield {"type": mark["type"], "text": text[start : start + mark["characters"]]}
        start += mark["characters"] + len(PARAGRAPH)


def _call(call: ToolCall, note: Note) -> Item:
    head = {"call_id": call_id(call.id, note)}
    if call.type == "custom" or call.function is None:
        custom = call.extra.get("custom") or {}
        return {"type": "custom_tool_call", **head, "name": custom.get("name", ""), "input": custom.get("input", "")}
    return {"type": "function_call", **head, "name": call.function.name, "arguments": call.function.arguments or "{}"}


def call_id(text: str, note: Note) -> str:
    """A tool call's id, which the vendor wants short: a longer one of another vendor ends in its digest instead."""
    if len(text) <= _CALL_ID_CHARS:
        return text
    note("messages.tool_calls.id", "renamed", f"the vendor allows {_CALL_ID_CHARS} characters")
    return f"{text[:31]}-{sha256(text.encode()).hexdigest()[:32]}"
