"""The vendor's own count of a prompt's tokens, and its list of models, as recorded."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import httpx
import pytest

from glassway.pipeline.errors import APIConnectionError, BadRequestError, NotFoundError, ResponseValidationError
from glassway.pipeline.types import ChatRequest
from glassway.providers import provider
from glassway.providers.codecs.anthropic_inbound import canonical_request
from glassway.providers.models import model_ids

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


def answering(status: int, body: str | bytes, seen: list[httpx.Request]) -> Any:
    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(status, content=body, headers={"content-type": "application/json"})

    return provider("anthropic", api_key="sk-ant-12345678", transport=httpx.MockTransport(answer))


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


async def test_a_model_that_is_not_there() -> None:
    body = '{"type": "error", "error": {"type": "not_found_error", "message": "model: claude-x"}}'
    with pytest.raises(NotFoundError):
        await answering(404, body, []).count_tokens(HELLO)


@pytest.mark.parametrize("body", ["", "{}", "[]", '{"input_tokens": "many"}'])
async def test_no_count(body: str) -> None:
    with pytest.raises(ResponseValidationError, match="count of tokens"):
        await answering(200, body, []).count_tokens(HELLO)


async def test_a_vendor_that_does_not_count() -> None:
    with pytest.raises(BadRequestError, match="estimate_tokens"):
        await provider("openai", api_key="sk-12345678").count_tokens(HELLO)


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
