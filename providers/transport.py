"""Where requests leave the process: one httpx transport per event loop, made when it is first needed."""

from __future__ import annotations

import asyncio
import functools
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import httpx

if TYPE_CHECKING:
    import ssl

_LIMITS = httpx.Limits(max_connections=1_000, max_keepalive_connections=100, keepalive_expiry=30.0)


class Transports:
    """A connection pool belongs to the event loop that opened it; this hands out the running loop's own.

    A transport that the user gave is handed out as it is, and stays the user's to close.
    """

    def __init__(self, given: httpx.AsyncBaseTransport | None = None) -> None:
        self._given = given
        self._by_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, httpx.AsyncBaseTransport] = WeakKeyDictionary()

    def current(self) -> httpx.AsyncBaseTransport:
        """The transport for the running event loop."""
        if self._given is not None:
            return self._given
        loop = asyncio.get_running_loop()
        transport = self._by_loop.get(loop)
        if transport is None:
            transport = self._by_loop[loop] = httpx.AsyncHTTPTransport(verify=_ssl_context(), limits=_LIMITS)
        return transport

    async def aclose(self) -> None:
        """Close all connections. Loops that run in other threads close theirs soon; those of ended loops are gone."""
        running = asyncio.get_running_loop()
        for loop, transport in list(self._by_loop.items()):
            del self._by_loop[loop]
            if loop is running:
                await transport.aclose()
            elif loop.is_running():
                asyncio.run_coroutine_threadsafe(transport.aclose(), loop)


@functools.cache
def _ssl_context() -> ssl.SSLContext:
    """Loading the certificates takes 20 ms and a megabyte: once per process."""
    return httpx.create_ssl_context()
