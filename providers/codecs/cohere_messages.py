"""A conversation in OpenAI's shape as the vendor's, message by message.

Source: https://docs.cohere.com/reference/chat#request.body.messages
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...pipeline.types import Message
from .cohere_assistant import assistant_turn
from .cohere_content import texts_of, tool_content, user_content
from .notes import Note

Json = dict[str, Any]


def conversation(messages: Sequence[Message], note: Note) -> list[Json]:
    """The vendor's messages; what it cannot say is noted."""
    return [turn for message in messages if (turn := _turn(message, note)) is not None]


def _turn(message: Message, note: Note) -> Json | None:
    if message.name and message.role != "function":
        note("messages.name", "dropped", "the vendor has no names of participants")
    if "cache_control" in message.extra:
        note("messages.cache_control", "dropped", "the vendor caches by itself")
    match message.role:
        case "assistant":
            return assistant_turn(message, note)
        case "tool":
            content = tool_content(message.content, note)
            return {"role": "tool", "tool_call_id": message.tool_call_id or "", "content": content}
        case "system" | "developer":
            return {"role": "system", "content": texts_of(message.content, note)}
        case "function":
            note("messages.function", "emulated", "results of functions have no id; sent as the user's text")
            return {"role": "user", "content": f"{message.name}: {message.text}"}
        case _:
            return {"role": "user", "content": user_content(message.content, note)}
