"""The simulated vendor as an HTTP server on the loopback interface."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import TYPE_CHECKING, Self

from .app import SimulatedVendor
from .connection import Connection

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType


class SimulatedServer:
    """Serves `vendor` over HTTP/1.1: `async with SimulatedServer() as server: ... server.base_url`.

    With `port=0` the system picks a free one. Leaving the context closes the socket and drops what is still being
    answered. From synchronous code use `run_in_thread()`. May be entered again after it was left.
    """

    def __init__(self, vendor: SimulatedVendor | None = None, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self.vendor = vendor or SimulatedVendor()
        self._host, self._asked_port, self._port = host, port, 0
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    @property
    def base_url(self) -> str:
        """The root, as Anthropic's SDK wants it: `http://127.0.0.1:port`."""
        if not self._port:
            raise RuntimeError("the simulated server is not running; enter its context first")
        return f"http://{self._host}:{self._port}"

    @property
    def openai_base_url(self) -> str:
        """The root with `/v1`, as OpenAI's SDK wants it."""
        return f"{self.base_url}/v1"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, self._host, self._asked_port)
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        server, self._server, self._port = self._server, None, 0
        if server is not None:
            await _stop_accepting(server)
            server.close()
            for task in list(self._connections):
                task.cancel()
            await asyncio.gather(*self._connections, return_exceptions=True)
            await server.wait_closed()
            # An aborted transport closes its socket in the loop's next round.
            await asyncio.sleep(0)

    @contextlib.contextmanager
    def run_in_thread(self) -> Iterator[Self]:
        """Serves from a thread of its own, until the context is left.

        Raises `OSError` when the port cannot be bound.
        """
        started, stop = threading.Event(), asyncio.Event()
        failures: list[BaseException] = []
        loops: list[asyncio.AbstractEventLoop] = []

        async def serve() -> None:
            loops.append(asyncio.get_running_loop())
            async with self:
                started.set()
                await stop.wait()

        def run() -> None:
            try:
                asyncio.run(serve())
            except OSError as error:
                failures.append(error)
            finally:
                started.set()

        thread = threading.Thread(target=run, name="simulated-vendor", daemon=True)
        thread.start()
        started.wait()
        if failures:
            thread.join()
            raise failures[0]
        try:
            yield self
        finally:
            loops[0].call_soon_threadsafe(stop.set)
            thread.join()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)
        # Not in the task itself: one that is cancelled before it began would never close its socket.
        task.add_done_callback(lambda _: writer.transport.abort())

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # The client went away, or the server is being closed: either way nobody is left to tell.
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await Connection(self.vendor, reader, writer).serve()


async def _stop_accepting(server: asyncio.Server) -> None:
    # asyncio leaks a connection that is accepted in the very round in which its server is closed (an assertion in
    # Server._attach), so accepting stops first, and what was accepted gets two rounds to become a task of ours.
    loop = asyncio.get_running_loop()
    with contextlib.suppress(NotImplementedError):
        for listener in server.sockets:
            loop.remove_reader(listener.fileno())
    for _ in range(3):
        await asyncio.sleep(0)
