"""What the tests of the Cohere codec share: the recordings, Cohere's own client and parameters as judges, a request sent past them."""

from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cohere
import httpx
import pytest
from judges import cohere_faults

from glassway.pipeline.call import Call
from glassway.pipeline.facts import TRANSLATION
from glassway.pipeline.types import ChatRequest, EmbeddingsRequest, RerankRequest
from glassway.providers.codecs.cohere import CohereCodec
from glassway.testing import FakeClock

if TYPE_CHECKING:
    from collections.abc import Callable

CORPUS = Path(os.environ.get("GLASSWAY_CORPUS") or Path(__file__).parents[3] / "../shared/corpus").resolve()
OUT_OF_SCOPE = ("chat-v1", "generate-v1", "embeddings-v1", "rerank-v1", "tokenize-v1")
"""Exchanges with v1, which the vendor calls legacy and whose requests have another shape: this codec speaks v2."""

Sent = tuple[dict[str, Any], dict[str, str]]
_KINDS = (ChatRequest, EmbeddingsRequest, RerankRequest)
_PATHS = dict(zip(("chat", "embeddings", "rerank"), _KINDS, strict=True))


def _record(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text())


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """`chat`, `stream`, `embedding`, `ranking` and `sent_chat` run once for each recorded exchange of their kind."""
    for name in {"chat", "stream", "embedding", "ranking", "asked_chat", "any_chat"} & set(metafunc.fixturenames):
        files = _files(name)
        reason = pytest.mark.skip(f"no recorded exchanges at {CORPUS}")
        values = [pytest.param(path, id=path.stem) for path in files] or [pytest.param(None, marks=reason)]
        metafunc.parametrize(name, values)


@cache
def _files(name: str) -> list[Path]:
    kinds = {"embedding": "embeddings", "ranking": "rerank"}
    every = [
        path
        for path in sorted(CORPUS.glob(f"cohere/{kinds.get(name, 'chat')}-*.json"))
        if not path.stem.startswith(OUT_OF_SCOPE)
    ]
    whole = {
        "chat": lambda record: not record["response"]["streaming"],
        "stream": lambda record: record["response"]["streaming"] and "mid-stream-error" not in record["tags"],
        "any_chat": lambda record: "mid-stream-error" not in record["tags"],
        "asked_chat": lambda record: record["request"] is not None,
    }
    return [path for path in every if name not in whole or whole[name](_record(path))]


@pytest.fixture(scope="session")
def exchange() -> Callable[[Path], dict[str, Any]]:
    """`exchange(path)`: one recorded exchange."""
    return cache(_record)


@pytest.fixture
def corpus() -> Path:
    """The recordings' folder; skips where there is none."""
    if not CORPUS.is_dir():
        pytest.skip(f"no recorded exchanges at {CORPUS}")
    return CORPUS


def _client(status: int, body: bytes, content_type: str) -> cohere.ClientV2:
    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(status, headers={"content-type": content_type}, content=body)

    http = httpx.Client(transport=httpx.MockTransport(answer))
    return cohere.ClientV2("k", base_url="http://sdk.test", httpx_client=http, max_retries=0)


@pytest.fixture
def client() -> Callable[[int, bytes, str], cohere.ClientV2]:
    """`client(status, body, content_type)`: the official client, whose server answers with that."""
    return _client


def _call_of(request: dict[str, Any]) -> Call:
    operation = request.get("operation", "chat")
    least = {"chat": {"messages": [{"role": "user", "content": "x"}]}}.get(operation, {})
    full = (
        {"model": "command-a-03-2025"} | least | {name: value for name, value in request.items() if name != "operation"}
    )
    return Call.start(_PATHS[operation].model_validate(full), clock=FakeClock())


def _sent(request: dict[str, Any]) -> Sent:
    call = _call_of(request)
    encoded = CohereCodec().encode(call)
    body = json.loads(encoded.content)
    assert cohere_faults(encoded.path, body) == []
    return body, {fact.parameter: fact.action for fact in call.trail(TRANSLATION)}


@pytest.fixture
def faults() -> Callable[[str, dict[str, Any]], list[str]]:
    """`faults(path, body)`: what the SDK's parameters say against a body; unknown keys are faults."""
    return cohere_faults


@pytest.fixture
def call_of() -> Callable[[dict[str, Any]], Call]:
    """A call with a request in OpenAI's shape; `operation` is chat, embeddings or rerank; model and messages have defaults."""
    return _call_of


@pytest.fixture
def sent() -> Callable[[dict[str, Any]], Sent]:
    """The body of such a request, judged, and what was noted, as `parameter: action`."""
    return _sent
