"""A conversation in OpenAI's shape as Converse's: `system` apart, and turns that alternate.

Source: https://docs.aws.amazon.com/bedrock/latest/userguide/conversation-inference-call.html
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from ...pipeline.types import Message
from .bedrock_assistant import assistant_blocks, tool_id
from .bedrock_content import UNNAMED, Block, blocks_of, cache_point, marked
from .bedrock_models import Traits
from .notes import Note

_SYSTEM = ("system", "developer")
_OPENER = "Continue."
_BESIDE_A_DOCUMENT = "See the document."


class Conversation(NamedTuple):
    """`system` may be empty."""

    system: list[Block]
    turns: list[dict[str, Any]]


def conversation(messages: Sequence[Message], traits: Traits, note: Note) -> Conversation:
    """The whole conversation: leading system messages go to `system`, consecutive turns of one role are merged."""
    count = next((place for place, message in enumerate(messages) if message.role not in _SYSTEM), len(messages))
    if count == len(messages):
        count -= 1
        note("messages", "emulated", "the last of only system messages is sent as the user's")
        messages = (*messages[:count], messages[count].but(role="user"))
    system = [block for message in messages[:count] for block in marked(message, blocks_of(message.content, note))]
    if system and not traits.family.hears_system:
        note("messages.system", "emulated", "this model has no system prompt; it begins the user's first turn")
        system, messages, count = [], (messages[0].but(role="user"), *messages[1:]), 0
    turns = _Turns(traits, note)
    for message in messages[count:]:
        turns.add(message)
    turns.end()
    _name_documents(turns.turns, note)
    _put_text_beside_documents(turns.turns, note)
    return Conversation(system + turns.hoisted, turns.turns)


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
            self._note("messages.name", "dropped", "Converse has no names of participants")
        if message.role in _SYSTEM:
            self._waiting += marked(message, blocks_of(message.content, self._note))
        elif message.role == "assistant":
            self._place_system()
            self._assistant(message)
        else:
            self._append("user", self._user(message))

    def end(self) -> None:
        """No more messages."""
        self._place_system()

    def _user(self, message: Message) -> list[Block]:
        if message.role == "tool":
            return _tool_result(message, self._note)
        if message.role == "function":
            self._note("messages.function", "emulated", "results of functions have no id; sent as the user's text")
            return [{"text": f"{message.name}: {message.text}"}]
        return marked(message, blocks_of(message.content, self._note))

    def _assistant(self, message: Message) -> None:
        blocks = assistant_blocks(message, self._traits, self._note)
        if not blocks:
            self._note("messages.assistant", "dropped", "a turn without content")
            return
        if not self.turns:
            self._note("messages", "emulated", "a conversation begins with the user; a turn of one word was put before")
            self._append("user", [{"text": _OPENER}])
        self._append("assistant", blocks)

    def _append(self, role: str, blocks: list[Block]) -> None:
        if not blocks:
            self._note(f"messages.{role}", "dropped", "a turn without content")
        elif self.turns and self.turns[-1]["role"] == role:
            self.turns[-1]["content"] += blocks
        else:
            self.turns.append({"role": role, "content": blocks})

    def _place_system(self) -> None:
        """A system message may only stand behind a user's turn, and only newer models hear it there."""
        blocks, self._waiting = self._waiting, []
        if not blocks:
            return
        if self._traits.hears_system_inside and self.turns and self.turns[-1]["role"] == "user":
            self.turns.append({"role": "system", "content": blocks})
        elif self._traits.family.hears_system:
            self._note("messages.system", "emulated", "a later system message was moved to the top-level system")
            self.hoisted += blocks
        else:
            self._note("messages.system", "emulated", "this model has no system prompt; sent as the user's text")
            self._append("user", blocks)


def _tool_result(message: Message, note: Note) -> list[Block]:
    result: Block = {"toolUseId": tool_id(message.tool_call_id or "", note)}
    result["content"] = blocks_of(message.content, note)
    failed = message.extra.get("is_error")
    if isinstance(failed, bool):
        result["status"] = "error" if failed else "success"
    return [{"toolResult": result}, *cache_point(message.extra.get("cache_control"))]


def _name_documents(turns: Sequence[dict[str, Any]], note: Note) -> None:
    """Two documents of one name are refused: "Messages can't contain duplicate document names"."""
    taken: set[str] = set()
    for document in _documents(turns):
        name, number = document.get("name") or UNNAMED, 1
        while name.lower() in taken:
            number += 1
            name = f"{(document.get('name') or UNNAMED)[:190]} {number}"
        if number > 1:
            note("messages.content.file.filename", "renamed", "the vendor takes each name once")
            document["name"] = name
        taken.add(name.lower())


def _documents(turns: Sequence[dict[str, Any]]) -> Iterator[Block]:
    for turn in turns:
        for block in turn["content"]:
            inner = block["toolResult"]["content"] if "toolResult" in block else ()
            yield from (one["document"] for one in (block, *inner) if "document" in one)


def _put_text_beside_documents(turns: Sequence[dict[str, Any]], note: Note) -> None:
    """Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Message.html, `content`."""
    for turn in turns:
        blocks = turn["content"]
        if any("document" in block for block in blocks) and not any("text" in block for block in blocks):
            note("messages.content", "emulated", "the vendor demands a text beside a document; a short one was added")
            blocks.append({"text": _BESIDE_A_DOCUMENT})
