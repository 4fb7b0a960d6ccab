"""A streamed answer of Converse as chunks.

Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStreamOutput.html
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...pipeline.errors import ResponseValidationError, StreamInterruptedError
from ...pipeline.types import ChatChunk, ChoiceDelta, Delta
from .bedrock_assistant import layout_of
from .bedrock_blocks import OpenBlock
from .bedrock_response import extras_of, finish_of, model_of
from .bedrock_usage import usage_of
from .plain_json import json_object


class ConverseReader:
    """Reads the events of one stream. Unknown events are passed over; content of unknown kinds is kept in `provider_blocks`."""

    def __init__(self, *, model: str, created: int, answer_tool: bool, provider: str) -> None:
        self._model = model
        self._created = created
        self._answer_tool = answer_tool
        self._provider = provider
        self._blocks: dict[int, OpenBlock] = {}
        self._tools = 0
        self._characters = 0
        self._stop_reason: str | None = None

    def read(self, name: str, payload: bytes) -> Sequence[ChatChunk]:
        """The chunks of one event."""
        data = json_object(payload)
        if data is None:
            raise self._nonsense("an event with a JSON object")
        return self.read_event(name, data)

    def read_event(self, name: str, data: dict[str, Any]) -> Sequence[ChatChunk]:
        """As `read`, of an event whose JSON is read."""
        try:
            chunk = self._event(name, data)
        except (LookupError, TypeError, AttributeError) as error:
            raise self._nonsense(f"an event with all its fields ({type(error).__name__})") from error
        return () if chunk is None else (chunk,)

    def end(self) -> Sequence[ChatChunk]:
        """Raises `StreamInterruptedError` when no reason to stop had come."""
        if self._stop_reason is None:
            raise StreamInterruptedError(
                "Expected the stream to end with a stop reason, found its end before. Try again, or ask for less.",
                provider=self._provider,
            )
        return ()

    def _event(self, name: str, data: dict[str, Any]) -> ChatChunk | None:
        match name:
            case "contentBlockDelta":
                return self._delta(self._open(data).grow(data["delta"]))
            case "contentBlockStart":
                return self._delta(self._open(data).start(data["start"]))
            case "contentBlockStop":
                return self._block_stop(data)
            case "messageStart":
                return self._delta(Delta(role="assistant"))
            case "messageStop":
                return self._message_stop(data)
            case "metadata":
                return self._metadata(data)
        return None

    def _open(self, data: dict[str, Any]) -> OpenBlock:
        """The block of an event; texts begin without saying so."""
        index = data["contentBlockIndex"]
        if (block := self._blocks.get(index)) is None:
            block = self._blocks[index] = OpenBlock(index, self._tools, answer_tool=self._answer_tool)
            self._tools += "toolUse" in (data.get("start") or {})
        return block

    def _block_stop(self, data: dict[str, Any]) -> ChatChunk | None:
        if (block := self._blocks.get(data["contentBlockIndex"])) is None:
            return None
        delta = block.stop(self._characters)
        self._characters += block.characters
        return self._delta(delta)

    def _message_stop(self, data: dict[str, Any]) -> ChatChunk:
        self._stop_reason = native = str(data["stopReason"])
        blocks = [self._blocks[index] for index in sorted(self._blocks)]
        layout = layout_of([whole for block in blocks if (whole := block.whole)])
        choice = ChoiceDelta(
            delta=Delta(extra={"provider_blocks": tuple(layout)} if layout else None),
            finish_reason=finish_of(native, has_tools=any(block.is_tool_call for block in blocks)),
            native_finish_reason=native,
        )
        return ChatChunk("", self._model, self._created, (choice,), None, extras_of(data) or None)

    def _metadata(self, data: dict[str, Any]) -> ChatChunk:
        usage = usage_of(data["usage"]) if data.get("usage") else None
        return ChatChunk("", model_of(data, self._model), self._created, (), usage, extras_of(data) or None)

    def _delta(self, delta: Delta | None) -> ChatChunk | None:
        return None if delta is None else ChatChunk("", self._model, self._created, (ChoiceDelta(delta=delta),))

    def _nonsense(self, expected: str) -> ResponseValidationError:
        return ResponseValidationError(
            f"Expected {expected}, found something else in the stream.", provider=self._provider
        )
