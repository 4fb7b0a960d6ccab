"""An HTTP server of the tests' own, byte by byte: what it is sent, what it does then, and which connections are open."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl

Script = Callable[[asyncio.StreamWriter], Awaitable[None]]

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


def chunk(data: bytes) -> bytes:
    """One piece of a chunked body; the empty one ends it."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def saying(answer: bytes, *, close: bool = False) -> Script:
    """Sends these bytes, and then perhaps closes the connection."""

    async def script(writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        await writer.drain()
        if close:
            writer.close()

    return script


async def reset(writer: asyncio.StreamWriter) -> None:
    """Sends the start of a body, and tears the connection down."""
    writer.write(CHUNKED + chunk(b"abc"))
    await writer.drain()
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


class Loopback:
    """Answers each request by `script`, one after another on a connection.

    `heads` and `bodies` are what it was sent; `writer` is the connection of the last request, for what is said later.
    Without `reading` it answers as soon as it has a head, and reads nothing more.
    A script does not wait, or a connection that the client closes is not seen to be closed.
    """

    def __init__(self) -> None:
        self.script = saying(OK)
        self.reading = asyncio.Event()
        self.reading.set()
        self.heads: list[bytes] = []
        self.bodies: list[bytes] = []
        self.opened = self.open = 0
        self.url = ""
        self.writer: asyncio.StreamWriter
        self._changed = asyncio.Event()

    @asynccontextmanager
    async def running(self, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> AsyncIterator[Loopback]:
        """Serves on a free port until the block ends."""
        async with await asyncio.start_server(self._serve, host, 0, ssl=tls) as listening:
            port = listening.sockets[0].getsockname()[1]
            self.url = f"{'https' if tls else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"
            yield self

    async def settled(self, count: int) -> None:
        """Wait until so many connections are open; the test's own time limit ends a wait in vain."""
        while self.open != count:
            self._changed.clear()
            await self._changed.wait()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.opened += 1
        self.open += 1
        self._changed.set()
        try:
            while True:
                await self._read(reader)
                self.writer = writer
                await self.script(writer)
                await self.reading.wait()
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
            pass
        finally:
            self.open -= 1
            self._changed.set()
            writer.close()

    async def _read(self, reader: asyncio.StreamReader) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        lengths = [int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
        self.heads.append(head)
        if self.reading.is_set():
            self.bodies.append(await reader.readexactly(lengths[0]) if lengths else b"")
