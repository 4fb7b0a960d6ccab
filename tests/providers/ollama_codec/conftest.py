"""What the tests of Ollama's codec share: the recordings, Ollama's own client and models as judges, a request sent past them."""

from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import ollama
import pytest
from judges import ollama_faults

from glassway.pipeline.call import Call
from glassway.pipeline.facts import TRANSLATION
from glassway.pipeline.types import ChatRequest, EmbeddingsRequest
from glassway.providers.codecs.ollama import OllamaCodec
from glassway.testing import FakeClock

if TYPE_CHECKING:
    from collections.abc import Callable

CORPUS = Path(os.environ.get("GLASSWAY_CORPUS") or Path(__file__).parents[3] / "../shared/corpus").resolve()

Sent = tuple[dict[str, Any], dict[str, str]]
_OPERATIONS = {"chat": ChatRequest, "embeddings": EmbeddingsRequest}


def _record(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text())


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """`answer`, `stream`, `asked_chat`, `embedding` and `embedding_asked` run once for each recorded exchange of their kind."""
    for name in {"answer", "stream", "asked_chat", "embedding"} & set(metafunc.fixturenames):
        reason = pytest.mark.skip(f"no recorded exchanges at {CORPUS}")
        values = [pytest.param(path, id=path.stem) for path in _files(name)] or [pytest.param(None, marks=reason)]
        metafunc.parametrize(name, values)


@cache
def _files(name: str) -> list[Path]:
    """Chats, and what `/api/generate` answers, which is nearly one."""
    wanted = {
        "answer": lambda path, record: (
            "embeddings" not in path.stem and record["response"]["status"] == 200 and "show" not in path.stem
        ),
        "stream": lambda path, record: record["response"]["streaming"],
        "asked_chat": lambda path, record: record["request"] is not None and path.stem.startswith("chat-"),
        "embedding": lambda path, record: path.stem.startswith("embeddings-"),
    }[name]
    return [path for path in sorted(CORPUS.glob("ollama/*.json")) if wanted(path, _record(path))]


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


def _client(status: int, body: bytes) -> ollama.Client:
    transport = httpx.MockTransport(lambda _: httpx.Response(status, content=body))
    return ollama.Client("http://sdk.test", transport=transport)


@pytest.fixture
def client() -> Callable[[int, bytes], ollama.Client]:
    """`client(status, body)`: the official client, whose server answers with that."""
    return _client


def _call_of(request: dict[str, Any]) -> Call:
    operation = request.get("operation", "chat")
    least = {"chat": {"messages": [{"role": "user", "content": "x"}]}}.get(operation, {})
    full = {"model": "llama3.2"} | least | {name: value for name, value in request.items() if name != "operation"}
    return Call.start(_OPERATIONS[operation].model_validate(full), clock=FakeClock())


def _sent(request: dict[str, Any]) -> Sent:
    call = _call_of(request)
    encoded = OllamaCodec().encode(call)
    body = json.loads(encoded.content)
    assert ollama_faults(encoded.path, body) == []
    return body, {fact.parameter: fact.action for fact in call.trail(TRANSLATION)}


@pytest.fixture
def faults() -> Callable[[str, dict[str, Any]], list[str]]:
    """`faults(path, body)`: what the SDK's models say against a body; unknown keys are faults."""
    return ollama_faults


@pytest.fixture
def call_of() -> Callable[[dict[str, Any]], Call]:
    """A call with a request in OpenAI's shape; `operation` is chat or embeddings; model and messages have defaults."""
    return _call_of


@pytest.fixture
def sent() -> Callable[[dict[str, Any]], Sent]:
    """The body of such a request, judged, and what was noted, as `parameter: action`."""
    return _sent
