"""Ollama as a provider: where requests go, and that lines of JSON are a stream."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from glassway.pipeline.attempts import attempt
from glassway.pipeline.call import Call
from glassway.pipeline.errors import InternalServerError, StreamInterruptedError
from glassway.pipeline.facts import ATTEMPTS
from glassway.pipeline.types import ChatRequest, EmbeddingsRequest
from glassway.providers import provider

pytestmark = pytest.mark.anyio

LINES = (
    b'{"model":"m","created_at":"2026-01-02T03:04:05Z","message":{"role":"assistant","content":"Hi"},"done":false}\n',
    b'{"model":"m","message":{"role":"assistant","content":""},"done":true,"done_reason":"stop","eval_count":1}\n',
)


class Server(httpx.MockTransport):
    """Answers every request alike, and keeps the requests."""

    def __init__(self, body: bytes, content_type: str = "application/x-ndjson") -> None:
        self.requests: list[httpx.Request] = []
        super().__init__(lambda request: self._answer(request, body, content_type))

    def _answer(self, request: httpx.Request, body: bytes, content_type: str) -> httpx.Response:
        self.requests.append(request)
        return httpx.Response(200, headers={"content-type": content_type}, content=body)


def chat(*, stream: bool = True) -> Call:
    asked = {"model": "m", "messages": [{"role": "user", "content": "x"}], "stream": stream}
    return Call.start(ChatRequest.model_validate(asked))


async def send(server: Server, call: Call, **settings: Any) -> Any:
    target = provider("ollama", transport=server, **settings)
    return await attempt(call, target.name, target)


async def test_it_is_asked_at_its_own_address_without_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OLLAMA_HOST", "OLLAMA_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    server, call = Server(b"".join(LINES)), chat()
    answer = await (await send(server, call)).response()
    request = server.requests[0]
    assert (request.method, str(request.url)) == ("POST", "http://localhost:11434/api/chat")
    assert "authorization" not in request.headers
    assert (answer.text, answer.finish_reason) == ("Hi", "stop")
    assert [one.usage_source for one in call.trail(ATTEMPTS)] == ["partial"]


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("http://box:1234", "http://box:1234/api/chat"),
        ("box", "http://box:11434/api/chat"),
        ("box:1234", "http://box:1234/api/chat"),
        ("0.0.0.0", "http://127.0.0.1:11434/api/chat"),
        ("[::1]", "http://[::1]:11434/api/chat"),
        ("", "http://localhost:11434/api/chat"),
    ],
)
async def test_the_servers_own_variable_says_where_it_is(host: str, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", host)
    server = Server(LINES[1], "application/json")
    await send(server, chat(stream=False))
    assert str(server.requests[0].url) == url


async def test_a_key_is_sent_where_there_is_one() -> None:
    server = Server(LINES[1], "application/json")
    await send(server, chat(stream=False), api_key="key-of-the-cloud", base_url="https://ollama.com")
    assert server.requests[0].headers["authorization"] == "Bearer key-of-the-cloud"
    assert str(server.requests[0].url) == "https://ollama.com/api/chat"


async def test_embeddings() -> None:
    server = Server(b'{"model":"m","embeddings":[[0.5]],"prompt_eval_count":2}', "application/json")
    request = EmbeddingsRequest.model_validate({"model": "m", "input": "x"})
    answer = await send(server, Call.start(request))
    assert (server.requests[0].url.path, answer.vector) == ("/api/embed", (0.5,))


async def test_a_stream_that_is_cut_keeps_what_had_arrived() -> None:
    stream = await send(Server(LINES[0]), chat())
    with pytest.raises(StreamInterruptedError) as error:
        await stream.response()
    assert error.value.partial.text == "Hi"


async def test_an_error_instead_of_a_stream_is_raised_at_once() -> None:
    with pytest.raises(InternalServerError, match="broken"):
        await send(Server(b'{"error": "broken"}', "application/json"), chat())


@pytest.mark.parametrize(
    ("base_url", "path"), [("http://h:1", "/api/chat"), ("http://h:1/v1/", "/v1/chat/completions")]
)
async def test_an_address_below_v1_asks_for_its_openai_endpoint(base_url: str, path: str) -> None:
    body = {"message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}
    answers = {**json.loads(LINES[1]), "choices": [body]}
    server = Server(json.dumps(answers).encode(), "application/json")
    await send(server, chat(stream=False), base_url=base_url)
    assert server.requests[0].url.path == path


@pytest.mark.parametrize(
    ("base_url", "path", "body"),
    [
        ("http://h:1", "/api/tags", b'{"models": [{"name": "a:latest", "model": "a:latest"}, {"name": "b:1b"}]}'),
        ("http://h:1/v1", "/v1/models", b'{"data": [{"id": "a:latest"}, {"id": "b:1b"}]}'),
    ],
)
async def test_it_lists_its_models(base_url: str, path: str, body: bytes) -> None:
    server = Server(body, "application/json")
    assert await provider("ollama", transport=server, base_url=base_url).list_models() == ("a:latest", "b:1b")
    assert server.requests[0].url.path == path
