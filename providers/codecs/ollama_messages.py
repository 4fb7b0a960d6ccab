"""A conversation in OpenAI's shape as the server's: one text and a list of images in each message.

Source: https://docs.ollama.com/api/chat
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...pipeline.types import ImagePart, Message, Part, RefusalPart, TextPart
from .notes import Note
from .ollama_tools import sent_call

Json = dict[str, Any]

_ROLES = {"developer": "system", "function": "tool"}


def conversation(messages: Sequence[Message], note: Note) -> list[Json]:
    """The server's messages; what it cannot say is noted. A tool's result names the tool, found by the id of its call."""
    names = {call.id: call.function.name for message in messages for call in message.tool_calls or () if call.function}
    return [_turn(message, names, note) for message in messages]


def _turn(message: Message, names: dict[str, str], note: Note) -> Json:
    turn: Json = {"role": _ROLES.get(message.role, message.role), **_content(message, note)}
    _note_missing(message, note)
    if message.role == "assistant":
        if message.reasoning_content:
            turn["thinking"] = message.reasoning_content
        if message.tool_calls:
            turn["tool_calls"] = [sent_call(call, number, note) for number, call in enumerate(message.tool_calls)]
    if message.role in ("tool", "function"):
        if name := message.name or message.extra.get("tool_name") or names.get(message.tool_call_id or ""):
            turn["tool_name"] = name
        if message.tool_call_id:
            turn["tool_call_id"] = message.tool_call_id
    return turn


def _note_missing(message: Message, note: Note) -> None:
    if message.name and message.role not in ("tool", "function"):
        note("messages.name", "dropped", "the server has no names of participants")
    if any(block.signature or block.data for block in message.reasoning_blocks or ()):
        note("messages.reasoning_blocks", "dropped", "the server takes the text of reasoning back, not its signatures")
    if message.annotations:
        note("messages.annotations", "dropped", "the server takes no citations back")
    if "cache_control" in message.extra:
        note("messages.cache_control", "dropped", "the server caches by itself")


def _content(message: Message, note: Note) -> Json:
    content = message.content if message.content is not None else message.refusal
    if content is None or isinstance(content, str):
        return {"content": content or ""}
    texts = [text for part in content if (text := _text(part, note)) is not None]
    images = [image for part in content if isinstance(part, ImagePart) and (image := _image(part, note))]
    return {"content": "\n".join(texts), **({"images": images} if images else {})}


def _text(part: Part, note: Note) -> str | None:
    if part.cache_control is not None:
        note("messages.content.cache_control", "dropped", "the server caches by itself")
    if isinstance(part, (TextPart, RefusalPart)):
        return part.text if isinstance(part, TextPart) else part.refusal
    if not isinstance(part, ImagePart):
        note(f"messages.content.{part.type[:40]}", "dropped", "the server takes texts and images")
    return None


def _image(part: ImagePart, note: Note) -> str | None:
    """The base64 of a data URL: the server fetches nothing."""
    head, comma, data = part.image_url.url.partition(",")
    if part.image_url.detail not in (None, "auto"):
        note("messages.content.image_url.detail", "dropped", "the server has no levels of detail")
    if comma and head.startswith("data:") and head.endswith(";base64"):
        return data
    note("messages.content.image_url", "dropped", "the server takes images as data URLs with base64 only")
    return None
