"""A conversation in OpenAI's shape as Gemini's: `systemInstruction` apart, and turns of user and model.

Source: https://ai.google.dev/api/generate-content
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from ...pipeline.types import Message, TextPart
from .gemini_model_turn import model_parts
from .gemini_models import Traits
from .gemini_names import Json
from .gemini_parts import parts_of
from .gemini_turn import OWN_ID
from .notes import Note
from .plain_json import json_object

_SYSTEM: Final = ("system", "developer")
_RESULT_EXTRAS: Final = ("willContinue", "scheduling")


class Conversation(NamedTuple):
    """`system` is None without one."""

    system: Json | None
    turns: list[Json]


def conversation(messages: Sequence[Message], traits: Traits, note: Note) -> Conversation:
    """The whole conversation: system messages go to `systemInstruction`, consecutive turns of one role are merged."""
    if all(message.role in _SYSTEM for message in messages):
        note("messages", "emulated", "the last of only system messages is sent as the user's")
        messages = (*messages[:-1], messages[-1].but(role="user"))
    turns = _Turns(traits, note)
    for message in messages:
        turns.add(message)
    turns.end()
    return Conversation({"parts": turns.system} if turns.system else None, turns.turns)


class _Turns:
    """Turns in the making, with the names of the calls that results will refer to."""

    def __init__(self, traits: Traits, note: Note) -> None:
        self.system: list[Json] = []
        self.turns: list[Json] = []
        self._traits = traits
        self._note = note
        self._calls: dict[str, tuple[int, str]] = {}  # of all turns: place and name by id
        self._results: list[tuple[int, Json]] = []
        self._media: list[Json] = []

    def add(self, message: Message) -> None:
        """The next message."""
        if message.extra.get("cache_control") is not None:
            self._note("cache_control", "dropped", "Gemini caches by itself, or by cachedContent")
        if message.name and message.role not in ("tool", "function"):
            self._note("messages.name", "dropped", "Gemini has no names of participants")
        if message.role in ("tool", "function"):
            self._hold(message)
            return
        self._place_results()
        match message.role:
            case "system" | "developer":
                self._instruct(message)
            case "assistant":
                self._answer(message)
            case _:
                self._append("user", parts_of(message.content, self._note) or [{"text": ""}])

    def end(self) -> None:
        """No more messages."""
        self._place_results()

    def _instruct(self, message: Message) -> None:
        if self.turns:
            self._note("messages.system", "emulated", "a later system message was moved to systemInstruction")
        self.system += parts_of(message.content, self._note)

    def _answer(self, message: Message) -> None:
        for call in message.tool_calls or ():
            self._calls[call.id] = (len(self._calls), call.function.name if call.function else "")
        parts = model_parts(message, self._traits, self._note)
        if not parts:
            self._note("messages.assistant", "dropped", "a turn without content")
            return
        if not self.turns and "functionCall" in parts[0]:
            self._note("messages", "emulated", "a call follows a user's turn; one of one word was put before")
            self._append("user", [{"text": "Continue."}])
        self._append("model", parts)

    def _append(self, role: str, parts: list[Json]) -> None:
        if self.turns and self.turns[-1]["role"] == role:
            self.turns[-1]["parts"] += parts
        else:
            self.turns.append({"role": role, "parts": list(parts)})

    def _hold(self, message: Message) -> None:
        """A result waits for its neighbours."""
        place, name = self._calls.get(message.tool_call_id or "", (len(self._calls), ""))
        response, media = self._result(message)
        body: Json = {"name": name or message.name or message.tool_call_id or "function", "response": response}
        if message.tool_call_id and not message.tool_call_id.startswith(OWN_ID):
            body = {"id": message.tool_call_id, **body}
        body |= {key: message.extra[key] for key in _RESULT_EXTRAS if key in message.extra}
        if media and self._traits.takes_media_in_results:
            body["parts"] = media
        elif media:
            self._note("messages.tool.content", "emulated", "media of a result is sent behind it, as the user's")
            self._media += media
        self._results.append((place, {"functionResponse": body}))

    def _place_results(self) -> None:
        """Results stand in the order of their calls: without ids the vendor goes by it."""
        if self._results:
            self._results.sort(key=lambda result: result[0])
            self._append("user", [part for _, part in self._results] + self._media)
            self._results, self._media = [], []

    def _result(self, message: Message) -> tuple[Json, list[Json]]:
        """The response, an object as the vendor demands, and the media of the result."""
        texts = message.text if not isinstance(message.content, str) else message.content
        rest = (
            [part for part in message.content if not isinstance(part, TextPart)]
            if isinstance(message.content, tuple)
            else []
        )
        parsed: Any = json_object(texts)
        if parsed is None:
            parsed = {"error" if message.extra.get("is_error") else "result": texts}
        return parsed, parts_of(rest, self._note)
