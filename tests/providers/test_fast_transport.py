"""Both transports of our own over real sockets: the same on the wire, the same in every ending; where they differ it is said."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import ssl
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
import trustme
from loopback import CHUNKED, OK, Loopback, chunk, reset, saying
from pydantic import SecretStr

from glassway.pipeline.errors import ConfigError, MissingExtraError, ResponseValidationError
from glassway.providers import OpenAI, OpenAICompatible
from glassway.providers.body import Body, Exchanging
from glassway.providers.catalogue import row_of
from glassway.providers.codec import Encoded
from glassway.providers.fast import FastTransport
from glassway.providers.heads import Heads, PreparedRequest, lines_of
from glassway.providers.transport import LIMITS, Transports

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

pytestmark = pytest.mark.anyio

TIMEOUTS = {"connect": 5.0, "read": None, "write": None, "pool": 5.0}
SECRET = "sk-canary-0123456789"


@pytest.fixture
async def server() -> AsyncIterator[Loopback]:
    async with Loopback().running() as running:
        yield running


@pytest.fixture
async def transport(each_transport: str) -> AsyncIterator[httpx.AsyncBaseTransport]:
    """The one that a provider takes."""
    transports = Transports()
    yield transports.current()
    await transports.aclose()


@pytest.fixture
async def fast() -> AsyncIterator[httpx.AsyncBaseTransport]:
    transports = Transports(fast=True)
    yield transports.current()
    await transports.aclose()


def request(
    url: str, content: bytes = b"{}", method: str = "POST", timeouts: dict[str, float | None] | None = None, **more: str
) -> httpx.Request:
    """As the provider prepares it."""
    target = httpx.URL(url)
    headers = {"Host": target.netloc.decode(), "content-length": str(len(content)), "authorization": SECRET, **more}
    made = httpx.Request(
        method,
        target,
        headers=headers,
        stream=httpx.ByteStream(content),
        extensions={"timeout": {**TIMEOUTS, **(timeouts or {})}},
    )
    made.read()
    return made


async def read(response: httpx.Response) -> bytes:
    assert isinstance(response.stream, httpx.AsyncByteStream)
    try:
        return b"".join([part async for part in response.stream])
    finally:
        await response.stream.aclose()


async def asked(transport: httpx.AsyncBaseTransport, url: str, content: bytes = b"{}") -> bytes:
    return await read(await transport.handle_async_request(request(url, content)))


# -- a body that came with its head

ALL_AT_ONCE = b"HTTP/1.1 200 OK\r\ncontent-length: 4000\r\n\r\n" + b"x" * 4000


async def _body(fast: httpx.AsyncBaseTransport, server: Loopback, answer: bytes, max_bytes: int) -> Body:
    server.script = saying(answer)
    assert isinstance(fast, Exchanging)
    sent = request(server.url)
    return Body(await fast.exchange(sent), sent.url, max_bytes)


async def test_a_body_that_came_with_its_head_is_taken_at_once(
    server: Loopback, fast: httpx.AsyncBaseTransport
) -> None:
    for _ in range(3):
        body = await _body(fast, server, ALL_AT_ONCE, 4000)
        assert await body.read() == b"x" * 4000
        assert body.closed
        assert await body.read() == b""  # all of it was read
    assert server.opened == 1


async def test_a_body_that_came_with_its_head_may_not_be_longer_either(
    server: Loopback, fast: httpx.AsyncBaseTransport
) -> None:
    body = await _body(fast, server, ALL_AT_ONCE, 3999)
    with pytest.raises(ResponseValidationError, match="at most 3999 bytes"):
        await body.read()


async def test_a_body_that_was_read_in_part_goes_on_where_it_was(
    server: Loopback, fast: httpx.AsyncBaseTransport
) -> None:
    body = await _body(fast, server, ALL_AT_ONCE, 4000)
    first = await body.next()
    assert first + await body.read() == b"x" * 4000


# -- on the wire


@pytest.mark.parametrize(
    "path", ["/v1/chat", "/a%3Ab/c%2Fd", "/a//b?x=%2F&y=z", "/v1/models/gpt:4?q='x'", "/%C3%A9", "/"]
)
async def test_both_send_the_same_bytes(server: Loopback, path: str) -> None:
    for chosen in (False, True):
        transports = Transports(fast=chosen)
        sent = request(server.url + path, b'{"a": 1}', **{"X-Team": "a b", "x-empty": ""})
        await read(await transports.current().handle_async_request(sent))
        await transports.aclose()
    plain, fast = server.heads
    assert fast == plain
    assert fast.startswith(b"POST " + path.encode() + b" HTTP/1.1\r\nHost: ")
    assert b"\r\ncontent-length: 8\r\n" in fast
    assert b"\r\nX-Team: a b\r\n" in fast
    assert server.bodies == [b'{"a": 1}'] * 2


@pytest.mark.parametrize(
    "more", [None, {"x-team": "a b", "accept": "text/plain"}], ids=["its head alone", "more headers"]
)
@pytest.mark.parametrize("content", [b'{"a": 1}', b""], ids=["a body", "no body"])
async def test_what_is_prepared_is_what_httpx_would_send(
    server: Loopback, content: bytes, more: dict[str, str] | None
) -> None:
    """The fast transport takes the lines as they were kept, httpx's asks for headers and stream."""
    heads = Heads(row_of("openai"), {"user-agent": "glassway"})
    url = httpx.URL(server.url + "/v1/a%2Fb?x=1")
    encoded = Encoded("POST" if content else "GET", "", content, {"content-type": "application/json"})
    for chosen in (False, True, True):
        head = heads.head(encoded, url, SecretStr(SECRET), stream=False)
        transports = Transports(fast=chosen)
        sent = PreparedRequest(encoded, head, TIMEOUTS, more)
        await read(await transports.current().handle_async_request(sent))
        await transports.aclose()
    plain, fast, again = server.heads
    assert fast == again == plain
    assert f"authorization: Bearer {SECRET}\r\n".encode() in fast
    assert (b"\r\nx-team: a b\r\n" in fast) == (more is not None)
    assert server.bodies == [content] * 3


def test_a_users_own_length_is_not_sent_for_the_bodys() -> None:
    encoded = Encoded("POST", "", b'{"a": 1}', {})
    heads = Heads(row_of("openai"), {"content-length": "5", "x-team": "t"})
    head = heads.head(encoded, httpx.URL("http://x/v1"), None, stream=False)
    kept, built = PreparedRequest(encoded, head, TIMEOUTS), PreparedRequest(encoded, head, TIMEOUTS)
    assert built.headers["content-length"] == "8"  # from now on its lines are made of its headers
    assert lines_of(kept) == lines_of(built)
    assert lines_of(kept).count(b"content-length: 8\r\n") == 1


async def test_headers_that_are_added_to_a_prepared_request_are_sent(server: Loopback) -> None:
    """As a signature is, which can only be made of the whole request."""
    encoded = Encoded("POST", "", b"{}", {})
    head = Heads(row_of("openai"), {}).head(encoded, httpx.URL(server.url + "/v1"), None, stream=False)
    for chosen in (False, True):
        sent = PreparedRequest(encoded, head, TIMEOUTS)
        sent.headers["x-signature"] = "s"
        transports = Transports(fast=chosen)
        await read(await transports.current().handle_async_request(sent))
        await transports.aclose()
    assert "x-signature" not in head.headers
    plain, fast = server.heads
    assert fast == plain
    assert b"\r\nx-signature: s\r\n" in fast
    replaced = PreparedRequest(encoded, head, TIMEOUTS)
    replaced.headers = httpx.Headers({"host": "x", "content-length": "2", "x-other": "o"})
    assert lines_of(replaced) == b"POST /v1 HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\nx-other: o\r\n\r\n"


async def test_the_answer_comes_as_it_was_sent(server: Loopback, transport: httpx.AsyncBaseTransport) -> None:
    head = b"HTTP/1.1 302 Moved\r\nLocation: /y\r\nset-cookie: a=b\r\nset-cookie: c=d\r\ncontent-encoding: gzip\r\ncontent-length: 4\r\n\r\n"
    server.script = saying(head + b"\x1f\x8bno")
    response = await transport.handle_async_request(request(server.url))
    assert response.status_code == 302
    assert response.extensions["reason_phrase"] == b"Moved"
    assert (b"Location", b"/y") in response.headers.raw
    assert response.headers.get_list("set-cookie") == ["a=b", "c=d"]
    assert await read(response) == b"\x1f\x8bno"


async def test_no_cookie_is_sent_back(server: Loopback, transport: httpx.AsyncBaseTransport) -> None:
    server.script = saying(OK.replace(b"\r\n", b"\r\nset-cookie: a=b\r\n", 1))
    await asked(transport, server.url)
    await asked(transport, server.url)
    assert b"ookie" not in server.heads[1]


async def test_no_proxy_is_taken_from_the_environment(
    server: Loopback, transport: httpx.AsyncBaseTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.1:1")
    assert await asked(transport, server.url) == b"ok"


async def test_a_body_of_20_megabytes_each_way(server: Loopback, transport: httpx.AsyncBaseTransport) -> None:
    body = os.urandom(1 << 20) * 20
    server.script = saying(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
    assert await asked(transport, server.url, body) == body
    assert server.bodies == [body]


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + OK, b"ok"),
        (CHUNKED + chunk(b"a") + chunk(b"b") + chunk(b""), b"ab"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", b""),
        (b"HTTP/1.1 200 OK\r\nx-long: " + b"a" * 30_000 + b"\r\ncontent-length: 2\r\n\r\nok", b"ok"),
    ],
    ids=["provisional heads", "chunked", "no content", "nothing", "long header"],
)
async def test_answers_that_leave_the_connection_open(
    server: Loopback, transport: httpx.AsyncBaseTransport, answer: bytes, body: bytes
) -> None:
    server.script = saying(answer)
    assert await asked(transport, server.url) == body
    assert await asked(transport, server.url) == body
    assert (server.opened, server.open) == (1, 1)


@pytest.mark.parametrize(
    "answer",
    [b"HTTP/1.1 200 OK\r\n\r\nall", b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 3\r\n\r\nall"],
    ids=["until the end", "connection: close"],
)
async def test_answers_that_end_the_connection(
    server: Loopback, transport: httpx.AsyncBaseTransport, answer: bytes
) -> None:
    server.script = saying(answer, close=True)
    assert await asked(transport, server.url) == b"all"
    await server.settled(0)


async def test_pieces_are_handed_on_as_they_arrive(server: Loopback, transport: httpx.AsyncBaseTransport) -> None:
    server.script = saying(CHUNKED + chunk(b"one"))
    response = await transport.handle_async_request(request(server.url))
    pieces = aiter(response.stream)  # type: ignore[arg-type]
    assert await anext(pieces) == b"one"
    server.writer.write(chunk(b"two"))
    assert await anext(pieces) == b"two"
    server.writer.write(chunk(b""))
    with pytest.raises(StopAsyncIteration):
        await anext(pieces)
    await response.stream.aclose()  # type: ignore[union-attr]
    server.script = saying(OK)
    assert await asked(transport, server.url) == b"ok"
    assert server.opened == 1


async def test_ipv6(transport: httpx.AsyncBaseTransport) -> None:
    try:
        async with Loopback().running("::1") as server:
            assert await asked(transport, server.url) == b"ok"
            assert b"Host: [::1]:" in server.heads[0]
    except OSError:
        pytest.skip("no IPv6 here")


async def test_what_is_not_read_is_not_fetched(server: Loopback, transport: httpx.AsyncBaseTransport) -> None:
    sent = 0

    async def flood() -> None:
        nonlocal sent
        for _ in range(100):
            server.writer.write(b"x" * (1 << 20))
            await server.writer.drain()
            sent += 1

    server.script = saying(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % (100 << 20))
    response = await transport.handle_async_request(request(server.url))
    flooding = asyncio.ensure_future(flood())
    await asyncio.wait([flooding], timeout=0.3)
    assert sent < 50
    await response.aclose()
    await asyncio.wait([flooding])
    assert isinstance(flooding.exception(), ConnectionError)


# -- endings: the connection is let go of


async def test_64_streams_at_once(server: Loopback, transport: httpx.AsyncBaseTransport) -> None:
    server.script = saying(CHUNKED + b"".join(chunk(b"%d " % n) for n in range(100)) + chunk(b""))
    whole = b"".join(b"%d " % n for n in range(100))
    for _ in range(2):
        assert await asyncio.gather(*(asked(transport, server.url) for _ in range(64))) == [whole] * 64
    assert server.opened <= 64


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


async def _close(response: httpx.Response) -> None:
    await response.aclose()
    await response.aclose()


async def _cancel(response: httpx.Response) -> None:
    async def all_of_it() -> None:
        async for _ in response.stream:  # type: ignore[union-attr]
            pass

    task = asyncio.ensure_future(all_of_it())
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def _deadline(response: httpx.Response) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.02):
            await read(response)


async def _close_while_another_task_reads(response: httpx.Response) -> None:
    task = asyncio.ensure_future(read(response))
    await asyncio.sleep(0.01)
    await response.stream.aclose()  # type: ignore[union-attr]
    with pytest.raises(httpx.ReadError):
        await task


@pytest.mark.parametrize(
    "ending", [_close, _cancel, _deadline, _close_while_another_task_reads], ids=lambda ending: ending.__name__
)
async def test_an_answer_that_is_left_closes_its_connection(
    server: Loopback, transport: httpx.AsyncBaseTransport, ending: Callable[[httpx.Response], Awaitable[None]]
) -> None:
    server.script = saying(CHUNKED + chunk(b"one"))
    response = await transport.handle_async_request(request(server.url))
    await ending(response)
    await server.settled(0)
    assert response.status_code == 200  # and not by being collected


async def test_an_answer_that_is_dropped_closes_its_connection(
    server: Loopback, fast: httpx.AsyncBaseTransport
) -> None:
    """httpx's transport leaves this to whoever dropped it: our streams close theirs."""
    server.script = saying(CHUNKED + chunk(b"one"))
    response = await fast.handle_async_request(request(server.url))
    await anext(aiter(response.stream))  # type: ignore[arg-type]
    del response
    gc.collect()
    await server.settled(0)


async def test_a_call_that_is_cancelled_before_the_answer(
    server: Loopback, transport: httpx.AsyncBaseTransport
) -> None:
    server.script = saying(b"")
    task = asyncio.ensure_future(transport.handle_async_request(request(server.url)))
    await server.settled(1)
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await server.settled(0)


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts open files as Linux shows them")
async def test_200_cancelled_streams_leave_nothing_open(server: Loopback, transport: httpx.AsyncBaseTransport) -> None:
    async def cancelled() -> None:
        await _cancel(await transport.handle_async_request(request(server.url)))

    server.script = saying(CHUNKED + chunk(b"one"))
    await cancelled()
    await server.settled(0)
    before = open_files()
    for _ in range(4):
        await asyncio.gather(*(cancelled() for _ in range(50)))
    while open_files() > before:  # noqa: ASYNC110 - nothing tells of it; the test's own time limit ends a wait in vain
        await asyncio.sleep(0.01)
    server.script = saying(OK)
    assert await asked(transport, server.url) == b"ok"


async def test_a_complete_answer_frees_its_connection_before_it_is_closed(
    server: Loopback, fast: httpx.AsyncBaseTransport
) -> None:
    response = await fast.handle_async_request(request(server.url))
    assert await asked(fast, server.url) == b"ok"
    assert await read(response) == b"ok"
    await response.aclose()
    assert (server.opened, server.open) == (1, 1)


async def test_aclose_ends_readers(server: Loopback, fast: httpx.AsyncBaseTransport) -> None:
    server.script = saying(CHUNKED + chunk(b"one"))
    response = await fast.handle_async_request(request(server.url))
    task = asyncio.ensure_future(read(response))
    await asyncio.sleep(0.01)
    await fast.aclose()
    with pytest.raises(httpx.ReadError):
        await task
    await server.settled(0)


async def test_an_answer_before_all_was_sent_is_read_and_its_connection_not_used_again(
    server: Loopback, fast: httpx.AsyncBaseTransport
) -> None:
    """httpx sends everything first, which a server that has stopped reading makes it do for ever."""
    server.reading.clear()
    server.script = saying(b"HTTP/1.1 413 Content Too Large\r\ncontent-length: 2\r\n\r\nno")
    response = await fast.handle_async_request(request(server.url, b"x" * (30 << 20)))
    assert (response.status_code, await read(response)) == (413, b"no")
    server.reading.set()
    server.script = saying(OK)
    assert await asked(fast, server.url) == b"ok"
    assert server.opened == 2


# -- connections that are no longer fit


async def test_a_connection_that_the_server_has_closed_is_replaced(
    server: Loopback, transport: httpx.AsyncBaseTransport
) -> None:
    server.script = saying(OK, close=True)
    for _ in range(20):
        assert await asked(transport, server.url) == b"ok"
    assert len(server.heads) == 20


async def test_a_request_that_was_sent_is_not_sent_again(server: Loopback, transport: httpx.AsyncBaseTransport) -> None:
    await asked(transport, server.url)
    server.script = saying(b"", close=True)
    with pytest.raises(httpx.RemoteProtocolError):
        await asked(transport, server.url)
    assert len(server.heads) == 2


@pytest.mark.parametrize("at_once", [True, False])
async def test_what_nobody_asked_for_is_nobodys_answer(
    server: Loopback, fast: httpx.AsyncBaseTransport, at_once: bool
) -> None:
    """httpx's transport takes it for the answer to the next request."""
    stray = OK.replace(b"ok", b"no")
    server.script = saying(OK + (stray if at_once else b""))
    assert await asked(fast, server.url) == b"ok"
    if not at_once:
        server.writer.write(stray)
        await asyncio.sleep(0.01)
    server.script = saying(OK)
    assert await asked(fast, server.url) == b"ok"
    assert server.opened == 2


# -- errors


@pytest.mark.parametrize(
    ("script", "error"),
    [
        (saying(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc", close=True), httpx.RemoteProtocolError),
        (saying(CHUNKED + chunk(b"abc"), close=True), httpx.RemoteProtocolError),
        (saying(CHUNKED + chunk(b"abc") + b"zz\r\n"), httpx.RemoteProtocolError),
        (saying(b"", close=True), httpx.RemoteProtocolError),
        (saying(b"HTTP/1.1 200", close=True), httpx.RemoteProtocolError),
        (saying(b"SSH-2.0 hello\r\n\r\n"), httpx.RemoteProtocolError),
        (saying(b"HTTP/1.1 200 OK\r\nno header\r\n\r\n"), httpx.RemoteProtocolError),
        (reset, (httpx.RemoteProtocolError, httpx.ReadError)),
    ],
    ids=["cut", "cut chunked", "bad chunk", "nothing", "half a head", "no HTTP", "no header", "reset"],
)
async def test_an_answer_that_breaks(
    server: Loopback, transport: httpx.AsyncBaseTransport, script: object, error: type[Exception]
) -> None:
    server.script = script  # type: ignore[assignment]
    with pytest.raises(error) as caught:
        await asked(transport, server.url)
    assert SECRET not in str(caught.value)
    await server.settled(0)


async def test_what_came_before_the_break_is_handed_out(server: Loopback, transport: httpx.AsyncBaseTransport) -> None:
    server.script = saying(CHUNKED + chunk(b"one"))
    pieces = aiter((await transport.handle_async_request(request(server.url))).stream)  # type: ignore[arg-type]
    assert await anext(pieces) == b"one"
    server.writer.write(chunk(b"two"))
    server.writer.close()
    await server.writer.wait_closed()
    await asyncio.sleep(0.02)  # the break is known, and nobody has read yet
    assert await anext(pieces) == b"two"
    with pytest.raises(httpx.RemoteProtocolError):
        await anext(pieces)


async def test_no_server(transport: httpx.AsyncBaseTransport) -> None:
    with pytest.raises(httpx.ConnectError) as caught:
        await asked(transport, "http://127.0.0.1:1/v1")
    cause: BaseException = caught.value
    while cause.__cause__ or cause.__context__:
        cause = cause.__cause__ or cause.__context__ or cause
    assert isinstance(cause, ConnectionRefusedError)


@pytest.fixture
def full() -> object:
    """The address of a server that accepts no more connections: its queue is full."""
    with socket.socket() as listening, socket.socket() as first, socket.socket() as second:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for waiting in (first, second):
            waiting.setblocking(False)
            waiting.connect_ex(listening.getsockname())
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/"


@pytest.mark.skipif(sys.platform != "linux", reason="a full queue drops connections on Linux")
async def test_no_connection_in_time(transport: httpx.AsyncBaseTransport, full: str) -> None:
    with pytest.raises(httpx.ConnectTimeout):
        await transport.handle_async_request(request(full, timeouts={"connect": 0.05}))


async def test_no_address_in_time(transport: httpx.AsyncBaseTransport, monkeypatch: pytest.MonkeyPatch) -> None:
    async def slow(*_: object, **__: object) -> list[object]:
        await asyncio.sleep(30)
        return []

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", slow)
    with pytest.raises(httpx.ConnectTimeout):
        await transport.handle_async_request(request("http://vendor.invalid/", timeouts={"connect": 0.05}))


async def test_no_answer_in_time(server: Loopback, transport: httpx.AsyncBaseTransport) -> None:
    server.script = saying(b"")
    with pytest.raises(httpx.ReadTimeout):
        await transport.handle_async_request(request(server.url, timeouts={"read": 0.05}))
    await server.settled(0)


async def test_nothing_more_in_time(server: Loopback, transport: httpx.AsyncBaseTransport) -> None:
    server.script = saying(CHUNKED + chunk(b"one"))
    response = await transport.handle_async_request(request(server.url, timeouts={"read": 0.05}))
    with pytest.raises(httpx.ReadTimeout):
        await read(response)
    await server.settled(0)


@pytest.mark.parametrize("kind", [httpx.AsyncHTTPTransport, FastTransport])
async def test_no_free_connection_in_time(server: Loopback, kind: type[httpx.AsyncBaseTransport]) -> None:
    server.script = saying(CHUNKED + chunk(b"one"))
    transport = kind(verify=ssl.create_default_context(), limits=httpx.Limits(max_connections=1))  # type: ignore[call-arg]
    first = await transport.handle_async_request(request(server.url))
    with pytest.raises(httpx.PoolTimeout):
        await transport.handle_async_request(request(server.url, timeouts={"pool": 0.05}))
    await first.stream.aclose()  # type: ignore[union-attr]
    server.script = saying(OK)
    assert await asked(transport, server.url) == b"ok"
    await transport.aclose()


@pytest.mark.parametrize("value", [f"{SECRET}\r\nx: y", f"{SECRET}\0", f"{SECRET}\n"], ids=["two", "nul", "newline"])
async def test_a_header_that_cannot_be_sent(server: Loopback, transport: httpx.AsyncBaseTransport, value: str) -> None:
    with pytest.raises(httpx.LocalProtocolError):
        await transport.handle_async_request(request(server.url, **{"x-team": value}))
    assert server.heads == []


async def test_a_body_of_unknown_length_is_refused(server: Loopback, fast: httpx.AsyncBaseTransport) -> None:
    with pytest.raises(httpx.LocalProtocolError) as caught:
        await fast.handle_async_request(request(server.url, **{"Transfer-Encoding": "chunked"}))
    assert SECRET not in str(caught.value)


# -- TLS


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
async def secure(authority: trustme.CA) -> AsyncIterator[Loopback]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    async with Loopback().running(tls=context) as server:
        yield server


@pytest.mark.parametrize("kind", [httpx.AsyncHTTPTransport, FastTransport])
async def test_tls(secure: Loopback, authority: trustme.CA, kind: type[httpx.AsyncBaseTransport]) -> None:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    transport = kind(verify=context, limits=LIMITS)  # type: ignore[call-arg]
    for _ in range(3):
        assert await asked(transport, secure.url) == b"ok"
    assert secure.opened == 1
    secure.script = saying(CHUNKED + chunk(b"one"))
    await _cancel(await transport.handle_async_request(request(secure.url)))
    await secure.settled(0)
    await transport.aclose()


async def test_a_certificate_that_nobody_vouches_for(secure: Loopback, transport: httpx.AsyncBaseTransport) -> None:
    with pytest.raises(httpx.ConnectError):
        await asked(transport, secure.url)


# -- which one is used


def made(**settings: object) -> str:
    return type(asyncio.run(_current(Transports(**settings)))).__name__  # type: ignore[arg-type]


async def _current(transports: Transports) -> httpx.AsyncBaseTransport:
    found = transports.current()
    await transports.aclose()
    return found


def test_the_fast_one_is_used_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GLASSWAY_TRANSPORT", raising=False)
    assert made() == "FastTransport"
    assert made(fast=False) == "AsyncHTTPTransport"


def test_the_environment_chooses_unless_the_setting_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLASSWAY_TRANSPORT", "httpx")
    assert made() == "AsyncHTTPTransport"
    assert made(fast=True) == "FastTransport"
    monkeypatch.setenv("GLASSWAY_TRANSPORT", "curl")
    with pytest.raises(ConfigError, match="curl"):
        OpenAI(api_key="sk-x")


async def test_a_transport_that_was_given_is_used() -> None:
    given = httpx.MockTransport(lambda _: httpx.Response(200, json={"data": [{"id": "m"}]}))
    assert await OpenAICompatible(base_url="http://h/v1", transport=given, fast=True).list_models() == ("m",)


def run(script: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=30, env={**os.environ, **environment}
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("version", ["3.8.6", "4.0.0", None])
def test_without_a_fitting_library_httpx_is_used(version: str | None) -> None:
    answer = "raise metadata.PackageNotFoundError(name)" if version is None else f"return {version!r}"
    script = f"""if True:
        import sys
        from importlib import metadata
        real = metadata.version
        def version(name):
            if name != "aiohttp": return real(name)
            {answer}
        metadata.version = version
        from glassway import OpenAI
        from glassway.pipeline.errors import MissingExtraError
        OpenAI(api_key="sk-x")
        print("aiohttp" in sys.modules)
        try:
            OpenAI(api_key="sk-x", fast=True)
        except MissingExtraError as error:
            print(error)
    """
    assert run(script, GLASSWAY_TRANSPORT="").splitlines() == [
        "False",
        str(MissingExtraError("The fast transport", "fast")),
    ]


async def test_a_forked_process_has_connections_of_its_own(server: Loopback, each_transport: str) -> None:
    script = f"""if True:
        import asyncio, os, sys
        from glassway import OpenAICompatible
        target = OpenAICompatible(base_url={server.url!r})
        async def ask():
            try:
                print(await target.list_models(), flush=True)
            finally:
                await asyncio.sleep(0)
        asyncio.run(ask())
        if (child := os.fork()) == 0:
            asyncio.run(ask())
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        asyncio.run(ask())
    """
    body = b'{"data":[{"id":"m"}]}'
    server.script = saying(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
    assert (await asyncio.to_thread(run, script)).splitlines() == ["('m',)"] * 3
    assert server.opened == 3


async def test_a_loop_that_has_ended_leaves_no_noise(server: Loopback, each_transport: str) -> None:
    """Like many a script: `asyncio.run`, and nothing is ever closed."""
    script = f"""if True:
        import asyncio, gc
        from glassway import OpenAICompatible
        asyncio.run(OpenAICompatible(base_url={server.url!r}).available())
        gc.collect()
    """
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", script], capture_output=True, text=True, timeout=30
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
