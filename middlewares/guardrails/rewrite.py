"""Chunks with other texts in them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ...pipeline.types import ChatChunk, ChoiceDelta, ReasoningDelta, ToolCallDelta
from .chunks import TEXTS, Channel


def rewritten(chunks: Sequence[ChatChunk], texts: Mapping[Channel, str]) -> Iterator[ChatChunk]:
    """The chunks, with the whole new text of a channel where its first piece was, and none where the others were."""
    left = dict(texts)

    def new(channel: Channel, piece: str | None) -> str | None:
        return left.pop(channel, None) if piece and channel in texts else piece

    for chunk in chunks:
        yield chunk._replace(choices=tuple(_choice(choice, texts, new) for choice in chunk.choices))


def _choice(choice: ChoiceDelta, texts: Mapping[Channel, str], new: Any) -> ChoiceDelta:
    delta = choice.delta
    changes: dict[str, Any] = {name: new(Channel(choice.index, kind), getattr(delta, name)) for name, kind in TEXTS}
    if delta.tool_calls:
        changes["tool_calls"] = tuple(_tool_call(choice.index, piece, new) for piece in delta.tool_calls)
    if delta.reasoning_blocks:
        changes["reasoning_blocks"] = tuple(_block(choice.index, piece, texts, new) for piece in delta.reasoning_blocks)
    return choice._replace(delta=delta._replace(**changes), logprobs=None)


def _tool_call(choice: int, piece: ToolCallDelta, new: Any) -> ToolCallDelta:
    arguments = new(Channel(choice, "arguments", piece.index), piece.function.arguments)
    return piece._replace(function=piece.function._replace(arguments=arguments))


def _block(choice: int, piece: ReasoningDelta, texts: Mapping[Channel, str], new: Any) -> ReasoningDelta:
    channel = Channel(choice, "block", piece.index)
    signature = None if channel in texts else piece.signature
    return piece._replace(text=new(channel, piece.text), signature=signature)
