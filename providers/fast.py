"""The `fast` extra: httpx's interface over aiohttp's connections and its parser, without its session. Imports aiohttp."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Self
from weakref import WeakSet

import aiohttp
import httpx
from aiohttp.http import HttpProcessingError
from typing_extensions import override

from .body import Answered, Arriving, Exchanging
from .fast_pool import Lease, Pool
from .heads import PreparedRequest, lines_of

if TYPE_CHECKING:
    import ssl

    from aiohttp.http import RawResponseMessage
    from aiohttp.streams import StreamReader

_BREAKS = (aiohttp.ClientError, HttpProcessingError, OSError)
_LONGEST_LINE = 64 << 10
_COPIED_BYTES = 64 << 10


class FastTransport(Exchanging):
    """HTTP/1.1 for requests whose body has a known length. Belongs to the event loop in which it is made.

    Path, headers and body go out byte for byte as the request has them, and the answer comes back as the server sent it:
    nothing is added, decompressed, redirected or kept (no cookies), no environment variable is read. Of the request's
    timeouts `connect` (name, TCP and TLS together), `read` and `pool` hold; writing never waits. A kept connection that
    the server has closed, or on which it has said something unasked, is replaced before anything is sent; what has been
    sent is never sent again.
    """

    def __init__(self, verify: ssl.SSLContext, limits: httpx.Limits) -> None:
        self._pool = Pool(verify, limits)
        self._answers: WeakSet[Answer] = WeakSet()

    @override
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The answer, its body still to come. Raises httpx's errors; their texts quote nothing of the request."""
        status_code, headers, stream, reason = await self.exchange(request)
        said = {"http_version": b"HTTP/1.1", "reason_phrase": reason.encode("latin-1", "replace")}
        return httpx.Response(status_code, headers=list(headers), stream=stream, extensions=said)

    @override
    async def exchange(self, request: httpx.Request) -> Answered:
        """The same, in less time."""
        head = lines_of(request)
        content = request.content if isinstance(request, PreparedRequest) else await request.aread()
        timeouts = request.extensions.get("timeout") or {}
        lease = await self._pool.take(request.url, timeouts)
        try:
            _send(lease, request.method, head, content, timeouts.get("read"))
            message, payload = await _received(lease)
        except _BREAKS as error:
            lease.break_off()
            raise _as_httpx(error) from error
        except BaseException:
            lease.break_off()
            raise
        answer = Answer(lease, payload)
        if not payload.is_eof():
            self._answers.add(answer)
        return Answered(message.code, message.raw_headers, answer, message.reason)

    @override
    async def aclose(self) -> None:
        """Close all connections, also those in use: who reads from one gets an error."""
        for answer in list(self._answers):
            await answer.aclose()
        await self._pool.aclose()


class Answer(Arriving):
    """A body, in the pieces in which it arrives. Its connection is let go of once: kept if all of it came, else closed."""

    def __init__(self, lease: Lease, payload: StreamReader) -> None:
        self._lease: Lease | None = lease
        self._payload = payload
        self._loop = asyncio.get_running_loop()
        self._taken_bytes = 0
        if payload.is_eof():
            self._complete()

    @override
    def arrived(self) -> bytes | None:
        """All of it, if the server has sent it with the head or right behind it, as it does with short answers."""
        payload = self._payload
        if self._taken_bytes or not payload.is_eof() or payload.exception() is not None:
            return None
        data = payload.read_nowait()
        self._taken_bytes = len(data)
        self._complete()
        return data

    @override
    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        try:
            data = await self._payload.readany()
        except _BREAKS as error:  # aiohttp tells of a break before it hands out what came before
            data = self._rest(error)
            if not data:
                self._break_off()
                raise _as_httpx(error) from error
        except BaseException:
            self._break_off()
            raise
        if self._payload.is_eof():
            self._complete()
        if not data:
            raise StopAsyncIteration
        self._taken_bytes += len(data)
        return data

    @override
    async def aclose(self) -> None:
        """Close the connection, unless the body is complete. May be called more than once, also while another task reads."""
        self._break_off()

    def _rest(self, error: Exception) -> bytes:
        payload = self._payload
        if payload.total_bytes == self._taken_bytes:
            return b""
        payload.set_exception(None)  # type: ignore[arg-type]  # there is no other way to the data
        try:
            return payload.read_nowait()
        finally:
            payload.set_exception(error)

    def _complete(self) -> None:
        lease, self._lease = self._lease, None
        if lease is not None:
            lease.give_back()

    def _break_off(self) -> None:
        lease, self._lease = self._lease, None
        if lease is not None:
            self._taken_bytes = self._payload.total_bytes
            self._payload.set_exception(aiohttp.ClientConnectionError("closed"))  # else a reader waits for ever
            lease.break_off()

    def __del__(self) -> None:
        if self._lease is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._lease.break_off)  # garbage is collected in any thread


def _send(lease: Lease, method: str, head: bytes, content: bytes, read_s: float | None) -> None:
    lease.protocol.set_response_params(
        skip_payload=method == "HEAD",
        read_until_eof=True,
        auto_decompress=False,
        read_timeout=read_s,
        max_line_size=_LONGEST_LINE,
        max_field_size=_LONGEST_LINE,
    )
    if len(content) < _COPIED_BYTES:
        lease.transport.write(head + content)
    else:
        lease.transport.write(head)
        lease.transport.write(content)
    lease.protocol.start_timeout()


async def _received(lease: Lease) -> tuple[RawResponseMessage, StreamReader]:
    """The answer's head, behind the provisional ones."""
    while True:
        message, payload = await lease.protocol.read()
        if message.code >= 200:
            return message, payload
        if message.code == 101:
            raise httpx.RemoteProtocolError("The server changed the protocol, which nobody asked for.")


def _as_httpx(error: Exception) -> httpx.TransportError:
    """The same in httpx's terms, without its text: that may quote what was sent or received."""
    name = type(error).__name__
    if isinstance(error, aiohttp.ServerTimeoutError):
        return httpx.ReadTimeout(f"Nothing came in time ({name}).")
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return httpx.RemoteProtocolError(f"The server closed the connection without an answer ({name}).")
    if isinstance(error, (aiohttp.ClientPayloadError, HttpProcessingError)):
        return httpx.RemoteProtocolError(f"The answer is cut or is no HTTP ({name}).")
    return httpx.ReadError(f"The connection broke ({name}).")
