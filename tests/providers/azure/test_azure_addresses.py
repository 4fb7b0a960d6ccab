"""Azure OpenAI: where a call goes and what it carries, as the official client sends it, and over a real socket."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import httpx
import httpx2
import openai
import pytest
from pydantic import SecretStr

from glassway.pipeline.attempts import attempt
from glassway.pipeline.call import Call, CallOptions
from glassway.pipeline.errors import BadRequestError, ConfigError
from glassway.pipeline.pipeline import Pipeline
from glassway.pipeline.types import ChatRequest, ChatResponse
from glassway.providers import AzureOpenAI, HTTPProvider, every_provider, provider

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.anyio

KEY = "0123456789abcdef0123456789abcdef"
TOKEN = "eyJhbGciOiJub25lIn0.eyJhdWQiOiJ4In0.c2ln"
ENDPOINT = "https://example-resource.openai.azure.com"
DATED = "2024-12-01-preview"
ANSWER = {
    "id": "chatcmpl-1",
    "model": "gpt-4o-2024-11-20",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hello"}}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
}
RESPONSE = {
    "id": "resp_1",
    "model": "gpt-4o",
    "status": "completed",
    "output": [{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hello"}]}],
}


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AZURE_OPENAI_ENDPOINT", "AZURE_OPENAI_API_KEY", "AZURE_OPENAI_AD_TOKEN", "OPENAI_API_VERSION"):
        monkeypatch.delenv(name, raising=False)


class Vendor(httpx.AsyncBaseTransport):
    """Keeps the requests, and answers each in its own protocol."""

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return httpx.Response(200, json=RESPONSE if request.url.path.endswith("/responses") else ANSWER)


async def went(options: CallOptions | None = None, model: str = "my-gpt", **settings: Any) -> httpx.Request:
    vendor = Vendor()
    settings = {"base_url": ENDPOINT, "api_key": KEY} | settings
    target = AzureOpenAI(transport=vendor, **settings)
    request = ChatRequest.model_validate({"model": model, "messages": [{"role": "user", "content": "x"}]})
    await attempt(Call.start(request, options=options or CallOptions()), target.name, target)
    return vendor.requests[0]


def official(path: str, **settings: Any) -> str:
    """Where the official client goes."""
    seen: list[str] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        seen.append(str(request.url))
        assert request.headers["api-key"] == KEY
        return httpx2.Response(200, json=RESPONSE if "/responses" in str(request.url) else ANSWER)

    http = httpx2.Client(transport=httpx2.MockTransport(answer))
    with openai.AzureOpenAI(azure_endpoint=ENDPOINT, api_key=KEY, api_version=DATED, http_client=http) as client:
        if path == "responses":
            client.responses.create(model="my-gpt", input="x")
        else:
            client.chat.completions.create(model="my-gpt", messages=[{"role": "user", "content": "x"}])
    return seen[0]


# -- URLs


@pytest.mark.parametrize("api", ["chat", "responses"])
async def test_with_a_dated_version_it_goes_where_the_official_client_goes(api: Any) -> None:
    request = await went(api=api, api_version=DATED)
    assert str(request.url) == official(api)


async def test_without_a_version_it_goes_to_the_newer_addresses() -> None:
    assert str((await went()).url) == f"{ENDPOINT}/openai/v1/chat/completions"
    assert str((await went(api="responses")).url) == f"{ENDPOINT}/openai/v1/responses"


DEPLOYED = f"{ENDPOINT}/openai/deployments/my-gpt/chat/completions?api-version={DATED}"
FOUNDRY = "https://example-resource.services.ai.azure.com/models"


@pytest.mark.parametrize(
    ("base_url", "api_version", "url"),
    [
        (ENDPOINT, DATED, DEPLOYED),
        (f"{ENDPOINT}/", DATED, DEPLOYED),
        (f"{ENDPOINT}?api-version={DATED}", None, DEPLOYED),
        (f"{ENDPOINT}?api-version={DATED}", "2020-01-01", DEPLOYED),
        (f"{ENDPOINT}/openai/deployments/my-gpt", DATED, DEPLOYED),
        (ENDPOINT, "v1", f"{ENDPOINT}/openai/v1/chat/completions"),
        (ENDPOINT, "preview", f"{ENDPOINT}/openai/v1/chat/completions?api-version=preview"),
        (f"{ENDPOINT}/openai/v1/", None, f"{ENDPOINT}/openai/v1/chat/completions"),
        (f"{ENDPOINT}/openai/v1", DATED, f"{ENDPOINT}/openai/v1/chat/completions"),
        (FOUNDRY, "2024-05-01-preview", f"{FOUNDRY}/chat/completions?api-version=2024-05-01-preview"),
    ],
)
async def test_whatever_form_of_the_endpoint_is_given(base_url: str, api_version: str | None, url: str) -> None:
    assert str((await went(base_url=base_url, api_version=api_version)).url) == url


async def test_a_call_may_name_version_deployment_and_api() -> None:
    options = CallOptions(settings={"api_version": "2025-03-01-preview", "deployment": "other one"})
    request = await went(options, api_version=DATED)
    assert request.url.raw_path == b"/openai/deployments/other%20one/chat/completions?api-version=2025-03-01-preview"
    request = await went(CallOptions(settings={"api": "responses"}), api_version=DATED)
    assert request.url.path == "/openai/responses"
    assert json.loads(request.content) == {"model": "my-gpt", "input": [{"role": "user", "content": "x"}]}


async def test_an_api_that_is_none() -> None:
    with pytest.raises(BadRequestError, match="'chat' or 'responses'"):
        await went(CallOptions(settings={"api": "assistants"}))
    with pytest.raises(ConfigError, match="'responses'"):
        provider("anthropic", api="responses")
    with pytest.raises(ConfigError, match="azure only"):
        provider("openai", api_version=DATED)


async def test_version_and_endpoint_come_from_the_vendors_own_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", "https://from-env.openai.azure.com/")
    monkeypatch.setenv("OPENAI_API_VERSION", "2024-02-01")
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", KEY)
    request = await went(base_url=None, api_key=None)
    assert str(request.url) == (
        "https://from-env.openai.azure.com/openai/deployments/my-gpt/chat/completions?api-version=2024-02-01"
    )
    assert request.headers["api-key"] == KEY


async def test_without_an_endpoint_the_error_names_the_variable() -> None:
    with pytest.raises(ConfigError, match="AZURE_OPENAI_ENDPOINT"):
        await went(base_url=None)
    assert "AZURE_OPENAI_ENDPOINT" in repr(AzureOpenAI())


async def test_one_call_may_go_to_another_resource() -> None:
    request = await went(CallOptions(base_url="https://other.openai.azure.com"), api_version=DATED)
    assert request.url.host == "other.openai.azure.com"
    assert request.url.path == "/openai/deployments/my-gpt/chat/completions"


# -- credentials


async def test_a_key_has_a_header_of_its_own() -> None:
    headers = (await went()).headers
    assert headers["api-key"] == KEY
    assert "authorization" not in headers


async def test_a_token_of_entra_id_is_a_bearers(monkeypatch: pytest.MonkeyPatch) -> None:
    for headers in (
        (await went(api_key=TOKEN)).headers,
        (await went(CallOptions(api_key=SecretStr(TOKEN)))).headers,
    ):
        assert headers["authorization"] == f"Bearer {TOKEN}"
        assert "api-key" not in headers
    monkeypatch.setenv("AZURE_OPENAI_AD_TOKEN", TOKEN)
    assert (await went(api_key=None)).headers["authorization"] == f"Bearer {TOKEN}"


async def test_a_preview_shows_no_key() -> None:
    target = AzureOpenAI(base_url=ENDPOINT, api_key=KEY, api_version=DATED)
    request = ChatRequest.model_validate({"model": "my-gpt", "messages": [{"role": "user", "content": "x"}]})
    shown = target.preview(Call.start(request))
    assert shown["url"] == f"{ENDPOINT}/openai/deployments/my-gpt/chat/completions?api-version=***"
    assert KEY not in str(shown)


# -- as a part of the whole


async def test_the_models_label_is_the_deployment() -> None:
    async with Pipeline([], providers=[AzureOpenAI(base_url=ENDPOINT, api_key=KEY, transport=Vendor())]) as pipeline:
        request = {"model": "azure/my-gpt", "messages": [{"role": "user", "content": "x"}]}
        reply = await pipeline.send(ChatRequest.model_validate(request))
    assert isinstance(reply, ChatResponse)
    assert reply.record is not None
    made = reply.record.attempts[0]
    assert (made.provider, made.model, made.vendor, made.response_model) == (
        "azure",
        "my-gpt",
        "azure",
        "gpt-4o-2024-11-20",
    )


@pytest.mark.parametrize("name", ["azure", "azure_openai"])
def test_by_name(name: str) -> None:
    made = provider(name, base_url=ENDPOINT, api_key=KEY, api_version=DATED)
    assert (made.name, made.row.auth) == ("azure", "api-key")
    assert "azure" in {one.name for one in every_provider()}


async def test_the_models_of_a_resource() -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json={"data": [{"id": "gpt-4o"}]})

    for version in (None, DATED):
        made = AzureOpenAI(base_url=ENDPOINT, api_key=KEY, api_version=version, transport=httpx.MockTransport(answer))
        assert await made.list_models() == ("gpt-4o",)
    assert [str(request.url) for request in seen] == [
        f"{ENDPOINT}/openai/v1/models",
        f"{ENDPOINT}/openai/models?api-version={DATED}",
    ]


# -- over a socket


@pytest.fixture
async def listening(each_transport: str) -> AsyncIterator[tuple[int, list[bytes]]]:
    """A server on loopback that answers each request alike, and keeps what came."""
    heads: list[bytes] = []
    body = json.dumps(ANSWER).encode()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n")
        writer.write(b"content-length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1], heads


async def test_url_version_and_header_arrive(listening: tuple[int, list[bytes]]) -> None:
    port, heads = listening
    made: HTTPProvider = AzureOpenAI(base_url=f"http://127.0.0.1:{port}", api_key=KEY, api_version=DATED)
    async with Pipeline([], providers=[made]) as pipeline:
        request = {"model": "azure/my-gpt", "messages": [{"role": "user", "content": "x"}]}
        reply = await pipeline.send(ChatRequest.model_validate(request))
    assert isinstance(reply, ChatResponse)
    assert reply.text == "Hello"
    lines = heads[0].lower().split(b"\r\n")
    assert lines[0] == f"post /openai/deployments/my-gpt/chat/completions?api-version={DATED} http/1.1".encode()
    assert f"api-key: {KEY}".encode() in lines
