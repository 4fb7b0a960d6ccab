"""Where requests leave the process: one transport per event loop, made when it is first needed."""

from __future__ import annotations

import asyncio
import functools
import os
from importlib import metadata
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import httpx

from ..pipeline.errors import ConfigError, MissingExtraError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

VARIABLE = "GLASSWAY_TRANSPORT"
LIMITS = httpx.Limits(max_connections=1_000, max_keepalive_connections=100, keepalive_expiry=30.0)
_AIOHTTP = ((3, 13), (4, 0))
"""The first version that the fast transport is tested with, and the first that it is not made for."""


class Transports:
    """A connection pool belongs to the event loop that opened it; this hands out the running loop's own.

    A transport that the user gave is handed out as it is, and stays the user's to close. `fast` chooses between the two of
    our own; None leaves it to the environment variable `GLASSWAY_TRANSPORT` (`fast` or `httpx`), and without that takes the
    fast one where its extra is installed. Both verify certificates as httpx does, speak HTTP/1.1 and read no proxy
    variables: for proxies, HTTP/2 or other certificates, give `httpx.AsyncHTTPTransport(...)`.
    """

    def __init__(self, given: httpx.AsyncBaseTransport | None = None, *, fast: bool | None = None) -> None:
        """Raises `MissingExtraError` if the fast one is asked for and not installed, `ConfigError` for another name."""
        self._given = given
        self._make = _maker(fast if given is None else False)
        self._by_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, httpx.AsyncBaseTransport] = WeakKeyDictionary()

    def current(self) -> httpx.AsyncBaseTransport:
        """The transport for the running event loop."""
        if self._given is not None:
            return self._given
        loop = asyncio.get_running_loop()
        transport = self._by_loop.get(loop)
        if transport is None:
            transport = self._by_loop[loop] = self._made()
        return transport

    def _made(self) -> httpx.AsyncBaseTransport:
        for ended in [loop for loop in self._by_loop if loop.is_closed()]:
            del self._by_loop[ended]  # its connections know it, so it would never be collected
        return self._make()

    async def aclose(self) -> None:
        """Close all connections. Loops that run in other threads close theirs soon; those of ended loops are gone."""
        running = asyncio.get_running_loop()
        for loop, transport in list(self._by_loop.items()):
            del self._by_loop[loop]
            if loop is running:
                await transport.aclose()
            elif loop.is_running():
                asyncio.run_coroutine_threadsafe(transport.aclose(), loop)


def _maker(fast: bool | None) -> Callable[[], httpx.AsyncBaseTransport]:
    wanted = _from_environment() if fast is None else fast
    if wanted and not fast_installed():
        raise MissingExtraError("The fast transport", "fast")
    if wanted or (wanted is None and fast_installed()):
        from .fast import FastTransport

        return lambda: FastTransport(_ssl_context(), LIMITS)
    return lambda: httpx.AsyncHTTPTransport(verify=_ssl_context(), limits=LIMITS)


def _from_environment() -> bool | None:
    name = os.environ.get(VARIABLE, "")
    if name not in ("", "fast", "httpx"):
        raise ConfigError(f"{VARIABLE}: expected 'fast' or 'httpx', found {name!r}.")
    return name == "fast" if name else None


@functools.cache
def fast_installed() -> bool:
    """Whether the fast transport's library is there, in a version that it is made for."""
    try:
        version = metadata.version("aiohttp").split(".")
    except metadata.PackageNotFoundError:
        return False
    first, beyond = _AIOHTTP
    return first <= (int(version[0]), int(version[1])) < beyond


@functools.cache
def _ssl_context() -> ssl.SSLContext:
    """Loading the certificates takes 20 ms and a megabyte: once per process."""
    context = httpx.create_ssl_context()
    context.set_alpn_protocols(["http/1.1"])
    return context
