"""`application/vnd.amazon.eventstream`: frames with checksums, taken apart by botocore.

Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from importlib.util import find_spec
from typing import NamedTuple, Protocol

from ...pipeline.errors import APIError, MissingExtraError, ResponseValidationError, StreamInterruptedError
from ...pipeline.types import ChatChunk
from .bedrock_errors import frame_error


def require_botocore() -> None:
    """Raises `MissingExtraError` without the `bedrock` extra; imports nothing: that takes 0.1 s, and happens at first use."""
    if find_spec("botocore") is None:
        raise MissingExtraError("Bedrock", "bedrock")


class Frame(NamedTuple):
    """One frame. `kind` is `event`, `exception` or `error`; `name` says which event or exception."""

    kind: str
    name: str
    payload: bytes


class FrameDecoder:
    """Decodes one stream of frames. Any split of the bytes gives the same frames; a frame is at most 24 MB."""

    __slots__ = ("_buffer", "_held_bytes", "_wrong")

    def __init__(self) -> None:
        from botocore.eventstream import (  # type: ignore[import-untyped]  # it has no types
            EventStreamBuffer,
            ParserError,
        )

        self._buffer = EventStreamBuffer()
        self._wrong = (ParserError, struct.error, LookupError, UnicodeDecodeError)
        self._held_bytes = 0

    @property
    def is_inside_a_frame(self) -> bool:
        """Whether bytes are held of a frame that is not complete."""
        return self._held_bytes > 0

    def feed(self, data: bytes) -> Iterator[Frame]:
        """The frames that `data` completes. Raises `ResponseValidationError` for a wrong checksum, and for what is no frame."""
        self._buffer.add_data(data)
        self._held_bytes += len(data)
        while True:
            try:
                message = self._buffer.next()
            except StopIteration:
                return
            except self._wrong as error:
                raise ResponseValidationError(
                    f"Expected frames of an AWS event stream, found damaged ones or something else ({type(error).__name__}). Try again."
                ) from error
            self._held_bytes -= message.prelude.total_length
            yield _frame(message.headers, message.payload)


def _frame(headers: dict[str, object], payload: bytes) -> Frame:
    kind = str(headers.get(":message-type", "event"))
    if kind == "error":
        return Frame(
            kind, str(headers.get(":error-code", "")), payload or str(headers.get(":error-message", "")).encode()
        )
    return Frame(kind, str(headers.get(":exception-type" if kind == "exception" else ":event-type", "")), payload)


class EventReader(Protocol):
    """What the events of one stream mean."""

    def read(self, name: str, payload: bytes) -> Sequence[ChatChunk]:
        """The chunks of one event. Raises `ResponseValidationError` for one that is not the vendor's."""
        ...

    def end(self) -> Sequence[ChatChunk]:
        """No more events. Raises `StreamInterruptedError` if the answer was cut."""
        ...


class FramedDecoder:
    """Decodes one stream. Any split of the bytes gives the same chunks: an error behind chunks is raised by the next call."""

    def __init__(self, reader: EventReader, provider: str) -> None:
        self._frames = FrameDecoder()
        self._reader = reader
        self._provider = provider
        self._failure: APIError | None = None

    def feed(self, data: bytes) -> Sequence[ChatChunk]:
        """Raises the class of an exception frame, and `ResponseValidationError` for bytes that are not the vendor's."""
        if self._failure is not None:
            raise self._failure
        return self._chunks(self._frames.feed(data))

    def finish(self) -> Sequence[ChatChunk]:
        """Raises `StreamInterruptedError` when the answer, or a frame, is not complete."""
        if self._failure is not None:
            raise self._failure
        if self._frames.is_inside_a_frame:
            raise StreamInterruptedError(
                "Expected the stream to end behind a frame, found its end inside one. Try again.",
                provider=self._provider,
            )
        return self._reader.end()

    def _chunks(self, frames: Iterable[Frame]) -> list[ChatChunk]:
        chunks: list[ChatChunk] = []
        try:
            for kind, name, payload in frames:
                if kind != "event":
                    raise frame_error(name, payload, self._provider)
                chunks += self._reader.read(name, payload)
        except APIError as error:
            error.provider = error.provider or self._provider
            if not chunks:
                raise
            self._failure = error
        return chunks
