"""The body of an answer: read within bounds, whole or as a stream's source, and let go of exactly once."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

import httpx

from ..pipeline.errors import (
    APIConnectionError,
    APIError,
    APITimeoutError,
    ResponseValidationError,
    StreamInterruptedError,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from ..pipeline.stream import Block
    from .codec import Decoder

_ERROR_BODY_BYTES = 1 << 20


class Answered(NamedTuple):
    """Of httpx's response what is needed of it; making all of one takes longer than reading a short answer."""

    status_code: int
    headers: Sequence[tuple[bytes, bytes]]
    stream: httpx.SyncByteStream | httpx.AsyncByteStream
    reason: str = ""

    @classmethod
    def of(cls, response: httpx.Response) -> Answered:
        """What a transport of httpx's has brought."""
        return cls(response.status_code, response.headers.raw, response.stream)


class Exchanging(httpx.AsyncBaseTransport):
    """A transport that makes do without httpx's response."""

    async def exchange(self, request: httpx.Request) -> Answered:
        """The answer, its body still to come. Raises httpx's errors."""
        raise NotImplementedError  # no abstract class: to be asked for one costs ten times as much, at each request


class Arriving(httpx.AsyncByteStream):
    """A body that may have come along with its head."""

    def arrived(self) -> bytes | None:
        """All of it, if it is here and nothing of it was read, and the connection is let go of; else None, and it is read as it comes."""
        raise NotImplementedError


class Body:
    """An answer's bytes, decompressed, at most `max_bytes`; more is a `ResponseValidationError`.

    A connection that breaks is `APIConnectionError` here; a compression that does not fit, `ResponseValidationError`.
    """

    def __init__(self, answered: Answered, url: httpx.URL, max_bytes: int) -> None:
        self._answered = answered
        self.status_code, raw, self._stream, _ = answered
        self.headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in raw}
        """By lower-case name."""
        self._url = url
        self._max_bytes = max_bytes
        self._read_bytes = 0
        self._ended = False
        self.closed = False
        """Whether the connection is let go of."""
        self._parts: AsyncIterator[bytes] | None = None

    async def next(self) -> bytes:
        """The next piece; empty at the end."""
        try:
            async for part in self._pieces():
                if part:
                    self._count(part)
                    return part
        except (httpx.DecodingError, httpx.TransportError) as error:
            raise self._as_ours(error) from error
        self._ended = True
        return b""

    async def read(self) -> bytes:
        """All of it."""
        stream = self._stream
        if isinstance(stream, Arriving) and not self._is_packed() and (content := stream.arrived()) is not None:
            self._count(content)
            self._ended = self.closed = True
            return content
        parts: list[bytes] = []
        try:
            async for part in self._pieces():
                self._count(part)
                parts.append(part)
        except (httpx.DecodingError, httpx.TransportError) as error:
            raise self._as_ours(error) from error
        self._ended = True
        return b"".join(parts)

    def _is_packed(self) -> bool:
        return self.headers.get("content-encoding", "identity") != "identity"

    def _pieces(self) -> AsyncIterator[bytes]:
        if self._parts is None:
            status_code, headers, stream, _ = self._answered
            if self._is_packed() or not isinstance(stream, httpx.AsyncByteStream):
                self._parts = httpx.Response(status_code, headers=list(headers), stream=stream).aiter_bytes()
            else:  # without httpx's layers around it: 4 us less for each piece
                self._parts = stream.__aiter__()
        return self._parts

    def _count(self, part: bytes) -> None:
        self._read_bytes += len(part)
        if self._read_bytes > self._max_bytes:
            raise ResponseValidationError(
                f"Expected at most {self._max_bytes} bytes, found more. Raise max_response_bytes if that is right.",
                retryable=False,
            )

    def _as_ours(self, error: httpx.DecodingError | httpx.TransportError) -> APIError:
        if isinstance(error, httpx.DecodingError):
            return ResponseValidationError("Expected a compressed body, found one that cannot be decompressed.")
        return connection_error(error, self._url)

    async def start(self) -> bytes:
        """All of it, or the first mebibyte: enough of an error. A connection that breaks ends it."""
        parts: list[bytes] = []
        try:
            while sum(map(len, parts)) < _ERROR_BODY_BYTES and (part := await self.next()):
                parts.append(part)
        except (APIConnectionError, ResponseValidationError):
            pass  # the status alone says enough
        return b"".join(parts)

    async def aclose(self) -> None:
        """Let go of the connection. May be called more than once, also while another task reads: that one then fails."""
        parts: object = self._parts
        if not self._ended and parts is not self._stream and hasattr(parts, "aclose"):
            with suppress(RuntimeError):  # the other task is inside it; closing the stream ends that
                await parts.aclose()
        if not self.closed and isinstance(self._stream, httpx.AsyncByteStream):
            self.closed = True
            await self._stream.aclose()


class BodySource:
    """The source of a stream: bytes through a decoder, as blocks of chunks."""

    def __init__(self, body: Body, decoder: Decoder) -> None:
        self._body = body
        self._decoder = decoder
        self._any = False
        self._ended = False
        self._closed = False

    async def read(self) -> Block:
        """The next block; empty at the end. A connection that breaks behind the first is `StreamInterruptedError`."""
        while not self._ended:
            data = await self._next()
            if data:
                chunks = self._decoder.feed(data)
            else:
                self._ended = True
                chunks = self._decoder.finish()
            if chunks:
                self._any = True
                return chunks
        return ()

    async def _next(self) -> bytes:
        try:
            return await self._body.next()
        except APIConnectionError as error:
            if not self._any:
                raise
            raise StreamInterruptedError(
                f"The stream broke off: {error.message} What had arrived is in `partial`."
            ) from error

    async def aclose(self) -> None:
        """Let go of the connection. May be called more than once."""
        if not self._closed:
            self._closed = True
            await self._body.aclose()


def connection_error(error: Exception, url: httpx.URL, connect_s: float | None = None) -> APIConnectionError:
    """An error of the connection as ours. It names the host, never the rest of the URL."""
    host = f"{url.host}:{url.port}" if url.port else url.host
    if isinstance(error, httpx.ConnectTimeout):
        return APITimeoutError(
            f"No connection to {host} within its limit ({connect_s} s at most). Is the host right and reachable?"
        )
    if isinstance(error, (httpx.TimeoutException, asyncio.TimeoutError)):
        return APITimeoutError(
            f"{host} did not answer in time ({type(error).__name__}). Give it more time, or try again."
        )
    if isinstance(error, httpx.ConnectError):
        return APIConnectionError(
            f"Expected a connection to {host}, found none ({_cause(error)}). Is base_url right, and is the server up?"
        )
    if isinstance(error, (httpx.UnsupportedProtocol, httpx.LocalProtocolError)):
        return APIConnectionError(
            f"The request to {host} cannot be sent ({type(error).__name__}). Check base_url and headers.",
            retryable=False,
            fault="caller",
        )
    return APIConnectionError(
        f"The connection to {host} broke ({type(error).__name__}) before the answer was complete. Try again."
    )


def _cause(error: BaseException) -> str:
    """The operating system's word, which names no URL."""
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__ or error
    return f"{type(error).__name__}: {str(error)[:120]}" if isinstance(error, OSError) else type(error).__name__
