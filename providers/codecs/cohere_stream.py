"""A streamed answer of the vendor as chunks.

Source: https://docs.cohere.com/docs/streaming
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from ...pipeline.errors import APIError, ResponseValidationError, StreamInterruptedError
from ...pipeline.types import ChatChunk, ChoiceDelta, Delta, FunctionDelta, ReasoningDelta, ToolCallDelta
from ..sse import Event, EventDecoder
from .cohere_assistant import PLAN, PLAN_INDEX, PROVIDER
from .cohere_citations import annotation_of
from .cohere_errors import body_error, broken_off
from .cohere_response import BROKEN_OFF, finish_of, logprobs_of
from .cohere_usage import usage_of
from .plain_json import json_object

Json = dict[str, Any]

_DONE: Final = b"[DONE]"


class CohereDecoder:
    """Decodes one stream. Any split of the bytes gives the same chunks: an error behind chunks is raised by the next call.

    Unknown events are passed over. `message-end` tells a complete answer from a cut one: not every stream has `[DONE]`.
    """

    def __init__(self, *, model: str, created: int, provider: str) -> None:
        self._events = EventDecoder()
        self._model = model
        self._created = created
        self._provider = provider
        self._id = ""
        self._lengths: dict[int, int] = {}
        self._arguments: set[int] = set()
        self._finished = False
        self._failure: APIError | None = None

    def feed(self, data: bytes) -> Sequence[ChatChunk]:
        """Raises what an answer that broke off means, and `ResponseValidationError` for an event that is not the vendor's."""
        if self._failure is not None:
            raise self._failure
        return self._chunks(self._events.feed(data))

    def finish(self) -> Sequence[ChatChunk]:
        """Raises `StreamInterruptedError` when the message had not ended."""
        if self._failure is not None:
            raise self._failure
        chunks = self._chunks(event for event in self._events.finish() if json_object(event.data) is not None)
        if self._failure is None and not self._finished:
            raise StreamInterruptedError(
                "Expected the stream to end with a finish reason, found its end before. Try again, or ask for less.",
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
        if self._finished or event.data == _DONE:
            return None
        data = json_object(event.data)
        if data is None:
            raise self._nonsense("an event with a JSON object")
        try:
            return self._read(data)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise self._nonsense(f"an event with all its fields ({type(error).__name__})") from error

    def _read(self, data: Json) -> ChatChunk | None:
        match data.get("type"):
            case "content-delta" | "content-start":
                return self._content(data)
            case "tool-plan-delta":
                text = data["delta"]["message"]["tool_plan"]
                return self._reasoning(PLAN_INDEX, PLAN, text)
            case "tool-call-start" | "tool-call-delta":
                return self._tool(data["index"], data["delta"]["message"]["tool_calls"])
            case "tool-call-end":
                return self._tool_end(data["index"])
            case "citation-start":
                return self._citation(data["delta"]["message"]["citations"])
            case "message-start":
                self._id = data.get("id") or ""
                return self._with(Delta(role="assistant"))
            case "message-end":
                return self._end(data["delta"])
            case None if isinstance(data.get("message"), str):
                raise body_error(data, self._provider)
        return None

    def _content(self, data: Json) -> ChatChunk | None:
        index, content = data["index"], data["delta"]["message"]["content"]
        if (thought := content.get("thinking")) is not None:
            return self._reasoning(index, "thinking", thought)
        text = content["text"]
        self._lengths[index] = self._lengths.get(index, 0) + len(text)
        logprobs = logprobs_of([data["logprobs"]]) if data.get("logprobs") else None
        return self._with(Delta(content=text), logprobs)

    def _reasoning(self, index: int, kind: str, text: str) -> ChatChunk | None:
        if not text:
            return None
        piece = ReasoningDelta(index, kind, text, provider=PROVIDER)
        return self._with(Delta(reasoning_content=text, reasoning_blocks=(piece,)))

    def _tool(self, index: int, call: Json) -> ChatChunk:
        function = call["function"]
        arguments = function.get("arguments") or ""
        if arguments:
            self._arguments.add(index)
        piece = FunctionDelta(function.get("name"), arguments)
        return self._with(Delta(tool_calls=(ToolCallDelta(index, call.get("id"), call.get("type"), piece),)))

    def _tool_end(self, index: int) -> ChatChunk | None:
        """The arguments of a tool without parameters never come."""
        if index in self._arguments:
            return None
        piece = ToolCallDelta(index, function=FunctionDelta(arguments="{}"))
        return self._with(Delta(tool_calls=(piece,)))

    def _citation(self, citation: Json) -> ChatChunk:
        place = citation.get("content_index") or 0
        before = sum(length for index, length in self._lengths.items() if index < place)
        return self._with(Delta(annotations=(annotation_of(citation, {place: before}),)))

    def _end(self, delta: Json) -> ChatChunk:
        reason = delta["finish_reason"]
        if delta.get("error") or reason in BROKEN_OFF:
            raise broken_off(reason, delta, self._provider, self._id or None)
        self._finished = True
        choice = ChoiceDelta(finish_reason=finish_of(reason), native_finish_reason=reason)
        return ChatChunk(self._id, self._model, self._created, (choice,), usage_of(delta.get("usage")))

    def _with(self, delta: Delta, logprobs: Json | None = None) -> ChatChunk:
        return ChatChunk(self._id, self._model, self._created, (ChoiceDelta(delta=delta, logprobs=logprobs),))

    def _nonsense(self, expected: str) -> ResponseValidationError:
        return ResponseValidationError(
            f"Expected {expected}, found something else in the stream.", provider=self._provider
        )
