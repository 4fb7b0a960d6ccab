"""Cohere as a provider: where requests go, with which key, and in which parts."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from glassway.pipeline.attempts import attempt
from glassway.pipeline.call import Call
from glassway.pipeline.parts import parts_of
from glassway.pipeline.types import ChatRequest, EmbeddingsRequest, RerankRequest
from glassway.providers import provider

pytestmark = pytest.mark.anyio

ANSWERS: dict[str, Any] = {
    "/v2/chat": {"id": "i", "message": {"content": [{"type": "text", "text": "Hi"}]}, "finish_reason": "COMPLETE"},
    "/v2/embed": {"id": "i", "embeddings": {"float": [[0.5]]}},
    "/v2/rerank": {"id": "i", "results": [{"index": 0, "relevance_score": 0.5}]},
    "/v1/models": {"models": [{"name": "command-a-03-2025", "endpoints": ["chat"]}, {"name": "embed-v4.0"}]},
}


class Server(httpx.MockTransport):
    """Answers as Cohere would, and keeps the requests."""

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []
        super().__init__(self._answer)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return httpx.Response(200, json=ANSWERS[request.url.path])


@pytest.mark.parametrize(
    ("request_", "path"),
    [
        (ChatRequest.model_validate({"model": "m", "messages": [{"role": "user", "content": "x"}]}), "/v2/chat"),
        (EmbeddingsRequest.model_validate({"model": "m", "input": "x"}), "/v2/embed"),
        (RerankRequest.model_validate({"model": "m", "query": "q", "documents": ["d"]}), "/v2/rerank"),
    ],
)
async def test_each_operation_goes_to_its_place_with_the_key(request_: Any, path: str) -> None:
    server = Server()
    target = provider("cohere", api_key="co-0123456789", transport=server)
    answer = await attempt(Call.start(request_), target.name, target)
    sent = server.requests[0]
    assert str(sent.url) == f"https://api.cohere.com{path}"
    assert sent.headers["authorization"] == "Bearer co-0123456789"
    assert json.loads(sent.content)["model"] == answer.model == "m"


@pytest.mark.parametrize("variable", ["CO_API_KEY", "COHERE_API_KEY"])
async def test_the_key_is_read_from_the_vendors_variables(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CO_API_KEY", "COHERE_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, "co-of-the-environment")
    server = Server()
    assert await provider("cohere", transport=server).list_models() == ("command-a-03-2025", "embed-v4.0")
    assert server.requests[0].headers["authorization"] == "Bearer co-of-the-environment"
    assert server.requests[0].url.query == b"page_size=1000"


def test_more_texts_than_the_vendor_takes_go_in_parts() -> None:
    request = EmbeddingsRequest.model_validate({"model": "m", "input": [str(number) for number in range(200)]})
    parts = parts_of(request, provider("cohere").part_limits(Call.start(request)))
    assert [len(part.inputs) for part in parts] == [96, 96, 8]
