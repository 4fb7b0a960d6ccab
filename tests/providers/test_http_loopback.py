"""The provider's own connections, over real sockets: reused when an answer was whole, closed when it was not."""

from __future__ import annotations

import asyncio
import gc
import threading
from typing import TYPE_CHECKING

import pytest
from pydantic_core import from_json

from glassway.pipeline.attempts import attempt
from glassway.pipeline.call import Call, Limits
from glassway.pipeline.errors import APIConnectionError, APIError, APITimeoutError, StreamInterruptedError
from glassway.pipeline.stream import Stream
from glassway.pipeline.types import ChatRequest
from glassway.providers import HTTPProvider, OpenAICompatible

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("each_transport")]

PIECE = b'data: {"id":"1","model":"m","choices":[{"index":0,"delta":{"content":"x"}}]}\n\n'
END = b'data: {"id":"1","model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
ANSWER = b'{"id":"1","model":"m","choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":"x"}}]}'


class Server:
    """Answers each request by `script`; counts connections that were opened and that are open."""

    def __init__(self) -> None:
        self.script: Callable[[asyncio.StreamWriter], Awaitable[None]] = self.whole
        self.opened = self.open = 0
        self.requests: list[bytes] = []
        self.port = 0
        self.changed = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.opened += 1
        self.open += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = next(
                    int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")
                )
                self.requests.append(head + await reader.readexactly(length))
                await self.script(writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.open -= 1
            self.changed.set()
            writer.close()

    async def whole(self, writer: asyncio.StreamWriter) -> None:
        writer.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(ANSWER) + ANSWER
        )

    async def stream(self, writer: asyncio.StreamWriter) -> None:
        await self.begin(writer)
        self.chunk(writer, END)
        writer.write(b"0\r\n\r\n")

    async def begin(self, writer: asyncio.StreamWriter) -> None:
        """A stream that goes on."""
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        self.chunk(writer, PIECE)

    def chunk(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        writer.write(b"%x\r\n" % len(data) + data + b"\r\n")

    async def cut(self, writer: asyncio.StreamWriter) -> None:
        await self.begin(writer)
        await writer.drain()
        writer.close()

    async def cut_at_once(self, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async def silence(self, writer: asyncio.StreamWriter) -> None:
        """Nothing at all."""

    async def settled(self, count: int) -> None:
        """Wait until so many connections are open; the test's own time limit ends a wait in vain."""
        while self.open != count:
            self.changed.clear()
            await self.changed.wait()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    made = Server()
    async with await asyncio.start_server(made.serve, "127.0.0.1", 0) as listening:
        made.port = listening.sockets[0].getsockname()[1]
        yield made


@pytest.fixture
async def target(server: Server) -> AsyncIterator[HTTPProvider]:
    made = OpenAICompatible(base_url=f"http://127.0.0.1:{server.port}/v1", api_key="sk-loop")
    yield made
    await made.aclose()


def call(*, stream: bool = True) -> Call:
    return Call.start(
        ChatRequest.model_validate({"model": "m", "messages": [{"role": "user", "content": "x"}], "stream": stream})
    )


async def open_stream(target: HTTPProvider, view: Call | None = None) -> Stream:
    reply = await attempt(view or call(), "box", target)
    assert isinstance(reply, Stream)
    return reply


async def test_one_connection_serves_answers_one_after_another(server: Server, target: HTTPProvider) -> None:
    for _ in range(3):
        await target(call(stream=False))
    server.script = server.stream
    for _ in range(3):
        await (await open_stream(target)).response()
    assert (server.opened, server.open, len(server.requests)) == (1, 1, 6)


async def test_the_request_on_the_wire(server: Server, target: HTTPProvider) -> None:
    await target(call(stream=False))
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    names = [line.split(b":")[0].lower() for line in head.split(b"\r\n")[1:]]
    assert head.startswith(b"POST /v1/chat/completions HTTP/1.1\r\n")
    assert sorted(names) == sorted(set(names))
    assert {b"host", b"authorization", b"content-length", b"content-type", b"accept"} <= set(names)
    assert from_json(body) == {"model": "m", "messages": [{"role": "user", "content": "x"}], "stream": False}


async def test_calls_at_once_have_connections_of_their_own(server: Server, target: HTTPProvider) -> None:
    await asyncio.gather(*(target(call(stream=False)) for _ in range(5)))
    assert 1 < server.opened <= 5


async def _close(stream: Stream) -> None:
    await stream.aclose()


async def _cancel(stream: Stream) -> None:
    await anext(stream)
    task = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def _close_while_another_task_reads(stream: Stream) -> None:
    await anext(stream)
    task = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0.01)
    await stream.aclose()
    await asyncio.wait([task])
    assert task.cancelled() or task.exception() is not None


@pytest.mark.parametrize(
    "ending", [_close, _cancel, _close_while_another_task_reads], ids=lambda ending: ending.__name__
)
async def test_a_stream_that_is_left_closes_its_connection(
    server: Server, target: HTTPProvider, ending: Callable[[Stream], Awaitable[None]]
) -> None:
    server.script = server.begin
    await ending(await open_stream(target))
    await server.settled(0)


async def test_a_dropped_stream_closes_its_connection(server: Server, target: HTTPProvider) -> None:
    server.script = server.begin
    stream = await open_stream(target)
    await anext(stream)
    del stream
    gc.collect()
    await server.settled(0)


async def test_a_cut_stream_is_interrupted(server: Server, target: HTTPProvider) -> None:
    server.script = server.cut
    stream = await open_stream(target)
    with pytest.raises(StreamInterruptedError) as caught:
        await stream.response()
    assert caught.value.partial is not None
    assert caught.value.partial.text == "x"


async def test_a_connection_that_ends_without_an_answer(server: Server, target: HTTPProvider) -> None:
    server.script = server.cut_at_once
    with pytest.raises(APIConnectionError, match=r"127\.0\.0\.1"):
        await target(call())


async def test_no_server() -> None:
    target = OpenAICompatible(base_url="http://127.0.0.1:1/v1")
    with pytest.raises(APIConnectionError, match=r"127\.0\.0\.1:1") as caught:
        await target(call())
    assert caught.value.__cause__ is not None
    assert not (await target.available()).available
    await target.aclose()


@pytest.mark.parametrize(
    "limits", [Limits(first_chunk_s=0.05), Limits(between_chunks_s=0.05)], ids=["first chunk", "between chunks"]
)
async def test_a_silent_vendor_is_left_in_time(server: Server, target: HTTPProvider, limits: Limits) -> None:
    server.script = server.silence if limits.first_chunk_s else server.begin
    with pytest.raises(APITimeoutError):
        await (await open_stream(target, call().with_limits(limits))).response()
    await server.settled(0)


async def test_aclose_closes_idle_connections_and_a_later_call_opens_new_ones(
    server: Server, target: HTTPProvider
) -> None:
    await target(call(stream=False))
    await target.aclose()
    await server.settled(0)
    await target(call(stream=False))
    assert server.opened == 2


async def test_each_event_loop_has_connections_of_its_own(server: Server, target: HTTPProvider) -> None:
    await target(call(stream=False))
    errors: list[APIError] = []

    async def elsewhere() -> None:
        try:
            await target(call(stream=False))
        except APIError as error:
            errors.append(error)
        await target.aclose()

    thread = threading.Thread(target=lambda: asyncio.run(elsewhere()))
    thread.start()
    await asyncio.to_thread(thread.join)
    assert (errors, server.opened) == ([], 2)
