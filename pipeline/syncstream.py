"""A stream for sync code."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Generic, Self, TypeVar, cast

from .outcome import Outcome
from .portal import run_sync
from .stream import Block, Stream
from .types import Response

ResponseT = TypeVar("ResponseT", bound=Response)


class SyncStream(Generic[ResponseT]):
    """Iterate it (once) with `for`, use it with `with`, or take the whole `response()`.

    One trip to the event loop fetches everything that has arrived, not one chunk. Dropping it unread releases the
    connection too. Not for two threads at once.
    """

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._ready: deque[Any] = deque()

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        if not self._ready:
            self._ready.extend(run_sync(_next_block, self._stream))
        if not self._ready:
            raise StopIteration
        return self._ready.popleft()

    def response(self) -> ResponseT:
        """Read to the end and return the whole response; raises what the stream failed with."""
        self._ready.clear()
        return cast("ResponseT", run_sync(self._stream.response))

    @property
    def outcome(self) -> Outcome | None:
        """How it ended; None while it runs."""
        return self._stream.outcome

    def close(self) -> None:
        """Stop reading and release the connection. Safe at any time, and more than once."""
        self._ready.clear()
        run_sync(self._stream.aclose)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


async def _next_block(stream: Stream) -> Block:
    return await stream.read_block()
