"""What is kept of an answer, as bytes: a line of JSON about it, then the answer as JSON. Never a pickle."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple
from zlib import crc32

from pydantic_core import from_json, to_json

from ..types import (
    ChatChunk,
    ChoiceDelta,
    Delta,
    FunctionDelta,
    Operation,
    ReasoningDelta,
    Response,
    ToolCallDelta,
    Usage,
)

Answer = Response | tuple[ChatChunk, ...]
"""A whole response, or the chunks of a stream as they came."""

_CHUNK_TYPES = (ChatChunk, ChoiceDelta, Delta, ToolCallDelta, FunctionDelta, ReasoningDelta)

FORMAT = f"2-{crc32(repr([kind._fields for kind in _CHUNK_TYPES]).encode()):08x}"
"""Chunks are written by position: a change of their fields is another format, and entries of the old one are not found."""


class Entry(NamedTuple):
    """One kept answer. `stored_ns` is wall time, `trace_id` 32 hex digits of the call that paid for it."""

    answer: Answer
    stored_ns: int
    ttl_s: float
    trace_id: str | None = None


def encode(key: str, operation: Operation, entry: Entry) -> bytes:
    """The bytes to keep under `key`. Raises `ValueError` for an answer that JSON cannot hold."""
    streamed = isinstance(entry.answer, tuple)
    body = _chunk_bytes(entry.answer) if isinstance(entry.answer, tuple) else _response_bytes(entry.answer)
    head = [FORMAT, operation, streamed, entry.stored_ns, entry.ttl_s, entry.trace_id, _checksum(key, body)]
    return to_json(head) + b"\n" + body


def decode(key: str, data: bytes) -> Entry:
    """The entry in `data`. Raises `ValueError` if it is damaged, of another format or another key's."""
    head, newline, body = data.partition(b"\n")
    fields = from_json(head) if newline else None
    if not isinstance(fields, list) or len(fields) != 7 or fields[0] != FORMAT or fields[6] != _checksum(key, body):
        raise ValueError("not an entry of this key")
    _, operation, streamed, stored_ns, ttl_s, trace_id, _ = fields
    answer = _chunks(from_json(body)) if streamed else _response_class(operation).model_validate_json(body)
    return Entry(answer, stored_ns, ttl_s, trace_id)


def _checksum(key: str, body: bytes) -> int:
    """Against damage and mix-ups, not against a forger: who can write to the store can answer for the vendor."""
    return crc32(body, crc32(key.encode()))


def _response_bytes(response: Response) -> bytes:
    return response.__pydantic_serializer__.to_json(response, exclude_unset=True, by_alias=True)


def _response_class(operation: str) -> type[Response]:
    for kind in Response.__subclasses__():
        if kind.operation == operation:
            return kind
    raise ValueError(f"no response of operation {operation!r}")


def _chunk_bytes(chunks: Sequence[ChatChunk]) -> bytes:
    """`[head, row ...]`. Nearly all chunks add text to the first choice and nothing else: of those, the row is the text."""
    usual = chunks[len(chunks) // 2]
    return to_json([(*usual[:3], usual.extra), *[_row(usual, chunk) for chunk in chunks]])


def _row(usual: ChatChunk, chunk: ChatChunk) -> str | tuple[object, ...]:
    if _adds_only_text(chunk) and chunk[:3] == usual[:3] and chunk.extra == usual.extra:
        return chunk.text
    if chunk.usage is None:
        return chunk
    # Usage knows which of its fields were set; written as a model it would forget that.
    return tuple((chunk._asdict() | {"usage": chunk.usage.to_dict()}).values())


_NO_END = ChoiceDelta()[2:]
_ONLY_TEXT = Delta()[2:]


def _adds_only_text(chunk: ChatChunk) -> bool:
    if len(chunk.choices) != 1 or chunk.usage is not None:
        return False
    choice = chunk.choices[0]
    role, content = choice.delta[:2]
    texts = role is None and isinstance(content, str) and choice.delta[2:] == _ONLY_TEXT
    return texts and choice.index == 0 and choice[2:] == _NO_END


def _chunks(body: Sequence[Any]) -> tuple[ChatChunk, ...]:
    (name, model, created, extra), *rows = body
    return tuple(
        ChatChunk(name, model, created, (ChoiceDelta(0, Delta(None, row)),), None, extra)
        if isinstance(row, str)
        else _chunk(row)
        for row in rows
    )


def _chunk(row: Sequence[Any]) -> ChatChunk:
    name, model, created, choices, usage, extra = row
    return ChatChunk(name, model, created, tuple(map(_choice, choices)), usage and Usage.model_validate(usage), extra)


def _choice(row: Sequence[Any]) -> ChoiceDelta:
    index, delta, *rest = row
    return ChoiceDelta(index, _delta(delta), *rest)


def _delta(row: Sequence[Any]) -> Delta:
    role, content, reasoning, refusal, tool_calls, reasoning_blocks, annotations, *rest = row
    return Delta(
        role,
        content,
        reasoning,
        refusal,
        tuple(map(_tool_call, tool_calls)) if tool_calls else (),
        tuple(ReasoningDelta(*block) for block in reasoning_blocks) if reasoning_blocks else (),
        tuple(annotations),
        *rest,
    )


def _tool_call(row: Sequence[Any]) -> ToolCallDelta:
    index, name, kind, function, *rest = row
    return ToolCallDelta(index, name, kind, FunctionDelta(*function), *rest)
