"""A conversation in OpenAI's shape as Anthropic's: `system` apart, and turns that alternate.

Source: https://platform.claude.com/docs/en/build-with-claude/working-with-messages
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from ...pipeline.types import Message
from .anthropic_assistant import assistant_blocks, tool_id
from .anthropic_content import Block, blocks_of
from .anthropic_models import Traits
from .notes import Note

_SYSTEM = ("system", "developer")
_OPENER = "Continue."


class Conversation(NamedTuple):
    """`system` is None without one, a string where it was one string."""

    system: str | list[Block] | None
    turns: list[dict[str, Any]]


def conversation(messages: Sequence[Message], traits: Traits, note: Note) -> Conversation:
    """The whole conversation: leading system messages go to `system`, consecutive turns of one role are merged."""
    count = next((place for place, message in enumerate(messages) if message.role not in _SYSTEM), len(messages))
    if count == len(messages):
        count -= 1
        note("messages", "emulated", "the last of only system messages is sent as the user's")
        messages = (*messages[:count], messages[count].but(role="user"))
    turns = _Turns(traits, note)
    for message in messages[count:]:
        turns.add(message)
    turns.end()
    return Conversation(_system(messages[:count], turns.hoisted, note), turns.turns)


def _system(messages: Sequence[Message], hoisted: list[Block], note: Note) -> str | list[Block] | None:
    if (
        len(messages) == 1
        and not hoisted
        and isinstance(messages[0].content, str)
        and "cache_control" not in messages[0].extra
    ):
        return messages[0].content or None
    return [
        block for message in messages for block in _marked(message, blocks_of(message.content, note))
    ] + hoisted or None


class _Turns:
    """Turns in the making. System messages wait until the user's turn before them is complete."""

    def __init__(self, traits: Traits, note: Note) -> None:
        self.turns: list[dict[str, Any]] = []
        self.hoisted: list[Block] = []
        self._waiting: list[Block] = []
        self._traits = traits
        self._note = note

    def add(self, message: Message) -> None:
        """The next message."""
        if message.name and message.role != "function":
            self._note("messages.name", "dropped", "the Messages API has no names of participants")
        if message.role in _SYSTEM:
            self._waiting += _marked(message, blocks_of(message.content, self._note))
        elif message.role == "assistant":
            self._place_system()
            self._assistant(message)
        else:
            self._append("user", self._user(message))

    def end(self) -> None:
        """No more messages."""
        self._place_system()

    def _user(self, message: Message) -> str | list[Block]:
        if message.role == "tool":
            return [_tool_result(message, self._note)]
        if message.role == "function":
            self._note("messages.function", "emulated", "results of functions have no id; sent as the user's text")
            return f"{message.name}: {message.text}"
        if isinstance(message.content, str) and "cache_control" not in message.extra:
            return message.content
        return _marked(message, blocks_of(message.content, self._note))

    def _assistant(self, message: Message) -> None:
        blocks = _marked(message, assistant_blocks(message, self._note))
        if not blocks:
            self._note("messages.assistant", "dropped", "a turn without content")
            return
        if not self.turns:
            self._note("messages", "emulated", "a conversation begins with the user; a turn of one word was put before")
            self._append("user", _OPENER)
        plain = isinstance(message.content, str) and len(blocks) == 1 and blocks[0].keys() == {"type", "text"}
        self._append("assistant", blocks[0]["text"] if plain else blocks)

    def _append(self, role: str, content: str | list[Block]) -> None:
        if not self.turns or self.turns[-1]["role"] != role:
            self.turns.append({"role": role, "content": content})
        else:
            turn = self.turns[-1]
            turn["content"] = [*_as_blocks(turn["content"]), *_as_blocks(content)]

    def _place_system(self) -> None:
        """A system message may only stand behind a user's turn, and before an assistant's or the end."""
        blocks, self._waiting = self._waiting, []
        if not blocks:
            return
        if self._traits.hears_system_inside and self.turns and self.turns[-1]["role"] == "user":
            self.turns.append({"role": "system", "content": blocks})
            return
        self._note("messages.system", "emulated", "a later system message was moved to the top-level system")
        self.hoisted += blocks


def _as_blocks(content: str | list[Block]) -> list[Block]:
    if isinstance(content, list):
        return content
    return [{"type": "text", "text": content}] if content else []


def _marked(message: Message, blocks: list[Block]) -> list[Block]:
    """A `cache_control` on the message itself is a mark on its last block."""
    mark = message.extra.get("cache_control")
    if mark is not None and blocks:
        blocks[-1] = blocks[-1] | {"cache_control": mark}
    return blocks


def _tool_result(message: Message, note: Note) -> Block:
    block: Block = {"type": "tool_result", "tool_use_id": tool_id(message.tool_call_id or "", note)}
    if isinstance(message.content, str):
        block["content"] = message.content
    elif message.content is not None:
        block["content"] = blocks_of(message.content, note)
    extras = ("is_error", "cache_control", "toolset_name")
    return block | {name: message.extra[name] for name in extras if name in message.extra}
