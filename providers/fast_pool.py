"""aiohttp's pool of connections, asked for one at a time, and before each use whether it is still fit. Imports aiohttp."""

from __future__ import annotations

import asyncio
import select
from typing import TYPE_CHECKING, NamedTuple
from weakref import WeakSet

import aiohttp
import httpx
from typing_extensions import override
from yarl import URL

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping

    from aiohttp.client_proto import ResponseHandler
    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace

_ORIGINS_KEPT = 64


class Lease(NamedTuple):
    """A connection that is used for one request at a time."""

    connection: Connection
    protocol: ResponseHandler
    transport: asyncio.Transport

    def give_back(self) -> None:
        """Keep the connection for another request; not one whose server answered before it had read everything."""
        if self.transport.get_write_buffer_size():
            self.break_off()
        else:
            self.connection.release()

    def break_off(self) -> None:
        """Close the connection now, also if there is something left to send."""
        self.transport.abort()
        self.connection.close()


class Pool:
    """Connections of one event loop, by scheme, host and port."""

    def __init__(self, verify: ssl.SSLContext, limits: httpx.Limits) -> None:
        self._connector = _Connector(verify, limits)
        self._origins: dict[tuple[str, bytes, int | None], aiohttp.ClientRequest] = {}
        self._readable = _Glance()

    async def take(self, url: httpx.URL, timeouts: Mapping[str, float | None]) -> Lease:
        """A connection to be sent on at once: between this and the first byte nothing may be awaited.

        Raises `httpx.ConnectError`, `ConnectTimeout`, `PoolTimeout`, `UnsupportedProtocol`.
        """
        origin = self._origin(url)
        limits = aiohttp.ClientTimeout(connect=timeouts.get("pool"), sock_connect=timeouts.get("connect"))
        while True:
            lease = await self._connected(origin, limits)
            if lease.protocol in self._connector.fresh:
                self._connector.fresh.discard(lease.protocol)
                return lease
            if not self._spoilt(lease):
                return lease
            lease.break_off()

    async def _connected(self, origin: aiohttp.ClientRequest, limits: aiohttp.ClientTimeout) -> Lease:
        try:
            connection = await self._connector.connect(origin, [], limits)
        except TimeoutError as error:
            raise httpx.PoolTimeout("No connection became free in time.") from error
        except aiohttp.ClientError as error:
            raise httpx.ConnectError(f"No connection ({type(error).__name__}).") from error
        if connection.protocol is None or connection.transport is None:
            connection.close()
            raise httpx.ConnectError("The server closed the connection at once.")
        return Lease(connection, connection.protocol, connection.transport)

    def _spoilt(self, lease: Lease) -> bool:
        """Whether the server has ended a kept connection, or has sent what nobody asked for: another call's answer, perhaps."""
        return lease.protocol.should_close or self._readable(lease.transport.get_extra_info("socket").fileno())

    def _origin(self, url: httpx.URL) -> aiohttp.ClientRequest:
        """What the connector wants to know of a request."""
        key = (url.scheme, url.raw_host, url.port)
        if (known := self._origins.get(key)) is not None:
            return known
        if url.scheme not in ("http", "https"):
            raise httpx.UnsupportedProtocol("Expected http:// or https://, found another scheme.")
        if len(self._origins) >= _ORIGINS_KEPT:
            self._origins.clear()
        host = url.raw_host.decode("ascii")
        place = URL.build(scheme=url.scheme, host=f"[{host}]" if ":" in host else host, port=url.port, encoded=True)
        origin = self._origins[key] = aiohttp.ClientRequest("GET", place, loop=asyncio.get_running_loop())
        return origin

    async def aclose(self) -> None:
        """Close all connections, also those in use."""
        await self._connector.close(abort_ssl=True)


class _Connector(aiohttp.TCPConnector):
    """One whose connect timeout holds for the name's look-up too, and that knows which connections are new."""

    def __init__(self, verify: ssl.SSLContext, limits: httpx.Limits) -> None:
        super().__init__(ssl=verify, limit=limits.max_connections or 0, keepalive_timeout=limits.keepalive_expiry)
        self.fresh: WeakSet[ResponseHandler] = WeakSet()

    @override
    async def _create_connection(
        self, req: aiohttp.ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout
    ) -> ResponseHandler:
        try:
            async with asyncio.timeout(timeout.sock_connect):
                made = await super()._create_connection(req, traces, timeout)
        except TimeoutError as error:
            raise httpx.ConnectTimeout("No connection in time.") from error
        self.fresh.add(made)
        return made

    @override
    def __del__(self, *_: object) -> None:
        """Nothing to say: an event loop that has ended has left its sockets to be closed as they are collected."""


class _Glance:
    """Whether something can be read from a socket now. One event loop's."""

    def __init__(self) -> None:
        self._polls: dict[int, select.poll] = {}
        """By descriptor: they hold the number alone, so that it does not matter whose it is by now."""

    def __call__(self, descriptor: int) -> bool:
        if not hasattr(select, "poll"):
            return bool(select.select([descriptor], [], [], 0)[0])
        poll = self._polls.get(descriptor)
        if poll is None:
            poll = self._polls[descriptor] = select.poll()
            poll.register(descriptor, select.POLLIN)
        return bool(poll.poll(0))
