"""The simulated vendor as an httpx transport: in process, no sockets."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

import httpx
from typing_extensions import override

from .app import SimulatedVendor
from .exchange import SimulatedReply, SimulatedRequest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class SimulatedTransport(httpx.AsyncBaseTransport):
    """Answers every request from `vendor`, whatever its host.

    A reply's pieces arrive one by one, after their waits. A refused connection is `httpx.ConnectError`, a
    connection that drops in mid-body `httpx.ReadError`, a wait beyond the request's read timeout
    `httpx.ReadTimeout`; nothing is raised for `pool` and `connect` timeouts.
    """

    def __init__(self, vendor: SimulatedVendor | None = None) -> None:
        self.vendor = vendor or SimulatedVendor()

    @override
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        body = await request.aread()
        headers = {name.lower(): value for name, value in request.headers.items()}
        reply = self.vendor.respond(SimulatedRequest(request.method, request.url.path, headers, body))
        read_timeout_s = request.extensions.get("timeout", {}).get("read")
        sleep = _Sleep(self.vendor, request, read_timeout_s)
        if reply.delay_s > 0:
            await sleep(reply.delay_s)
        if reply.ending == "refused":
            raise httpx.ConnectError("the simulated vendor refused the connection", request=request)
        return httpx.Response(reply.status, headers=reply.headers, stream=_Body(reply, sleep), request=request)


class _Sleep:
    def __init__(self, vendor: SimulatedVendor, request: httpx.Request, timeout_s: float | None) -> None:
        self.vendor, self.request, self._timeout_s = vendor, request, timeout_s

    async def __call__(self, seconds: float) -> None:
        if self._timeout_s is None or seconds < self._timeout_s:
            return await self.vendor.sleep(seconds)
        await self.vendor.sleep(self._timeout_s)
        raise httpx.ReadTimeout("the simulated vendor was silent for too long", request=self.request)


class _Body(httpx.AsyncByteStream):
    def __init__(self, reply: SimulatedReply, sleep: _Sleep) -> None:
        self._reply, self._sleep, self._ended = reply, sleep, False

    @override
    async def __aiter__(self) -> AsyncIterator[bytes]:
        async with aclosing(self._reply.play(self._sleep)) as pieces:
            async for piece in pieces:
                yield piece
        self._ended = True
        if self._reply.ending == "cut":
            raise httpx.ReadError("the simulated vendor dropped the connection", request=self._sleep.request)

    @override
    async def aclose(self) -> None:
        if not self._ended:
            self._ended = True
            self._sleep.vendor.note_abandoned()
