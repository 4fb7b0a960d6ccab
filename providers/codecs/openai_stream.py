"""Streamed answers in OpenAI's form: bytes in, chunks out.

A stream brings hundreds of chunks, so the way of a plain text chunk is short: fields are popped off the parsed
object by name, and what is left over is what we do not know.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic_core import from_json

from ...pipeline.errors import APIError, ResponseValidationError, StreamInterruptedError
from ...pipeline.types import ChatChunk, ChoiceDelta, Delta, FunctionDelta, ReasoningDelta, ToolCallDelta, Usage
from ..sse import EventDecoder
from .openai_answer import BROKEN_OFF, FINISH_REASONS, Json, argument_text, split_content, take_reasoning, usage_of
from .openai_errors import error_in_body

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..dialect import Dialect

_NOTHING: Sequence[Any] = ()


class ChatDecoder:
    """Decodes one streamed answer. An error that follows chunks in the same bytes is raised by the next call.

    The finish reason of every choice, not `[DONE]`, tells a complete answer from a cut one: some servers send no
    `[DONE]`, and some send it after they broke off.
    """

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._events = EventDecoder()
        self._tools: dict[int, _ToolIndex] = {}
        self._blocks: dict[int, _BlockIndex] = {}
        self._seen: set[int] = set()
        self._finished: set[int] = set()
        self._done = False
        self._failure: APIError | None = None

    def feed(self, data: bytes) -> list[ChatChunk]:
        """The chunks that `data` completes. Raises what an error event inside the stream means."""
        if self._failure is not None:
            raise self._failure
        if self._done:
            return []
        return self._chunks(self._events.feed(data))

    def finish(self) -> list[ChatChunk]:
        """The bytes are over: the last chunks. Raises `StreamInterruptedError` if a choice has no finish reason."""
        if self._failure is not None:
            raise self._failure
        last = [] if self._done else self._last()
        if not self._finished or self._seen - self._finished:
            raise _cut("the stream ended without a finish reason")
        return last

    def _last(self) -> list[ChatChunk]:
        try:
            return self._chunks(self._events.finish())
        except ResponseValidationError as error:
            raise _cut("the stream ended inside an event") from error

    def _chunks(self, events: Sequence[tuple[str, bytes]]) -> list[ChatChunk]:
        chunks: list[ChatChunk] = []
        for _, data in events:
            if data == b"[DONE]":
                self._done = True
                break
            try:
                chunks.append(self._chunk(_parsed(data)))
            except APIError as error:
                if not chunks:
                    raise
                self._failure = error
                break
        return chunks

    def _chunk(self, data: Json) -> ChatChunk:
        if "error" in data and (error := error_in_body(data)):
            raise error
        pop = data.pop
        pop("object", None)
        pop("obfuscation", None)
        try:
            choices = [self._choice(choice) for choice in pop("choices", None) or _NOTHING]
            counts = pop("usage", None)
            usage = _usage(counts, data)
            return ChatChunk(
                pop("id", "") or "", pop("model", "") or "", pop("created", 0) or 0, choices, usage, data or None
            )
        except (TypeError, AttributeError, LookupError, ValueError) as error:
            raise _no_chunk(f"fields of other types ({type(error).__name__})") from error

    def _choice(self, choice: Json) -> ChoiceDelta:
        pop = choice.pop
        index = pop("index", 0) or 0
        native = pop("finish_reason", None)
        own = pop("native_finish_reason", None)
        logprobs = pop("logprobs", None)
        if logprobs is not None and logprobs.__class__ is not dict:
            raise TypeError("logprobs")
        delta = self._delta(pop("delta", None) or {}, index)
        self._seen.add(index)
        if not native:
            return ChoiceDelta(index, delta, None, own, logprobs, choice or None)
        if native in BROKEN_OFF:
            raise _cut(f"the vendor broke off (finish reason {native!r})")
        self._finished.add(index)
        return ChoiceDelta(index, delta, FINISH_REASONS.get(native, "stop"), own or native, logprobs, choice or None)

    def _delta(self, delta: Json, choice: int) -> Delta:
        pop = delta.pop
        role, content, refusal = pop("role", None), pop("content", None), pop("refusal", None)
        if not delta and (content is None or content.__class__ is str):
            return Delta(role, content, None, refusal)
        reasoning = take_reasoning(delta)
        if isinstance(content, list):
            content, thought = split_content(content)
            reasoning = reasoning or thought
        tools = [self._tool(call, choice) for call in pop("tool_calls", None) or _NOTHING]
        blocks = [self._block(detail, choice) for detail in pop("reasoning_details", None) or _NOTHING]
        annotations, audio = pop("annotations", None) or _NOTHING, pop("audio", None)
        return Delta(role, content, reasoning, refusal, tools, blocks, annotations, audio, delta or None)

    def _tool(self, call: Json, choice: int) -> ToolCallDelta:
        indexes = self._tools.setdefault(choice, _ToolIndex())
        index, id_ = indexes.of(call.pop("index", None), call.pop("id", None))
        function = call.pop("function", None) or {}
        piece = FunctionDelta(function.get("name"), argument_text(function.get("arguments")))
        return ToolCallDelta(index, id_, call.pop("type", None), piece, call or None)

    def _block(self, detail: Json, choice: int) -> ReasoningDelta:
        pop = detail.pop
        kind, id_, text = pop("type", "reasoning.text"), pop("id", None), pop("text", None)
        summary = pop("summary", None)
        index = self._blocks.setdefault(choice, _BlockIndex()).of(pop("index", None), kind, id_)
        signature, data = pop("signature", None), pop("data", None)
        return ReasoningDelta(
            index, kind, summary if text is None else text, signature, data, id_, self._dialect.name, detail or None
        )


class _ToolIndex:
    """Which tool call a piece belongs to, where the vendor gives no index: a new id begins a new one."""

    def __init__(self) -> None:
        self._last = -1

    def of(self, index: int | None, id_: str | None) -> tuple[int, str | None]:
        if index is None:
            index = self._last + 1 if id_ or self._last < 0 else self._last
        self._last = max(index, self._last)
        return index, id_


class _BlockIndex:
    """Which reasoning block a piece belongs to: the vendor's index counts anew for each type, and may be missing."""

    def __init__(self) -> None:
        self._places: dict[tuple[int | None, str, str | None], int] = {}
        self._last_ids: dict[str, str] = {}

    def of(self, index: int | None, kind: str, id_: str | None) -> int:
        if index is None and id_ is not None:
            self._last_ids[kind] = id_
        key = (index, kind, self._last_ids.get(kind) if index is None else None)
        return self._places.setdefault(key, len(self._places))


def _parsed(data: bytes) -> Json:
    try:
        parsed = from_json(data)
    except ValueError as error:
        raise _no_chunk("broken JSON") from error
    if not isinstance(parsed, dict):
        raise _no_chunk(f"a JSON {type(parsed).__name__}")
    return parsed


def _usage(counts: Any, rest: Json) -> Usage | None:
    if counts is None and "x_groq" in rest:
        counts = (rest["x_groq"] or {}).get("usage")
    return None if counts is None else usage_of(counts)


def _no_chunk(found: str) -> ResponseValidationError:
    return ResponseValidationError(f"Expected a chunk of a chat completion, found {found} in the vendor's stream.")


def _cut(what: str) -> StreamInterruptedError:
    return StreamInterruptedError(f"Expected a complete answer: {what}. What had arrived is in `partial`; try again.")
