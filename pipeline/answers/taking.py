"""Taking a stream's chunks as they pass, to be kept when it is complete."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from ..call import Call
from ..stream import Block, Source, Stream
from ..types import ChatChunk


def take_chunks(stream: Stream, keep: Callable[[tuple[ChatChunk, ...]], Awaitable[None]]) -> list[ChatChunk]:
    """Take the chunks as they leave this stage, and keep them before the stream says that it is complete. Returns the list that they go to."""
    chunks: list[ChatChunk] = []

    def note(block: Block) -> Block:
        chunks.extend(block)
        return block

    stream.map_blocks(note)
    stream.attend(lambda source, _: _Followed(source, lambda: keep(tuple(chunks))))
    return chunks


def trace_id_of(call: Call) -> str | None:
    """32 hex digits; None where no trace is kept."""
    trace = call.state.trace
    return f"{trace.trace_id:032x}" if trace is not None and trace.trace_id else None


class _Followed:
    """A source with something to wait for between its last block and its end."""

    def __init__(self, source: Source, at_end: Callable[[], Awaitable[None]]) -> None:
        self._source = source
        self._at_end: Callable[[], Awaitable[None]] | None = at_end

    async def read(self) -> Block:
        block = await self._source.read()
        if not block and self._at_end is not None:
            at_end, self._at_end = self._at_end, None
            await at_end()
        return block

    async def aclose(self) -> None:
        await self._source.aclose()
