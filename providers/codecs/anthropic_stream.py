"""A streamed answer of the Messages API as chunks.

Source: https://platform.claude.com/docs/en/build-with-claude/streaming
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from ...pipeline.errors import APIError, ResponseValidationError, StreamInterruptedError
from ...pipeline.types import ChatChunk, ChoiceDelta, Delta
from ..sse import Event, EventDecoder
from .anthropic_assistant import layout_of
from .anthropic_blocks import OpenBlock, open_block
from .anthropic_errors import body_error
from .anthropic_response import extras_of, finish_of, tier_of
from .anthropic_usage import usage_of
from .plain_json import json_object

_DONE: Final = b"[DONE]"
"""Not the vendor's, but of servers that imitate it."""


class AnthropicDecoder:
    """Decodes one stream. Any split of the bytes gives the same chunks: an error behind chunks is raised by the next call.

    Unknown events are passed over; content of unknown kinds is kept in `provider_blocks`. The first chunk and the last
    bring token counts, so that a cut stream has some. `answer_tool` shows the forced answer tool's arguments as text.
    """

    def __init__(self, *, created: int, answer_tool: bool, provider: str) -> None:
        self._events = EventDecoder()
        self._created = created
        self._answer_tool = answer_tool
        self._provider = provider
        self._id = self._model = ""
        self._counts: dict[str, Any] = {}
        self._blocks: dict[int, OpenBlock] = {}
        self._tools = 0
        self._characters = 0
        self._stop_reason: str | None = None
        self._ended = False
        self._failure: APIError | None = None

    def feed(self, data: bytes) -> Sequence[ChatChunk]:
        """Raises the class of an error event, and `ResponseValidationError` for an event that is not the vendor's."""
        if self._failure is not None:
            raise self._failure
        return self._chunks(self._events.feed(data))

    def finish(self) -> Sequence[ChatChunk]:
        """Raises `StreamInterruptedError` when no reason to stop had come."""
        if self._failure is not None:
            raise self._failure
        chunks = self._chunks(event for event in self._events.finish() if json_object(event.data) is not None)
        if self._failure is None and self._stop_reason is None:
            raise StreamInterruptedError(
                "Expected the stream to end with a stop reason, found its end before. Try again, or ask for less.",
                provider=self._provider,
            )
        return chunks

    def _chunks(self, events: Iterable[Event]) -> list[ChatChunk]:
        chunks: list[ChatChunk] = []
        try:
            for event in events:
                if (chunk := self._chunk(event)) is not None:
                    chunks.append(chunk)  # noqa: PERF401 - an error must not lose the chunks before it
        except APIError as error:
            if not chunks:
                raise
            self._failure = error
        return chunks

    def _chunk(self, event: Event) -> ChatChunk | None:
        if self._ended or event.data == _DONE:
            return None
        data = json_object(event.data)
        if data is None:
            raise self._nonsense("an event with a JSON object")
        try:
            return self._read(data)
        except (KeyError, TypeError, AttributeError) as error:
            raise self._nonsense(f"an event with all its fields ({type(error).__name__})") from error

    def _read(self, data: dict[str, Any]) -> ChatChunk | None:
        match data.get("type"):
            case "content_block_delta":
                return self._delta(self._blocks[data["index"]].grow(data["delta"]))
            case "content_block_start":
                return self._block_start(data)
            case "content_block_stop":
                return self._block_stop(data)
            case "message_start":
                return self._message_start(data)
            case "message_delta":
                return self._message_delta(data)
            case "message_stop":
                self._ended = True
            case "error":
                raise body_error(data, self._provider)
        return None

    def _nonsense(self, expected: str) -> ResponseValidationError:
        return ResponseValidationError(
            f"Expected {expected}, found something else in the stream.", provider=self._provider
        )

    def _message_start(self, data: dict[str, Any]) -> ChatChunk:
        message = data["message"]
        self._id, self._model = message.get("id", ""), message.get("model", "")
        self._counts = dict(message.get("usage") or {})
        choice = ChoiceDelta(delta=Delta(role="assistant"))
        usage = usage_of(self._counts) if self._counts else None
        extra = extras_of(message) | tier_of(self._counts)
        return ChatChunk(self._id, self._model, self._created, (choice,), usage, extra or None)

    def _block_start(self, data: dict[str, Any]) -> ChatChunk | None:
        block = open_block(data["index"], data["content_block"], tool=self._tools, answer_tool=self._answer_tool)
        self._blocks[data["index"]] = block
        self._tools += block.is_tool
        return self._delta(block.start())

    def _block_stop(self, data: dict[str, Any]) -> ChatChunk | None:
        block = self._blocks[data["index"]]
        delta = block.stop(self._characters)
        self._characters += block.characters
        return self._delta(delta)

    def _message_delta(self, data: dict[str, Any]) -> ChatChunk:
        delta = data["delta"]
        self._counts.update({name: count for name, count in (data.get("usage") or {}).items() if count is not None})
        self._stop_reason = delta.get("stop_reason") or self._stop_reason
        choice = ChoiceDelta(
            delta=Delta(extra=self._layout()),
            finish_reason=finish_of(self._stop_reason, has_tools=self._tools > 0),
            native_finish_reason=self._stop_reason,
        )
        extra = extras_of({**data, **delta}) | tier_of(self._counts)
        return ChatChunk(
            self._id,
            self._model,
            self._created,
            (choice,),
            usage_of(self._counts) if self._counts else None,
            extra or None,
        )

    def _layout(self) -> dict[str, Any] | None:
        layout = layout_of([self._blocks[index].block for index in sorted(self._blocks)])
        return {"provider_blocks": tuple(layout)} if layout and self._stop_reason else None

    def _delta(self, delta: Delta | None) -> ChatChunk | None:
        return None if delta is None else ChatChunk(self._id, self._model, self._created, (ChoiceDelta(delta=delta),))
