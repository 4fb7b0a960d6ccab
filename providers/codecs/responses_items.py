"""Output items of Responses as an assistant's message.

OpenAI's chat shape has one text, a list of tool calls and (ours) a list of reasoning blocks. The items say more: their
order, ids, statuses and phases, several messages, built-in tools. So the message also carries `provider_blocks`: one
entry per item. Items of built-in tools are in it whole, the others without their texts, so that no text is kept twice
and a stage that rewrites the message's text or tool calls rewrites what is sent back.

Source: https://platform.openai.com/docs/api-reference/responses/object#responses-object-output
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .responses_content import Item

CALLS: Final = {"function_call": "arguments", "custom_tool_call": "input"}
"""Items that are tool calls of chat's, and where each has its arguments."""

_OF_A_CALL: Final = ("type", "call_id", "name")
_OF_REASONING: Final = ("type", "id", "summary", "content", "encrypted_content")
PARAGRAPH: Final = "\n\n"
"""Between the parts of reasoning, which the vendor shows one below the other."""


def fields_of(items: Sequence[Item], provider: str) -> dict[str, Any]:
    """The message, as plain data. Raises `KeyError`, `TypeError` or `AttributeError` for items without what their type promises."""
    fields: dict[str, Any] = {"role": "assistant", "content": _joined(items, "output_text", "text")}
    lists: dict[str, Sequence[Any]] = {
        "reasoning_blocks": [
            block_of(n, item, provider) for n, item in enumerate(items) if item["type"] == "reasoning"
        ],
        "tool_calls": [tool_call(item) for item in items if item["type"] in CALLS],
        "annotations": tuple(annotations_of(items)),
        "provider_blocks": layout_of(items, provider),
    }
    fields |= {name: values for name, values in lists.items() if values}
    texts = {"refusal": _joined(items, "refusal", "refusal"), "reasoning_content": thoughts_of(items)}
    return fields | {name: text for name, text in texts.items() if text}


def _joined(items: Sequence[Item], kind: str, name: str) -> str | None:
    texts = [part[name] for part in parts_of(items) if part["type"] == kind]
    return "".join(texts) if texts else None


def parts_of(items: Sequence[Item]) -> Iterator[Item]:
    """The content of all messages."""
    for item in items:
        if item["type"] == "message":
            yield from content_of(item)


def content_of(message: Item) -> list[Item]:
    """A message's content as parts; a request may have it as one string."""
    content = message.get("content") or []
    return [{"type": "output_text", "text": content}] if isinstance(content, str) else content


def thoughts_of(items: Sequence[Item]) -> str | None:
    """The readable reasoning."""
    texts = [part["text"] for item in items if item["type"] == "reasoning" for part in reasoning_parts(item)]
    return PARAGRAPH.join(filter(None, texts)) or None


def reasoning_parts(item: Item) -> list[Item]:
    """Summaries, then the reasoning itself where the vendor shows it."""
    return [*(item.get("summary") or ()), *(item.get("content") or ())]


def block_of(index: int, item: Item, provider: str) -> Item:
    """A reasoning item as a block that can be made an item again."""
    parts = reasoning_parts(item)
    block = {"type": "reasoning", "index": index, "provider": provider}
    block |= {name: value for name, value in item.items() if name not in _OF_REASONING and value is not None}
    known = {"id": item.get("id"), "data": item.get("encrypted_content")}
    known["text"] = PARAGRAPH.join(part["text"] for part in parts) if parts else None
    if [part["type"] for part in parts] != ["summary_text"] * (len(parts) == 1):
        known["parts"] = [{"type": part["type"], "characters": len(part["text"])} for part in parts]
    return block | {name: value for name, value in known.items() if value is not None}


def tool_call(item: Item) -> Item:
    """A tool call in chat's shape."""
    if item["type"] == "custom_tool_call":
        return {"id": item["call_id"], "type": "custom", "custom": {"name": item["name"], "input": item["input"]}}
    function = {"name": item["name"], "arguments": item.get("arguments") or ""}
    return {"id": item["call_id"], "type": "function", "function": function}


def annotations_of(items: Sequence[Item], start: int = 0) -> Iterator[Item]:
    """Citations; those of the web in chat's shape, with their place in the whole text, which begins at `start`."""
    for part in parts_of(items):
        if part["type"] == "output_text":
            yield from (annotation_of(annotation, start) for annotation in part.get("annotations") or ())
            start += len(part["text"])


def annotation_of(annotation: Item, start: int) -> Item:
    """One citation of a text that begins at `start` in the whole."""
    moved = {
        name: annotation[name] + start
        for name in ("start_index", "end_index", "index")
        if isinstance(annotation.get(name), int)
    }
    placed = annotation | moved
    if annotation.get("type") != "url_citation" or "url" not in annotation:
        return placed
    return {"type": "url_citation", "url_citation": {name: placed[name] for name in placed if name != "type"}}


def layout_of(items: Sequence[Item], provider: str) -> list[Item]:
    """The `provider_blocks`."""
    return [{"provider": provider, **_mark(item)} for item in items]


def _mark(item: Item) -> Item:
    kind = item["type"]
    if kind == "reasoning":
        return {"type": kind}
    if kind in CALLS:
        return {"type": kind} | _without(item, *_OF_A_CALL, CALLS[kind])
    if kind != "message":
        return item
    rest = _without(item, "type", "role", "content")
    if isinstance(item.get("content"), str):
        return {"type": kind, **rest, "characters": len(item["content"])}
    return {"type": kind, **rest, "parts": [_part_mark(part) for part in content_of(item)]}


def _part_mark(part: Item) -> Item:
    """Log-probabilities of an answer say its text once more: only that there were none is kept."""
    name = "refusal" if part["type"] == "refusal" else "text"
    if name not in part:
        return part
    rest = _without(part, name, *(("logprobs",) if part.get("logprobs") else ()))
    return {**rest, "characters": len(part[name])}


def _without(item: Item, *names: str) -> Item:
    return {name: value for name, value in item.items() if name not in names}
