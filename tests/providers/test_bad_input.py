"""What any vendor may send by mistake, in every protocol: our error, what had arrived is kept, the connection is let go."""

from __future__ import annotations

import asyncio
import gzip
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from pydantic_core import to_json
from wires import WIRES, Wire

from glassway.pipeline.attempts import attempt
from glassway.pipeline.call import Call, CallOptions, Limits
from glassway.pipeline.clock import SYSTEM_CLOCK
from glassway.pipeline.errors import (
    APIError,
    APIStatusError,
    APITimeoutError,
    ResponseValidationError,
    StreamInterruptedError,
)
from glassway.pipeline.types import ChatRequest
from glassway.providers import HTTPProvider
from glassway.providers.catalogue import row_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.anyio


def _label(wire: Wire) -> str:
    return wire.vendor.label


EVERY = pytest.mark.parametrize("wire", WIRES.values(), ids=_label)
PROMPT = "the secret plan of the canary"
HTML = b"<!doctype html><html><body><h1>502 Bad Gateway</h1></body></html>"


class Body(httpx.AsyncByteStream):
    """A body in pieces; counts how often it is let go, and may wait for ever behind the last piece."""

    def __init__(self, *pieces: bytes, hang: bool = False, error: Exception | None = None) -> None:
        self.pieces, self.hang, self.error, self.closed = pieces, hang, error, 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            yield piece
            await asyncio.sleep(0)
        if self.hang:
            await asyncio.Event().wait()
        if self.error is not None:
            raise self.error

    async def aclose(self) -> None:
        self.closed += 1


class Endless(Body):
    """Says the same again and again, at once."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self.pieces[:-1]:
            yield piece
        while True:
            await asyncio.sleep(0)
            yield self.pieces[-1]


class Vendor(httpx.AsyncBaseTransport):
    """Answers with a body."""

    def __init__(self, body: Body, kind: str, status: int = 200, **headers: str) -> None:
        self.body, self.status = body, status
        self.headers = {"content-type": kind, **{name.replace("_", "-"): value for name, value in headers.items()}}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return httpx.Response(self.status, headers=self.headers, stream=self.body)


def answers(wire: Wire, *pieces: bytes, kind: str | None = None, **settings: Any) -> Vendor:
    return Vendor(Body(*pieces), kind or "application/json", **settings)


def streams(wire: Wire, *pieces: bytes, kind: str | None = None, **settings: Any) -> Vendor:
    return Vendor(Body(*pieces, **settings), kind or wire.stream_type)


async def send(
    wire: Wire, vendor: Vendor, *, stream: bool = False, limits: Limits | None = None, **settings: Any
) -> Any:
    """One attempt through the provider."""
    request = ChatRequest.model_validate(
        {"model": "m", "messages": [{"role": "user", "content": PROMPT}], "stream": stream}
    )
    options = CallOptions(settings={"api": wire.vendor.api} if wire.vendor.api != "chat" else {})
    call = Call.start(request, options=options, clock=SYSTEM_CLOCK).with_target(wire.vendor.call(request).target)
    target = HTTPProvider(
        row_of(wire.vendor.name),
        wire.vendor.codec,
        api_key="sk-canary-0123456789",
        base_url="https://x.test",
        transport=vendor,
        **settings,
    )
    return await attempt(call if limits is None else call.with_limits(limits), target.name, target)


async def failing(wire: Wire, vendor: Vendor, *, stream: bool = False, **settings: Any) -> APIError:
    """The error, whether it comes before the first chunk or later; the connection was let go once, and nothing was told."""

    async def whole() -> None:
        await (await send(wire, vendor, stream=stream, **settings)).response()

    with pytest.raises(APIError) as raised:
        await whole()
    assert vendor.body.closed == 1
    assert PROMPT not in str(raised.value)
    assert "sk-canary" not in str(raised.value)
    return raised.value


# what is right is read, or nothing below says anything


@EVERY
async def test_a_whole_answer_and_its_stream_say_the_same(wire: Wire) -> None:
    whole = await send(wire, answers(wire, to_json(wire.whole)))
    streamed = await (await send(wire, streams(wire, *wire.stream), stream=True)).response()
    assert whole.text == streamed.text == "Hello"
    assert whole.finish_reason == streamed.finish_reason == "stop"
    assert (whole.usage.prompt_tokens, whole.usage.completion_tokens) == (1, 2)
    assert (streamed.usage.prompt_tokens, streamed.usage.completion_tokens) == (1, 2)


@EVERY
@pytest.mark.parametrize("cut", [0.1, 0.5, 0.9])
async def test_truncated_json(wire: Wire, cut: float) -> None:
    body = to_json(wire.whole)
    assert isinstance(await failing(wire, answers(wire, body[: int(len(body) * cut)])), ResponseValidationError)


@EVERY
@pytest.mark.parametrize("body", [b"", b"null", b"[]", b"1", b'"x"', b"{}", b"\xff\xfe", b"{" * 5000])
async def test_json_that_is_no_answer(wire: Wire, body: bytes) -> None:
    assert isinstance(await failing(wire, answers(wire, body)), ResponseValidationError)


@EVERY
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("kind", ["text/html", "application/json", "text/event-stream"])
async def test_a_page_of_html_with_a_good_status(wire: Wire, stream: bool, kind: str) -> None:
    error = await failing(wire, answers(wire, HTML, kind=kind), stream=stream)
    assert isinstance(error, (ResponseValidationError, StreamInterruptedError))
    assert "<h1>" not in str(error)


@EVERY
@pytest.mark.parametrize("stream", [False, True])
async def test_a_page_of_html_with_a_bad_status(wire: Wire, stream: bool) -> None:
    error = await failing(wire, answers(wire, HTML, kind="text/html", status=502), stream=stream)
    assert isinstance(error, APIStatusError)
    assert (error.status_code, error.retryable) == (502, True)


@EVERY
@pytest.mark.parametrize("kind", ["text/plain", "application/octet-stream", ""])
async def test_a_wrong_content_type_of_a_right_answer_is_no_obstacle(wire: Wire, kind: str) -> None:
    assert (await send(wire, answers(wire, to_json(wire.whole), kind=kind or " "))).text == "Hello"


@EVERY
async def test_a_whole_answer_where_a_stream_was_asked_for(wire: Wire) -> None:
    assert isinstance(await failing(wire, answers(wire, to_json(wire.whole)), stream=True), ResponseValidationError)


@EVERY
@pytest.mark.parametrize("stream", [False, True])
async def test_damaged_compression(wire: Wire, stream: bool) -> None:
    packed = gzip.compress(b"".join(wire.stream) if stream else to_json(wire.whole))
    middle = len(packed) // 2
    damaged = packed[:middle] + b"\xff" * 20 + packed[middle + 20 :]
    kind = wire.stream_type if stream else "application/json"
    error = await failing(wire, Vendor(Body(damaged[:30], damaged[30:]), kind, content_encoding="gzip"), stream=stream)
    assert isinstance(error, (ResponseValidationError, StreamInterruptedError))


@EVERY
@pytest.mark.parametrize("stream", [False, True])
async def test_compression_that_is_none(wire: Wire, stream: bool) -> None:
    body = b"".join(wire.stream) if stream else to_json(wire.whole)
    kind = wire.stream_type if stream else "application/json"
    error = await failing(wire, Vendor(Body(body), kind, content_encoding="gzip"), stream=stream)
    assert isinstance(error, ResponseValidationError)


@EVERY
async def test_an_answer_of_ten_megabytes(wire: Wire) -> None:
    """On one line, as all JSON comes, in pieces of a socket's size."""
    text = "x" * (10 << 20)
    body = to_json(wire.whole).replace(b"Hello", text.encode())
    pieces = [body[start : start + 65_536] for start in range(0, len(body), 65_536)]
    assert (await send(wire, answers(wire, *pieces))).text == text


@pytest.mark.parametrize("wire", [wire for wire in WIRES.values() if wire.vendor.name != "bedrock"], ids=_label)
async def test_a_line_of_ten_megabytes_in_a_stream(wire: Wire) -> None:
    text = b"x" * (10 << 20)
    big = wire.text[0].replace(b"Hel", text)
    pieces = [big[start : start + 65_536] for start in range(0, len(big), 65_536)]
    stream = await send(wire, streams(wire, wire.head, *pieces, wire.text[1], *wire.end), stream=True)
    assert [len(chunk.text) async for chunk in stream if len(chunk.text) > 5] == [len(text)]


@EVERY
async def test_a_line_without_an_end(wire: Wire) -> None:
    head = b"\x00\xff\xff\xff" if wire.vendor.name == "bedrock" else b'data: {"x": "'
    vendor = Vendor(Endless(head, b"x" * (1 << 20)), wire.stream_type)
    assert isinstance(await failing(wire, vendor, stream=True), (ResponseValidationError, StreamInterruptedError))


@EVERY
@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_that_is_longer_than_allowed(wire: Wire, stream: bool) -> None:
    vendor = Vendor(
        Endless(wire.head, wire.text[0]) if stream else Body(to_json({**wire.whole, "x": "y" * 9000})),
        wire.stream_type if stream else "application/json",
    )
    error = await failing(wire, vendor, stream=stream, max_response_bytes=5000)
    assert isinstance(error, ResponseValidationError)
    assert "5000 bytes" in str(error)


@EVERY
async def test_a_stream_that_never_ends_is_stopped_and_what_had_arrived_is_kept(wire: Wire) -> None:
    vendor = streams(wire, wire.head, *wire.text, hang=True)
    stream = await send(wire, vendor, stream=True, limits=Limits(between_chunks_s=0.05))
    with pytest.raises(APITimeoutError) as raised:
        await stream.response()
    assert raised.value.partial is not None
    assert raised.value.partial.text == "Hello"
    assert vendor.body.closed == 1


@EVERY
async def test_a_stream_that_repeats_itself_for_ever_is_stopped_by_the_deadline(wire: Wire) -> None:
    vendor = Vendor(Endless(wire.head, wire.text[0]), wire.stream_type)
    request = ChatRequest.model_validate({"model": "m", "messages": [{"role": "user", "content": "x"}], "stream": True})
    options = CallOptions(settings={"api": wire.vendor.api} if wire.vendor.api != "chat" else {})
    call = Call.start(request, options=options, timeout_s=0.2).with_target(wire.vendor.call(request).target)
    target = HTTPProvider(
        row_of(wire.vendor.name), wire.vendor.codec, api_key="k" * 12, base_url="https://x.test", transport=vendor
    )
    with pytest.raises(APITimeoutError) as raised:
        await (await attempt(call, target.name, target)).response()
    assert raised.value.partial is not None
    assert raised.value.partial.text.startswith("HelHel")
    assert vendor.body.closed == 1


@EVERY
async def test_an_answer_that_never_ends_is_stopped(wire: Wire) -> None:
    vendor = Vendor(Body(to_json(wire.whole)[:20], hang=True), "application/json")
    with pytest.raises(APITimeoutError):
        await send(wire, vendor, limits=Limits(first_chunk_s=0.05))
    assert vendor.body.closed == 1


@EVERY
@pytest.mark.parametrize("pieces", [1, 2, 3])
async def test_a_stream_that_is_cut_keeps_what_had_arrived(wire: Wire, pieces: int) -> None:
    """Cut at an event's border, or inside the next one."""
    said = [wire.head, *wire.text]
    for rest in (b"", wire.end[0][: len(wire.end[0]) // 2]):
        error = await failing(wire, streams(wire, *said[:pieces], rest), stream=True)
        assert isinstance(error, StreamInterruptedError)
        texts = "" if error.partial is None else error.partial.text
        assert texts == "Hello"[: (0, 3, 5)[pieces - 1]]


@EVERY
async def test_a_connection_that_breaks_keeps_what_had_arrived(wire: Wire) -> None:
    vendor = streams(wire, wire.head, *wire.text, error=httpx.ReadError("gone"))
    error = await failing(wire, vendor, stream=True)
    assert isinstance(error, StreamInterruptedError)
    assert error.partial is not None
    assert error.partial.text == "Hello"


@EVERY
async def test_an_empty_stream(wire: Wire) -> None:
    assert isinstance(await failing(wire, streams(wire), stream=True), StreamInterruptedError)


@EVERY
async def test_nonsense_in_a_stream_keeps_what_had_arrived(wire: Wire) -> None:
    nonsense = {
        "bedrock": b"\x00\x00\x00\x20\x00\x00\x00\x05garbage!garbage!garbage!",
        "ollama": b"{broken\n",
    }.get(wire.vendor.name, b"data: {broken\n\n")
    error = await failing(wire, streams(wire, wire.head, *wire.text, nonsense, *wire.end), stream=True)
    assert isinstance(error, (ResponseValidationError, StreamInterruptedError))
    assert error.partial is not None
    assert error.partial.text == "Hello"


@EVERY
async def test_a_terminator_that_comes_twice_ends_it_once(wire: Wire) -> None:
    twice = [*wire.stream, wire.terminator or wire.end[-1], wire.terminator or wire.end[-1]]
    answer = await (await send(wire, streams(wire, *twice), stream=True)).response()
    assert (answer.text, answer.finish_reason, answer.usage.completion_tokens) == ("Hello", "stop", 2)


@EVERY
async def test_a_stream_without_its_terminator_is_complete(wire: Wire) -> None:
    answer = await (await send(wire, streams(wire, wire.head, *wire.text, *wire.end), stream=True)).response()
    assert (answer.text, answer.finish_reason) == ("Hello", "stop")


@EVERY
async def test_tokens_that_nobody_counted_are_not_zero(wire: Wire) -> None:
    whole = await send(wire, answers(wire, to_json(wire.uncounted)))
    pieces = [wire.head, *wire.text, *wire.uncounted_end, wire.terminator]
    streamed = await (await send(wire, streams(wire, *pieces), stream=True)).response()
    assert whole.text == streamed.text == "Hello"
    assert whole.usage is None or whole.usage.completion_tokens is None
    assert streamed.usage is None or streamed.usage.completion_tokens is None


@EVERY
async def test_each_stream_read_byte_by_byte_is_the_same(wire: Wire) -> None:
    data = b"".join(wire.stream)
    pieces = [data[place : place + 1] for place in range(len(data))]
    answer = await (await send(wire, streams(wire, *pieces), stream=True)).response()
    assert (answer.text, answer.finish_reason) == ("Hello", "stop")
