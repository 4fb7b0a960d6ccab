"""One HTTP/1.1 connection of the simulated server; framing is h11's."""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import aclosing
from typing import TYPE_CHECKING
from urllib.parse import unquote

import h11

from .exchange import SimulatedReply, SimulatedRequest

if TYPE_CHECKING:
    from .app import SimulatedVendor

_READ_BYTES = 65536
_CLOSE_BY_RESET = struct.pack("ii", 1, 0)


class Connection:
    """Serves requests one after the other until either side closes.

    While a reply is played, the client's going away is noticed at once, even in the middle of a long wait.
    """

    def __init__(self, vendor: SimulatedVendor, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._vendor, self._reader, self._writer = vendor, reader, writer
        self._http = h11.Connection(h11.SERVER)
        # With no buffer, drain() returns only when the kernel has the bytes: nothing is lost before a cut.
        writer.transport.set_write_buffer_limits(0)

    async def serve(self) -> None:
        """Returns when the connection is over. Raises `OSError` when it broke."""
        try:
            while (request := await self._request()) is not None:
                if not await self._answer(self._vendor.respond(request)):
                    return
                self._http.start_next_cycle()
        except h11.RemoteProtocolError as error:
            await self._protest(error.error_status_hint)

    async def _request(self) -> SimulatedRequest | None:
        head = await self._next_event()
        if not isinstance(head, h11.Request):
            return None
        body = bytearray()
        while isinstance(event := await self._next_event(), h11.Data):
            # One byte more than allowed is enough for the vendor to refuse; the rest is read and dropped.
            body += event.data[: max(self._vendor.max_body_bytes + 1 - len(body), 0)]
        if not isinstance(event, h11.EndOfMessage):
            return None
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in head.headers}
        path = unquote(head.target.decode("latin-1").partition("?")[0])
        return SimulatedRequest(head.method.decode("ascii"), path, headers, bytes(body))

    async def _next_event(self) -> h11.Event | type[h11.NEED_DATA | h11.PAUSED]:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            if self._http.they_are_waiting_for_100_continue:
                await self._send(h11.InformationalResponse(status_code=100, headers=[]))
            self._http.receive_data(await self._reader.read(_READ_BYTES))
        return event

    async def _answer(self, reply: SimulatedReply) -> bool:
        """Plays a reply; whether the connection can serve another request."""
        playing = asyncio.ensure_future(self._play(reply))
        leaving = asyncio.ensure_future(self._client_left())
        try:
            await asyncio.wait((playing, leaving), return_when=asyncio.FIRST_COMPLETED)
            if playing.done():
                return playing.result()
        except OSError:
            pass
        finally:
            playing.cancel()
            leaving.cancel()
            await asyncio.gather(playing, leaving, return_exceptions=True)
        self._vendor.note_abandoned()
        return False

    async def _client_left(self) -> None:
        # A second request may arrive early (pipelining): it is kept for its turn, and nothing more is read until then.
        data = await self._reader.read(_READ_BYTES)
        self._http.receive_data(data)
        if data:
            await asyncio.Event().wait()

    async def _play(self, reply: SimulatedReply) -> bool:
        if reply.delay_s > 0:
            await self._vendor.sleep(reply.delay_s)
        if reply.ending == "refused":
            self._reset()
            return False
        await self._send(h11.Response(status_code=reply.status, headers=_headers(reply)))
        async with aclosing(reply.play(self._vendor.sleep)) as pieces:
            async for piece in pieces:
                await self._send(h11.Data(data=piece))
        if reply.ending == "cut":
            return False
        await self._send(h11.EndOfMessage())
        return self._http.our_state is h11.DONE

    async def _send(self, event: h11.Event) -> None:
        self._writer.write(self._http.send(event) or b"")
        await self._writer.drain()

    async def _protest(self, status: int) -> None:
        if self._http.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            await self._send(
                h11.Response(status_code=status, headers=[("connection", "close"), ("content-length", "0")])
            )
            await self._send(h11.EndOfMessage())

    def _reset(self) -> None:
        connection = self._writer.get_extra_info("socket")
        if connection is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _CLOSE_BY_RESET)


def _headers(reply: SimulatedReply) -> list[tuple[str, str]]:
    framing = {"transfer-encoding": "chunked"} if "content-length" not in reply.headers else {}
    return [*reply.headers.items(), *framing.items()]
