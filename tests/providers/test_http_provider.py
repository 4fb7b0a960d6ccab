"""One provider over HTTP: what it sends, what it makes of answers, and that it lets go of every connection."""

from __future__ import annotations

import asyncio
import gc
import gzip
import pickle
import subprocess
import sys
import traceback
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from pydantic import SecretStr
from pydantic_core import to_json

from glassway.pipeline.attempts import attempt
from glassway.pipeline.call import Call, CallOptions, Limits
from glassway.pipeline.errors import (
    APIConnectionError,
    APIError,
    APITimeoutError,
    AuthenticationError,
    ConfigError,
    ContentPolicyError,
    ContextWindowExceededError,
    InternalServerError,
    RateLimitError,
    ResponseValidationError,
    ServiceUnavailableError,
    StreamInterruptedError,
)
from glassway.pipeline.facts import ATTEMPTS
from glassway.pipeline.pipeline import Pipeline
from glassway.pipeline.stream import Stream
from glassway.pipeline.types import ChatRequest, ChatResponse
from glassway.providers import HTTPProvider, OpenAI, OpenAICompatible, Simulated, every_provider, provider

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

pytestmark = pytest.mark.anyio

KEY = "sk-canary-0123456789abcdef"
PROMPT = "the secret plan of the canary"
ANSWER = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "gpt-x-2026",
    "service_tier": "default",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hello"}}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
}
SSE = {"content-type": "text/event-stream"}
JSON = {"content-type": "application/json", "x-request-id": "req_1"}


def piece(text: str | None, finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": {"content": text} if text else {}, "finish_reason": finish}
    return b"data: " + to_json({"id": "c1", "model": "gpt-x", "created": 1, "choices": [choice]}) + b"\n\n"


EVENTS = [piece("Hel"), piece("lo"), piece(None, "stop"), b"data: [DONE]\n\n"]


class Wire(httpx.AsyncByteStream):
    """A body in pieces; counts how often it is let go, and may break or wait behind the last piece."""

    def __init__(self, pieces: list[bytes], error: Exception | None = None, hang: bool = False) -> None:
        self.pieces, self.error, self.hang, self.closed = pieces, error, hang, 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for part in self.pieces:
            yield part
        if self.hang:
            await asyncio.Event().wait()
        if self.error is not None:
            raise self.error

    async def aclose(self) -> None:
        self.closed += 1


class Vendor(httpx.AsyncBaseTransport):
    """Answers every request alike, and keeps the requests."""

    def __init__(
        self, status: int = 200, headers: dict[str, str] | None = None, wire: Wire | Exception | None = None
    ) -> None:
        self.status, self.headers, self.wire = status, headers or JSON, wire
        self.requests: list[httpx.Request] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if isinstance(self.wire, Exception):
            raise self.wire
        return httpx.Response(self.status, headers=self.headers, stream=self.wire or Wire([to_json(ANSWER)]))


def whole(body: bytes, status: int = 200, **headers: str) -> Vendor:
    return Vendor(status, {**JSON, **{name.replace("_", "-"): value for name, value in headers.items()}}, Wire([body]))


def streaming(*pieces: bytes, error: Exception | None = None, hang: bool = False, **headers: str) -> Vendor:
    return Vendor(200, {**SSE, **headers}, Wire(list(pieces), error, hang))


def call(*, stream: bool = False, options: CallOptions = CallOptions(), **fields: Any) -> Call:  # noqa: B008 - frozen
    data = {"model": "gpt-x", "messages": [{"role": "user", "content": PROMPT}], "stream": stream, **fields}
    return Call.start(ChatRequest.model_validate(data), options=options)


async def send(vendor: httpx.AsyncBaseTransport, view: Call | None = None, **settings: Any) -> Any:
    target = OpenAI(api_key=KEY, transport=vendor, **settings)
    return await attempt(view or call(), target.name, target)


async def failing(vendor: Vendor, view: Call | None = None, **settings: Any) -> Exception:
    with pytest.raises(APIError) as caught:
        await (await send(vendor, view, **settings)).response()
    return caught.value


# -- what is sent


async def test_the_request_goes_to_the_vendors_address_with_the_key() -> None:
    vendor = Vendor()
    await send(vendor)
    request = vendor.requests[0]
    assert (request.method, str(request.url)) == ("POST", "https://api.openai.com/v1/chat/completions")
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.headers["content-length"] == str(len(request.content))
    assert request.headers["host"] == "api.openai.com"
    assert "baggage" not in request.headers


@pytest.mark.parametrize(
    ("base_url", "url"),
    [
        ("http://h:1/v1", "http://h:1/v1/chat/completions"),
        ("http://h:1/v1/", "http://h:1/v1/chat/completions"),
        ("https://h", "https://h/chat/completions"),
        ("https://h/a%20b?api-version=1", "https://h/a%20b/chat/completions?api-version=1"),
    ],
)
async def test_a_base_url_of_the_users_own(base_url: str, url: str) -> None:
    vendor = Vendor()
    await send(vendor, base_url=base_url)
    assert str(vendor.requests[0].url) == url


async def test_options_of_a_call_override_key_base_url_and_headers() -> None:
    vendor = Vendor()
    options = CallOptions(
        api_key=SecretStr("sk-other"), base_url="http://other:2/v9", headers={"X-Team": "a", "User-Agent": "me"}
    )
    await send(vendor, call(options=options), headers={"x-team": "b", "x-more": "c"})
    request = vendor.requests[0]
    assert str(request.url) == "http://other:2/v9/chat/completions"
    assert request.headers["authorization"] == "Bearer sk-other"
    assert (request.headers.get_list("x-team"), request.headers["x-more"]) == (["a"], "c")
    assert request.headers.get_list("user-agent") == ["me"]


async def test_the_key_is_read_from_the_vendors_variable_at_each_call(monkeypatch: pytest.MonkeyPatch) -> None:
    vendor = Vendor()
    target = OpenAI(transport=vendor)
    for key in ("sk-first", "sk-second"):
        monkeypatch.setenv("OPENAI_API_KEY", key)
        await target(call())
    assert [r.headers["authorization"] for r in vendor.requests] == ["Bearer sk-first", "Bearer sk-second"]


async def test_a_missing_key_names_the_variable_and_sends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    vendor = Vendor()
    with pytest.raises(ConfigError, match="OPENAI_API_KEY"):
        await OpenAI(transport=vendor)(call())
    assert vendor.requests == []


async def test_a_local_server_needs_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VLLM_API_KEY", raising=False)
    vendor = Vendor()
    await provider("hosted_vllm", transport=vendor)(call())
    assert "authorization" not in vendor.requests[0].headers
    assert str(vendor.requests[0].url) == "http://localhost:8000/v1/chat/completions"


@pytest.mark.parametrize("key", ["sk-a b", "sk-a\nx: y", "sk-é"])
async def test_a_key_that_cannot_be_a_header_is_refused_without_being_shown(key: str) -> None:
    with pytest.raises(ConfigError, match="key for openai") as caught:
        await OpenAI(api_key=key, transport=Vendor())(call())
    assert key not in "".join(traceback.format_exception(caught.value))


async def test_connecting_is_limited_by_the_nearest_limit() -> None:
    vendor = Vendor()
    view = call().with_limits(Limits(connect_s=2.0))
    await send(vendor, view, connect_s=7.0)
    await send(vendor, view.within(1.0), connect_s=7.0)
    connect = [request.extensions["timeout"]["connect"] for request in vendor.requests]
    assert connect[0] == 2.0
    assert 0 < connect[1] <= 1.0


async def test_the_attempt_says_where_it_went_and_what_came() -> None:
    view = call()
    await send(Vendor(), view, base_url="http://h:8/v1")
    made = view.trail(ATTEMPTS)[0]
    assert (made.server_address, made.server_port, made.http_method) == ("h", 8, "POST")
    assert (made.status_code, made.request_id, made.vendor) == (200, "req_1", "openai")
    assert (made.response_id, made.response_model, made.service_tier) == ("chatcmpl-1", "gpt-x-2026", "default")


async def test_the_attempt_of_a_stream_is_filled_in_too() -> None:
    view = call(stream=True)
    stream = await send(streaming(*EVENTS), view)
    made = view.trail(ATTEMPTS)[0]
    assert (made.response_id, made.response_model, made.server_port) == ("c1", "gpt-x", 443)
    await stream.response()


async def test_a_preview_masks_credentials_and_sends_nothing() -> None:
    vendor = Vendor()
    target = OpenAI(
        api_key=KEY, transport=vendor, base_url="http://me:word@h/v1?sig=abcdef", headers={"x-secret": "hidden"}
    )
    shown = target.preview(call(top_k=1))
    assert (shown["method"], shown["url"]) == ("POST", "http://h/v1/chat/completions?sig=***")
    assert (shown["headers"]["authorization"], shown["headers"]["x-secret"]) == ("***", "***")
    assert shown["body"]["messages"] == [{"role": "user", "content": PROMPT}]
    assert vendor.requests == []


async def test_a_preview_needs_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    assert "OPENAI_API_KEY" in OpenAI(transport=Vendor()).preview(call())["headers"]["authorization"]


# -- answers


async def test_an_answer() -> None:
    reply = await send(Vendor())
    assert isinstance(reply, ChatResponse)
    assert (reply.text, reply.usage and reply.usage.total_tokens, reply.finish_reason) == ("Hello", 2, "stop")


async def test_a_stream() -> None:
    stream = await send(streaming(*EVENTS), call(stream=True))
    assert [chunk.text async for chunk in stream] == ["Hel", "lo", ""]
    assert (await stream.response()).text == "Hello"


async def test_a_compressed_answer() -> None:
    reply = await send(whole(gzip.compress(to_json(ANSWER)), content_encoding="gzip"))
    assert reply.text == "Hello"


async def test_a_compressed_stream() -> None:
    packed = gzip.compress(b"".join(EVENTS))
    vendor = Vendor(200, {**SSE, "content-encoding": "gzip"}, Wire([packed[:20], packed[20:]]))
    assert (await (await send(vendor, call(stream=True))).response()).text == "Hello"


async def test_what_follows_the_terminator_is_ignored() -> None:
    stream = await send(streaming(*EVENTS, b"data: [DONE]\n\n", piece("more")), call(stream=True))
    assert (await stream.response()).text == "Hello"


BAD_BODIES: dict[str, tuple[Callable[[], Vendor], bool]] = {
    "no choices": (lambda: whole(b'{"id":"x"}'), False),
    "choices of another type": (lambda: whole(b'{"choices":[1]}'), False),
    "a message of another type": (lambda: whole(b'{"choices":[{"message":"x"}]}'), False),
    "broken JSON in a stream": (lambda: streaming(b"data: {broken\n\n"), True),
    "a number in a stream": (lambda: streaming(b"data: 1\n\n"), True),
    "a redirect": (lambda: whole(b"", status=302, location="http://other/"), False),
}


@pytest.mark.parametrize("case", BAD_BODIES)
async def test_a_bad_body_is_a_bad_response_and_the_connection_is_let_go(case: str) -> None:
    make, stream = BAD_BODIES[case]
    vendor = make()
    error = await failing(vendor, call(stream=stream))
    assert isinstance(error, ResponseValidationError)
    assert isinstance(vendor.wire, Wire)
    assert vendor.wire.closed == 1


async def test_an_error_inside_a_good_status_is_that_error() -> None:
    body = to_json({"error": {"message": "You exceeded your current quota", "type": "insufficient_quota"}})
    error = await failing(whole(body))
    assert (type(error), error.retryable) == (RateLimitError, False)  # type: ignore[attr-defined]


async def test_an_error_that_answers_a_stream_as_json_is_that_error() -> None:
    error = await failing(whole(b'{"error":{"message":"busy","code":503}}'), call(stream=True))
    assert error.status_code == 503  # type: ignore[attr-defined]


async def test_an_overloaded_vendor_may_say_so_inside_a_stream() -> None:
    error = await failing(
        streaming(b'data: {"error":{"message":"The engine is currently overloaded"}}\n\n'), call(stream=True)
    )
    assert isinstance(error, ServiceUnavailableError)


async def test_an_error_event_keeps_what_had_arrived() -> None:
    event = b'data: {"error":{"message":"busy","code":502}}\n\n'
    stream = await send(streaming(piece("Hel"), event), call(stream=True))
    with pytest.raises(InternalServerError) as caught:
        await stream.response()
    assert caught.value.status_code == 502
    assert caught.value.partial is not None
    assert caught.value.partial.text == "Hel"


# -- errors of a status


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, {"error": {"code": "context_length_exceeded", "message": "too long"}}, ContextWindowExceededError),
        (
            400,
            {"error": {"message": "This model's maximum context length is 8192 tokens."}},
            ContextWindowExceededError,
        ),
        (
            400,
            {"error": {"type": "exceed_context_size_error", "message": "request (9 tokens)"}},
            ContextWindowExceededError,
        ),
        (
            400,
            {"error": {"code": "content_filter", "innererror": {"code": "ResponsibleAIPolicyViolation"}}},
            ContentPolicyError,
        ),
        (400, {"error": {"message": "Content Exists Risk"}}, ContentPolicyError),
        (
            400,
            {"code": "Client specified an invalid argument", "error": "Incorrect API key provided: xa***1."},
            AuthenticationError,
        ),
        (402, {"error": {"message": "Insufficient Balance"}}, RateLimitError),
        (500, {"detail": [{"loc": ["body", "n"], "msg": "bad", "input": PROMPT}]}, InternalServerError),
    ],
)
async def test_an_error_says_what_it_means(status: int, body: dict[str, Any], kind: type[APIError]) -> None:
    error = await failing(whole(to_json(body), status))
    assert type(error) is kind
    assert (error.status_code, error.request_id, error.provider) == (status, "req_1", "openai")


@pytest.mark.parametrize(
    "body", [b"", b"null", b"[]", b'"text"', b"<html>", b"\xff\xfe", b'{"error":null}', b'{"detail":[1,{"loc":3}]}']
)
async def test_an_error_of_any_shape_has_its_status(body: bytes) -> None:
    assert (await failing(whole(body, 500))).status_code == 500  # type: ignore[attr-defined]


@pytest.mark.parametrize("text", [KEY, PROMPT, f"Bearer {KEY}", f"You said: {PROMPT}"])
@pytest.mark.parametrize("status", [400, 401, 422, 500])
async def test_no_error_repeats_the_key_or_the_prompt(text: str, status: int) -> None:
    error = await failing(whole(to_json({"error": {"message": f"Bad: {text}", "type": text, "code": text}}), status))
    shown = "".join(traceback.format_exception(error)) + repr(error) + repr(vars(error)) + repr(pickle.dumps(error))
    assert KEY not in shown
    assert PROMPT not in shown


async def test_no_repr_shows_the_key() -> None:
    target = OpenAI(api_key=KEY, transport=Vendor(), base_url="http://me:word@h/v1?key=abc", headers={"x": "hidden"})
    for shown in (repr(target), repr(vars(target)["_address"]), repr(Pipeline([], providers=[target]))):
        assert not [secret for secret in (KEY, "word", "abc", "hidden") if secret in shown]


# -- the connection


NO_CONNECTION: list[tuple[Exception, type[APIError], bool]] = [
    (httpx.ConnectError("x"), APIConnectionError, True),
    (httpx.ConnectTimeout("x"), APITimeoutError, True),
    (httpx.PoolTimeout("x"), APITimeoutError, True),
    (httpx.ReadTimeout("x"), APITimeoutError, True),
    (httpx.ReadError("x"), APIConnectionError, True),
    (httpx.RemoteProtocolError("x"), APIConnectionError, True),
    (httpx.ProxyError("x"), APIConnectionError, True),
    (httpx.UnsupportedProtocol("x"), APIConnectionError, False),
]


@pytest.mark.parametrize(
    ("raised", "kind", "retryable"), NO_CONNECTION, ids=lambda value: getattr(type(value), "__name__", "")
)
async def test_a_transports_error_is_ours_with_its_cause(
    raised: Exception, kind: type[APIError], retryable: bool
) -> None:
    error = await failing(Vendor(wire=raised), base_url="http://h:9/v1?sig=hidden")
    assert (type(error), error.retryable, error.__cause__) == (kind, retryable, raised)  # type: ignore[attr-defined]
    assert "h:9" in str(error)
    assert "hidden" not in str(error)


async def test_an_illegal_header_is_not_quoted() -> None:
    error = await failing(Vendor(wire=httpx.LocalProtocolError(f"Illegal header value b'{KEY}'")))
    assert KEY not in "".join(traceback.format_exception(error))


async def test_a_break_before_the_first_chunk_is_a_connection_error() -> None:
    vendor = streaming(error=httpx.ReadError("x"))
    error = await failing(vendor, call(stream=True))
    assert type(error) is APIConnectionError
    assert isinstance(vendor.wire, Wire)
    assert vendor.wire.closed == 1


async def test_a_break_behind_the_first_chunk_interrupts_the_stream() -> None:
    stream = await send(streaming(piece("Hel"), error=httpx.RemoteProtocolError("x")), call(stream=True))
    with pytest.raises(StreamInterruptedError) as caught:
        await stream.response()
    assert caught.value.partial is not None
    assert caught.value.partial.text == "Hel"


@pytest.mark.parametrize("last", [b"", b"data: [DONE]\n\n", b'data: {"choi'])
async def test_a_stream_without_a_finish_reason_is_interrupted(last: bytes) -> None:
    stream = await send(streaming(piece("Hel"), last), call(stream=True))
    with pytest.raises(StreamInterruptedError):
        await stream.response()


async def test_a_stream_without_a_terminator_is_complete_by_its_finish_reason() -> None:
    stream = await send(streaming(*EVENTS[:3]), call(stream=True))
    assert (await stream.response()).finish_reason == "stop"


async def test_an_empty_stream_is_interrupted_before_output() -> None:
    assert type(await failing(streaming(), call(stream=True))) is StreamInterruptedError


# -- every ending lets go, once


async def test_a_whole_answer_lets_go() -> None:
    vendor = Vendor(wire=Wire([to_json(ANSWER)]))
    await send(vendor)
    assert vendor.wire.closed == 1  # type: ignore[union-attr]


async def test_an_error_status_lets_go() -> None:
    vendor = whole(b"{}", 500)
    await failing(vendor)
    assert vendor.wire.closed == 1  # type: ignore[union-attr]


async def _complete(stream: Stream) -> None:
    await stream.response()


async def _close_early(stream: Stream) -> None:
    await anext(stream)
    await stream.aclose()
    await stream.aclose()


async def _close_unread(stream: Stream) -> None:
    async with stream:
        pass


async def _cancel(stream: Stream) -> None:
    task = asyncio.ensure_future(stream.response())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("ending", [_complete, _close_early, _close_unread, _cancel], ids=lambda f: f.__name__)
async def test_each_ending_of_a_stream_lets_go_once(ending: Callable[[Stream], Any]) -> None:
    vendor = streaming(*EVENTS, hang=ending is _cancel)
    await ending(await send(vendor, call(stream=True)))
    assert vendor.wire.closed == 1  # type: ignore[union-attr]


async def test_a_dropped_stream_lets_go() -> None:
    vendor = streaming(*EVENTS, hang=True)
    stream = await send(vendor, call(stream=True))
    await anext(stream)
    del stream
    gc.collect()
    for _ in range(5):
        await asyncio.sleep(0)
    assert vendor.wire.closed == 1  # type: ignore[union-attr]


async def test_a_cancelled_wait_for_the_first_chunk_lets_go() -> None:
    vendor = streaming(hang=True)
    task = asyncio.ensure_future(send(vendor, call(stream=True)))
    for _ in range(5):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert vendor.wire.closed == 1  # type: ignore[union-attr]


# -- the vendor itself


async def test_models_are_listed() -> None:
    for body in (
        b'{"data":[{"id":"a"},{"id":"b"}]}',
        b'[{"id":"a"},{"id":"b"}]',
        b'{"models":[{"name":"a"},{"id":"b"}]}',
    ):
        assert await OpenAI(api_key=KEY, transport=whole(body)).list_models() == ("a", "b")


async def test_availability_says_why_not() -> None:
    assert await OpenAI(api_key=KEY, transport=whole(b'{"data":[{"id":"a"}]}')).available() == (True, "1 models")
    down = await OpenAI(api_key=KEY, transport=Vendor(wire=httpx.ConnectError("x"))).available()
    assert (bool(down), down.reason.split(":")[0]) == (False, "connect")
    wrong = await OpenAI(api_key=KEY, transport=whole(b'{"error":{"message":"no"}}', 401)).available()
    assert (bool(wrong), wrong.reason.split(":")[0]) == (False, "auth")


async def test_availability_of_a_vendor_without_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    found = await OpenAI(transport=Vendor()).available()
    assert not found.available
    assert "OPENAI_API_KEY" in found.reason


# -- making providers


async def test_a_compatible_server_needs_an_address() -> None:
    with pytest.raises(ConfigError, match="base_url"):
        OpenAICompatible()


@pytest.mark.parametrize("base_url", ["localhost:8000", "ftp://h", "http://", "http://h:port"])
async def test_an_address_that_is_none_is_refused(base_url: str) -> None:
    with pytest.raises(ConfigError, match="base_url"):
        await OpenAICompatible(base_url=base_url, transport=Vendor())(call())


async def test_an_unknown_vendor_names_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="openai, anthropic"):
        provider("nobody")


async def test_a_provider_may_have_a_name_of_its_own() -> None:
    pipeline = Pipeline(
        [], providers=[OpenAI(api_key=KEY, transport=Vendor(), name="box"), OpenAI(api_key=KEY, transport=Vendor())]
    )
    request = ChatRequest.model_validate({"model": "box/gpt-x", "messages": [{"role": "user", "content": "x"}]})
    reply = await pipeline.send(request)
    assert isinstance(reply, ChatResponse)
    assert reply.provider == "box"
    await pipeline.aclose()


async def test_every_vendor_with_an_address_is_made_without_a_key() -> None:
    made = every_provider()
    assert made[0].name == "openai"
    assert all(isinstance(one, HTTPProvider) for one in made)


@pytest.mark.parametrize("dialect", ["openai", "anthropic"])
@pytest.mark.parametrize("stream", [False, True])
async def test_the_simulated_vendor_answers_in_process(dialect: Any, stream: bool) -> None:
    pipeline = Pipeline([], providers=[Simulated(dialect=dialect)])
    request = ChatRequest.model_validate(
        {"model": "m", "max_tokens": 50, "stream": stream, "messages": [{"role": "user", "content": "Hello"}]}
    )
    reply = await pipeline.send(request)
    response = await reply.response() if isinstance(reply, Stream) else reply
    assert isinstance(response, ChatResponse)
    assert response.text
    assert response.usage is not None
    await pipeline.aclose()


def test_importing_the_providers_loads_no_httpx() -> None:
    code = "import sys, glassway.providers, glassway.providers.catalogue; print('httpx' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
