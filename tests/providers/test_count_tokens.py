"""The vendor's own count of a prompt's tokens, and its list of models, as recorded."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import httpx
import pytest

from glassway import Client, Pipeline
from glassway.pipeline.counting import TokenCount
from glassway.pipeline.errors import APIConnectionError, BadRequestError, NotFoundError, ResponseValidationError
from glassway.pipeline.types import ChatRequest
from glassway.providers import provider
from glassway.providers.codecs import gemini_inbound, responses_inbound
from glassway.providers.codecs.anthropic_inbound import canonical_request
from glassway.providers.models import model_ids
from glassway.testing import FakeProvider, Scripted

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).resolve().parents[2]
CORPUS = Path(os.environ.get("GLASSWAY_CORPUS", ROOT.parent / "shared" / "corpus"))
HELLO = ChatRequest.model_validate(
    {"model": "anthropic/claude-haiku-4-5", "messages": [{"role": "user", "content": "Hi"}]}
)


def recorded(pattern: str) -> list[Any]:
    found = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(CORPUS.glob(pattern))]
    skipped = pytest.mark.skip(reason=f"no recorded exchanges at {CORPUS}")
    return [pytest.param(one, id=one["id"]) for one in found] or [pytest.param(None, marks=skipped)]


def answering(
    status: int, body: str | bytes, seen: list[httpx.Request], vendor: str = "anthropic", **settings: Any
) -> Any:
    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(status, content=body, headers={"content-type": "application/json"})

    return provider(vendor, api_key="sk-ant-12345678", transport=httpx.MockTransport(answer), **settings)


@pytest.mark.parametrize("exchange", recorded("anthropic/count-tokens-[0-9]*.json"))
async def test_a_recorded_count(exchange: Any) -> None:
    seen: list[httpx.Request] = []
    asked = exchange["request"]["json"]
    count = await answering(200, exchange["response"]["body_text"], seen).count_tokens(canonical_request(asked))
    assert count == json.loads(exchange["response"]["body_text"])["input_tokens"]
    assert (seen[0].method, seen[0].url.path) == ("POST", "/v1/messages/count_tokens")
    sent = json.loads(seen[0].content)
    assert sent["messages"] == asked["messages"]
    assert sent.get("tools") == asked.get("tools")
    assert not {"max_tokens", "stream", "temperature"} & sent.keys()


@pytest.mark.parametrize("exchange", recorded("anthropic/count-tokens-error-404-*.json"))
async def test_a_recorded_model_that_is_not_there(exchange: Any) -> None:
    with pytest.raises(NotFoundError, match="claude-does-not-exist"):
        await answering(404, exchange["response"]["body_text"], []).count_tokens(HELLO)


def _gemini(asked: Any, model: str) -> ChatRequest:
    return gemini_inbound.canonical_request(asked, model=model)


@pytest.mark.parametrize("exchange", recorded("gemini/count-tokens-[0-9]*.json"))
async def test_a_recorded_count_of_geminis(exchange: Any) -> None:
    seen: list[httpx.Request] = []
    asked = exchange["request"]["json"]["generateContentRequest"]
    request = _gemini({name: value for name, value in asked.items() if name != "model"}, "gemini-3.5-flash")
    count = await answering(200, exchange["response"]["body_text"], seen, "gemini").count_tokens(request)
    assert count == json.loads(exchange["response"]["body_text"])["totalTokens"]
    assert seen[0].url.path == "/v1beta/models/gemini-3.5-flash:countTokens"
    sent = json.loads(seen[0].content)["generateContentRequest"]
    assert sent["model"] == "models/gemini-3.5-flash"
    assert [sent["contents"], sent.get("systemInstruction")] == [asked["contents"], asked.get("systemInstruction")]
    assert ("tools" in sent) == ("tools" in asked)


@pytest.mark.parametrize("exchange", recorded("vertex/count-tokens-[0-9]*.json"))
async def test_a_recorded_count_of_vertexs(exchange: Any) -> None:
    seen: list[httpx.Request] = []
    asked = exchange["request"]["json"]
    vertex = answering(
        200, exchange["response"]["body_text"], seen, "vertex", project="example-project", location="global"
    )
    request = _gemini(asked, "gemini-2.5-flash").but(temperature=0.5, metadata={"a": "b"})
    assert await vertex.count_tokens(request) == json.loads(exchange["response"]["body_text"])["totalTokens"]
    place = "projects/example-project/locations/global/publishers/google/models/gemini-2.5-flash:countTokens"
    assert seen[0].url.path == f"/v1/{place}"
    sent = json.loads(seen[0].content)
    assert sent["contents"] == asked["contents"]
    assert sent.keys() <= {"contents", "systemInstruction", "tools", "generationConfig"}


@pytest.mark.parametrize("exchange", recorded("openai/count-tokens-[0-9]*.json"))
@pytest.mark.parametrize("api", ["chat", "responses"])
async def test_a_recorded_count_of_openais(exchange: Any, api: Any) -> None:
    seen: list[httpx.Request] = []
    asked = exchange["request"]["json"]
    request = responses_inbound.canonical_request(asked).but(temperature=0.5, max_tokens=99)
    openai = answering(200, exchange["response"]["body_text"], seen, "openai", api=api)
    assert await openai.count_tokens(request) == json.loads(exchange["response"]["body_text"])["input_tokens"]
    assert seen[0].url.path == "/v1/responses/input_tokens"
    assert json.loads(seen[0].content) == asked


async def test_claude_on_vertex_is_not_counted() -> None:
    vertex = answering(200, "{}", [], "vertex", project="p")
    with pytest.raises(BadRequestError, match="Anthropic's own address"):
        await vertex.count_tokens(HELLO.but(model="claude-haiku-4-5"))


# by the client, which says who counted


def client_of(*providers: Any) -> Client:
    return Client(Pipeline([], providers=providers, telemetry=False))


async def test_the_client_asks_the_vendor() -> None:
    client = client_of(answering(200, '{"input_tokens": 7}', []))
    assert await client.acount_tokens("anthropic/claude-haiku-4-5", "Hi") == TokenCount(7, "provider")


def test_the_client_asks_from_sync_code_too() -> None:
    seen: list[httpx.Request] = []
    client = client_of(answering(200, '{"input_tokens": 7}', seen))
    tool = {"type": "function", "function": {"name": "f"}}
    count = client.count_tokens("claude-haiku-4-5", [{"role": "user", "content": "Hi"}], tools=[tool], timeout_s=5)
    assert (count.tokens, count.source) == (7, "provider")
    sent = json.loads(seen[0].content)
    assert (sent["model"], sent["tools"][0]["name"]) == ("claude-haiku-4-5", "f")


@pytest.mark.parametrize("other", [provider("groq", api_key="gsk-12345678"), FakeProvider([Scripted()])])
async def test_where_nobody_counts_it_is_an_estimate_and_says_so(other: Any) -> None:
    count = await client_of(other).acount_tokens(f"{other.name}/llama-3.1-8b-instant", "Hello " * 50)
    assert count.source == "estimate"
    assert 40 < count.tokens < 150
    assert count.reason


async def test_what_fails_at_the_vendor_is_no_estimate() -> None:
    body = '{"type": "error", "error": {"type": "invalid_request_error", "message": "messages: too many"}}'
    with pytest.raises(BadRequestError, match="too many"):
        await client_of(answering(400, body, [])).acount_tokens("anthropic/claude-haiku-4-5", "Hi")


@pytest.mark.parametrize("body", ["", "{}", "[]", '{"input_tokens": "many"}'])
async def test_no_count(body: str) -> None:
    with pytest.raises(ResponseValidationError, match="count of tokens"):
        await answering(200, body, []).count_tokens(HELLO)


async def test_a_vendor_that_does_not_count() -> None:
    with pytest.raises(BadRequestError, match="estimate_tokens"):
        await provider("groq", api_key="gsk-12345678").count_tokens(HELLO)


async def test_a_vendor_that_is_silent() -> None:
    def broken(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadError("gone", request=request)

    with pytest.raises(APIConnectionError):
        await provider("anthropic", api_key="sk-ant-12345678", transport=httpx.MockTransport(broken)).count_tokens(
            HELLO
        )


@pytest.mark.parametrize("exchange", recorded("*/models-[0-9]*.json"))
async def test_a_recorded_list_of_models(exchange: Any) -> None:
    listed = json.loads(exchange["response"]["body_text"])
    entries = listed.get("data", listed.get("models"))
    ids = model_ids(exchange["response"]["body_text"].encode())
    assert ids == tuple((entry.get("id") or entry["name"]).removeprefix("models/") for entry in entries)
    assert len(ids) > 0
