"""Streams of events that carry one JSON object each, as the operations beyond chat have them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pydantic_core import from_json

from ...pipeline.errors import APIError, ResponseValidationError, StreamInterruptedError
from ..sse import Event, EventDecoder
from .openai_errors import error_in_body

Json = dict[str, Any]
Read = Callable[[Json], tuple[Any, bool]]
"""An event's object as (chunk or None, whether it is the last)."""


class ObjectDecoder:
    """Chunks of one stream. A stream without its last event was cut; token counts may follow it.

    An error that follows chunks in the same bytes is raised by the next call.
    """

    def __init__(self, read: Read) -> None:
        self._read = read
        self._events = EventDecoder()
        self._complete = False
        self._over = False
        self._failure: APIError | None = None

    def feed(self, data: bytes) -> Sequence[Any]:
        """The chunks that `data` completes. Raises what an error event means, and `ResponseValidationError` for nonsense."""
        if self._failure is not None:
            raise self._failure
        return [] if self._over else self._chunks(self._events.feed(data))

    def finish(self) -> Sequence[Any]:
        """The bytes are over. Raises `StreamInterruptedError` if the last event has not come."""
        if self._failure is not None:
            raise self._failure
        try:
            rest = [] if self._over else self._chunks(self._events.finish())
        except ResponseValidationError as error:
            raise _cut("the stream ended inside an event") from error
        if not self._complete:
            raise _cut("the stream ended without its last event")
        return rest

    def _chunks(self, events: Sequence[Event]) -> Sequence[Any]:
        chunks: list[Any] = []
        for event in events:
            if event.data == b"[DONE]":
                self._over = True
                break
            try:
                chunk, last = self._read(_object(event.data))
            except APIError as error:
                if not chunks:
                    raise
                self._failure = error
                break
            self._complete = self._complete or last
            if chunk is not None:
                chunks.append(chunk)
        return chunks


def _object(data: bytes) -> Json:
    try:
        found = from_json(data)
    except ValueError as error:
        raise ResponseValidationError("Expected events of JSON, found one that is none. Is base_url right?") from error
    if not isinstance(found, dict):
        raise ResponseValidationError(f"Expected events of JSON objects, found a {type(found).__name__}.")
    if "error" in found and (said := error_in_body(found)) is not None:
        raise said
    return found


def _cut(why: str) -> StreamInterruptedError:
    return StreamInterruptedError(f"The answer was cut: {why}. What had arrived is in `partial`; try again.")
