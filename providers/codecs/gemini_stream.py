"""A streamed answer of `streamGenerateContent` as chunks: events, or without `alt=sse` one array of JSON.

Source: https://ai.google.dev/api/generate-content#method:-models.streamgeneratecontent
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from ...pipeline.errors import APIError, ResponseValidationError, StreamInterruptedError
from ...pipeline.types import ChatChunk
from ..sse import MAX_EVENT_BYTES, EventDecoder
from .gemini_answer import AnswerReader, nonsense
from .gemini_errors import body_error, error_object
from .plain_json import json_object

_MARKS: Final = re.compile(rb'[\\"{}]')
_DONE: Final = b"[DONE]"
"""Not the vendor's, but of servers that imitate it."""
_TAIL_BYTES: Final = 16 << 10
_BARE_ERROR: Final = re.compile(rb'^\[?\s*(\{\s*"error"\s*:.*)', re.MULTILINE | re.DOTALL)


class ArrayDecoder:
    """The objects of a JSON array, or of several values one behind the other, as they become complete. Any split gives the same."""

    __slots__ = ("_depth", "_escaped", "_held", "_held_bytes", "_in_string")

    def __init__(self) -> None:
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._depth = 0
        self._in_string = False
        self._escaped = False

    def feed(self, data: bytes) -> list[bytes]:
        """The objects that `data` completes. Raises `ResponseValidationError` for one that is too long."""
        objects: list[bytes] = []
        start, skip = 0, 0 if self._escaped else -1
        for match in _MARKS.finditer(data):
            at = match.start()
            if at == skip:
                continue
            mark = match[0]
            if mark == b"\\":
                skip = at + 1
            elif mark == b'"':
                self._in_string = not self._in_string
            elif not self._in_string:
                start = self._bracket(mark, data, start, at, objects)
        self._escaped = skip == len(data)
        self._hold(data[start:] if self._depth else b"")
        return objects

    def _bracket(self, mark: bytes, data: bytes, start: int, at: int, objects: list[bytes]) -> int:
        """Counts a bracket; returns where the open object begins in `data`."""
        if mark == b"{":
            self._depth += 1
            return at if self._depth == 1 else start
        self._depth = max(0, self._depth - 1)
        if self._depth == 0 and (self._held or data[start : start + 1] == b"{"):
            objects.append(b"".join((*self._held, data[start : at + 1])))
            self._held, self._held_bytes = [], 0
            return at + 1
        return start

    def _hold(self, piece: bytes) -> None:
        if piece:
            self._held.append(piece)
            self._held_bytes += len(piece)
        if self._held_bytes > MAX_EVENT_BYTES:
            raise ResponseValidationError(
                f"Expected objects of at most {MAX_EVENT_BYTES} bytes, found a longer one in the vendor's stream.",
                retryable=False,
            )


class GeminiDecoder:
    """Decodes one stream. Any split of the bytes gives the same chunks: an error behind chunks is raised by the next call.

    An error that the vendor writes between its events without the form of one is found when the stream ends.
    """

    def __init__(self, *, created: int, provider: str) -> None:
        self._events = EventDecoder()
        self._array: ArrayDecoder | None = None
        self._begun = False
        self._reader = AnswerReader(created=created, provider=provider)
        self._provider = provider
        self._tail = b""
        self._failure: APIError | None = None

    def feed(self, data: bytes) -> Sequence[ChatChunk]:
        """Raises the class of an error inside the stream, and `ResponseValidationError` for what is not the vendor's."""
        if self._failure is not None:
            raise self._failure
        if not self._begun:
            self._begin(data)
        if self._array is not None:
            return self._chunks(self._array.feed(data))
        self._tail = (self._tail + data)[-_TAIL_BYTES:]
        return self._chunks(event.data for event in self._events.feed(data))

    def finish(self) -> Sequence[ChatChunk]:
        """Raises `StreamInterruptedError` when no finish reason had come, and the error that stood there instead of one."""
        rest = self._events.finish() if self._array is None else ()
        chunks = self._chunks(event.data for event in rest if json_object(event.data) is not None)
        if self._failure is not None:
            raise self._failure
        if not self._reader.complete:
            raise self._missing_end()
        return chunks

    def _begin(self, data: bytes) -> None:
        if text := data.lstrip(b"\xef\xbb\xbf \t\r\n"):
            self._begun = True
            self._array = ArrayDecoder() if text[:1] in b"[{" else None

    def _chunks(self, documents: Iterable[bytes]) -> list[ChatChunk]:
        chunks: list[ChatChunk] = []
        try:
            for document in documents:
                if document != _DONE:
                    chunks.append(self._chunk(document))  # noqa: PERF401 - an error must not lose the chunks before it
        except APIError as error:
            if not chunks:
                raise
            self._failure = error
        return chunks

    def _chunk(self, document: bytes) -> ChatChunk:
        data = json_object(document)
        if data is None:
            raise nonsense("a JSON object in the stream", self._provider)
        return self._reader.read(data)

    def _missing_end(self) -> APIError:
        found = _BARE_ERROR.search(self._tail)
        error = error_object(json_object(found[1].rstrip().rstrip(b"]"))) if found else None
        if error is not None:
            return body_error(error, self._provider)
        return StreamInterruptedError(
            "Expected the stream to end with a finish reason, found its end before. Try again, or ask for less.",
            provider=self._provider,
        )
