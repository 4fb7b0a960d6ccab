"""Chunks of a chat stream, joined into the response that a unary call would have returned."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .chat import ChatChunk, ChatResponse, Choice, ChoiceDelta, ReasoningDelta, ToolCallDelta
from .message import FunctionCall, Message, ReasoningBlock, ToolCall

SPLICE = "splice"
"""The field of a chunk that says that another answer goes on from here. With `supersedes` it begins anew: what came before is void."""


def assemble_chat(chunks: Sequence[ChatChunk]) -> ChatResponse:
    """Join `chunks`, in order. Of a cut stream this is the partial response: `finish_reason` is then None.

    Later values win for `usage`, `finish_reason` and unknown fields; text, reasoning and arguments are concatenated.
    """
    by_choice: dict[int, list[ChoiceDelta]] = {}
    head: dict[str, Any] = {}
    for chunk in chunks:
        if chunk.extra and SPLICE in chunk.extra and _begins_anew(chunk.extra[SPLICE]):
            by_choice.clear()
            head.clear()
        for choice in chunk.choices:
            by_choice.setdefault(choice.index, []).append(choice)
        _note_head(head, chunk)
    head["choices"] = tuple(_choice(index, deltas) for index, deltas in sorted(by_choice.items()))
    return ChatResponse.model_construct(**head)


def _begins_anew(said: Any) -> bool:
    return isinstance(said, Mapping) and bool(said.get("supersedes"))


def _note_head(head: dict[str, Any], chunk: ChatChunk) -> None:
    for name in ("id", "model", "created"):
        if not head.get(name) and (value := getattr(chunk, name)):
            head[name] = value
    if chunk.usage is not None:
        head["usage"] = chunk.usage
    if chunk.extra:
        head.update(chunk.extra)


def _choice(index: int, parts: Sequence[ChoiceDelta]) -> Choice:
    finish = next((part for part in reversed(parts) if part.finish_reason is not None), None)
    fields: dict[str, Any] = {
        "index": index,
        "message": _message(parts),
        "finish_reason": finish.finish_reason if finish else None,
    }
    if finish and finish.native_finish_reason is not None:
        fields["native_finish_reason"] = finish.native_finish_reason
    if logprobs := _logprobs(part.logprobs for part in parts):
        fields["logprobs"] = logprobs
    extra: dict[str, Any] = {}
    for part in parts:
        for name, value in (part.extra or {}).items():
            if value or name not in extra:  # Azure ends with empty results of its filters
                extra[name] = value
    fields.update(extra)
    return Choice.model_construct(**fields)


def _message(parts: Sequence[ChoiceDelta]) -> Message:
    deltas = [part.delta for part in parts]
    fields: dict[str, Any] = {"role": next((delta.role for delta in deltas if delta.role), "assistant")}
    fields["content"] = _joined(delta.content for delta in deltas)
    for name in ("reasoning_content", "refusal"):
        if (text := _joined(getattr(delta, name) for delta in deltas)) is not None:
            fields[name] = text
    lists = {
        "tool_calls": _tool_calls(piece for delta in deltas for piece in delta.tool_calls),
        "reasoning_blocks": _reasoning_blocks(piece for delta in deltas for piece in delta.reasoning_blocks),
        "annotations": tuple(dict(note) for delta in deltas for note in delta.annotations),
    }
    fields.update({name: value for name, value in lists.items() if value})
    if audio := _audio(delta.audio for delta in deltas):
        fields["audio"] = audio
    for delta in deltas:
        fields.update(delta.extra or {})
    return Message.model_construct(**fields)


def _joined(pieces: Iterable[str | None]) -> str | None:
    present = [piece for piece in pieces if piece is not None]
    return "".join(present) if present else None


def _tool_calls(pieces: Iterable[ToolCallDelta]) -> tuple[ToolCall, ...]:
    by_index: dict[int, list[ToolCallDelta]] = {}
    for piece in pieces:
        by_index.setdefault(piece.index, []).append(piece)
    return tuple(_tool_call(by_index[index]) for index in sorted(by_index))


def _tool_call(pieces: Sequence[ToolCallDelta]) -> ToolCall:
    extra: dict[str, Any] = {}
    for piece in pieces:
        extra.update(piece.extra or {})
    kind = next((piece.type for piece in pieces if piece.type), "function")
    if kind == "function":
        extra["function"] = FunctionCall.model_construct(
            name="".join(piece.function.name or "" for piece in pieces),
            arguments="".join(piece.function.arguments or "" for piece in pieces),
        )
    return ToolCall.model_construct(id=next((piece.id for piece in pieces if piece.id), ""), type=kind, **extra)


def _reasoning_blocks(pieces: Iterable[ReasoningDelta]) -> tuple[ReasoningBlock, ...]:
    by_index: dict[int, list[ReasoningDelta]] = {}
    for piece in pieces:
        by_index.setdefault(piece.index, []).append(piece)
    return tuple(_reasoning_block(index, by_index[index]) for index in sorted(by_index))


def _reasoning_block(index: int, pieces: Sequence[ReasoningDelta]) -> ReasoningBlock:
    fields = {name: _joined(getattr(piece, name) for piece in pieces) for name in ("text", "signature", "data")}
    ids = {name: next((v for p in pieces if (v := getattr(p, name))), None) for name in ("id", "provider")}
    present = {name: value for name, value in (fields | ids).items() if value is not None}
    extra: dict[str, Any] = {}
    for piece in pieces:
        extra.update(piece.extra or {})
    return ReasoningBlock.model_construct(type=pieces[0].type, index=index, **present, **extra)


def _logprobs(parts: Iterable[Any]) -> dict[str, Any] | None:
    joined: dict[str, Any] = {}
    for part in parts:
        for name, value in (part or {}).items():
            if isinstance(value, list):
                joined[name] = (joined.get(name) or []) + value
            elif value is not None or name not in joined:
                joined[name] = value
    return joined or None


def _audio(parts: Iterable[Any]) -> dict[str, Any]:
    joined: dict[str, Any] = {}
    for part in parts:
        for name, value in (part or {}).items():
            joined[name] = joined.get(name, "") + (value or "") if name in ("data", "transcript") else value
    return joined
