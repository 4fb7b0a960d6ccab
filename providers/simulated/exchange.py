"""A request as it arrived, and a reply as it will be played; no I/O here."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

Sleep: TypeAlias = Callable[[float], Awaitable[None]]
ReplyEnding: TypeAlias = Literal["complete", "cut", "refused"]


@dataclass(frozen=True, slots=True)
class SimulatedRequest:
    """A request as it came over the wire; header names in lower case, `path` without the query."""

    method: str
    path: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes of a body that are sent in one go, after a wait of `delay_s`."""

    data: bytes
    delay_s: float = 0.0


@dataclass(frozen=True, slots=True)
class SimulatedReply:
    """An answer to play: wait `delay_s`, send status and headers, then the pieces, then end as `ending` says.

    `cut` drops the connection after the last piece, `refused` drops it before anything was sent.
    `streamed` bodies have no length beforehand.
    """

    status: int
    headers: Mapping[str, str]
    pieces: Sequence[Piece] = ()
    delay_s: float = 0.0
    ending: ReplyEnding = "complete"
    streamed: bool = False

    @property
    def body(self) -> bytes:
        """All pieces joined."""
        return b"".join(piece.data for piece in self.pieces)

    async def play(self, sleep: Sleep) -> AsyncGenerator[bytes, None]:
        """The pieces at their pace; where no wait is due, `sleep` is not called."""
        for piece in self.pieces:
            if piece.delay_s > 0:
                await sleep(piece.delay_s)
            yield piece.data
