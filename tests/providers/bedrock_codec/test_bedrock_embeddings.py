"""Embeddings on Bedrock, in the bodies of Titan, Nova and Cohere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import httpx
import pytest
from cohere.types import EmbedByTypeResponse
from recordings import CORPUS

from glassway import CallOptions, Client, Pipeline
from glassway.middlewares import Cost
from glassway.pipeline.call import Call
from glassway.pipeline.errors import BadRequestError, ResponseValidationError
from glassway.pipeline.facts import TRANSLATION
from glassway.pipeline.types import EmbeddingsRequest, ModerationRequest
from glassway.providers.aws import Bedrock
from glassway.providers.codecs.bedrock import BedrockCodec
from glassway.providers.codecs.bedrock_embeddings import canonical_embeddings
from glassway.testing import FakeClock

Json = dict[str, Any]

TITAN = "amazon.titan-embed-text-v2:0"
NOVA = "amazon.nova-2-multimodal-embeddings-v1:0"
COHERE = "us.cohere.embed-v4:0"

FILES = [
    path
    for path in sorted(CORPUS.glob("bedrock/invoke-*.json"))
    if "embed" in str(json.loads(path.read_text())["model"])
]
RECORDED = pytest.mark.skipif(not FILES, reason=f"no recorded exchanges at {CORPUS}")
by_name = {"ids": lambda path: f"{path.parent.name}-{path.stem}"}


def call_of(model: str, given: Any, *, settings: Json | None = None, **fields: Any) -> Call:
    request = EmbeddingsRequest.model_validate({"model": model, "input": given, **fields})
    return Call.start(request, clock=FakeClock(), options=CallOptions(settings=settings or {}))


def sent(call: Call) -> tuple[str, Json, dict[str, str]]:
    encoded = BedrockCodec().encode(call)
    assert encoded.headers["accept"] == "application/json"
    notes = {fact.parameter: fact.action for fact in call.trail(TRANSLATION)}
    return unquote(encoded.path), json.loads(encoded.content), notes


# -- recorded


@RECORDED
@pytest.mark.parametrize("path", FILES, **by_name)
def test_embeddings_are_what_the_official_sdk_reads(path: Path) -> None:
    """The body is Cohere's own, which Cohere's own client reads."""
    body = json.loads(path.read_text())["response"]["body_text"]
    theirs = EmbedByTypeResponse.model_validate(json.loads(body))
    ours = BedrockCodec().decode(call_of(COHERE, "x"), body.encode())
    assert [list(vector) for vector in ours.vectors] == theirs.embeddings.float_
    assert ours.id == theirs.id


@RECORDED
@pytest.mark.parametrize("path", FILES, **by_name)
def test_a_recorded_request_is_sent_again_as_it_was(path: Path) -> None:
    recorded = json.loads(path.read_text())
    model = recorded["model"]
    call = Call.start(canonical_embeddings(recorded["request"]["json"], model=model), clock=FakeClock())
    place, body, notes = sent(call)
    assert body == recorded["request"]["json"]
    assert recorded["request"]["url"].endswith(place)
    assert notes == {}


@RECORDED
@pytest.mark.parametrize("path", FILES, **by_name)
def test_its_tokens_are_in_a_header_and_are_billed(path: Path) -> None:
    recorded = json.loads(path.read_text())["response"]
    answer = httpx.Response(200, headers=recorded["headers"], content=recorded["body_text"].encode())
    provider = Bedrock(region="us-east-1", api_key="k", transport=httpx.MockTransport(lambda _: answer))
    prices = {f"bedrock/{COHERE}": {"input": "0.12"}}
    with Client(Pipeline([Cost(overrides=prices)], provider)) as client:
        reply = client.embedding(f"bedrock/{COHERE}", "Ruby is a programmer's best friend")
    tokens = int(recorded["headers"]["x-amzn-bedrock-input-token-count"])
    assert reply.usage is not None
    assert (reply.usage.prompt_tokens, reply.usage.total_tokens) == (tokens, tokens)
    assert reply.record is not None
    assert reply.record.cost is not None
    assert (reply.record.cost.status, reply.record.cost.lines[0].tokens) == ("exact", tokens)


# -- requests


@pytest.mark.parametrize(
    ("model", "fields", "body", "notes"),
    [
        (TITAN, {}, {"inputText": "x"}, {}),
        (TITAN, {"dimensions": 256, "normalize": False}, {"inputText": "x", "normalize": False, "dimensions": 256}, {}),
        ("amazon.titan-embed-text-v1", {"dimensions": 256}, {"inputText": "x"}, {"dimensions": "dropped"}),
        (
            "amazon.titan-embed-image-v1",
            {"dimensions": 384},
            {"inputText": "x", "embeddingConfig": {"outputEmbeddingLength": 384}},
            {"dimensions": "renamed"},
        ),
        (TITAN, {"user": "u", "truncate": "END"}, {"inputText": "x"}, {"user": "dropped", "truncate": "dropped"}),
        (
            NOVA,
            {},
            {
                "taskType": "SINGLE_EMBEDDING",
                "singleEmbeddingParams": {
                    "embeddingPurpose": "GENERIC_INDEX",
                    "text": {"truncationMode": "END", "value": "x"},
                },
            },
            {"embeddingPurpose": "emulated"},
        ),
        (
            NOVA,
            {"input_type": "search_query", "dimensions": 384, "truncation_mode": "NONE"},
            {
                "taskType": "SINGLE_EMBEDDING",
                "singleEmbeddingParams": {
                    "embeddingPurpose": "GENERIC_RETRIEVAL",
                    "embeddingDimension": 384,
                    "text": {"truncationMode": "NONE", "value": "x"},
                },
            },
            {"input_type": "renamed", "dimensions": "renamed"},
        ),
        (COHERE, {}, {"texts": ["x"], "input_type": "search_document"}, {"input_type": "emulated"}),
        (
            COHERE,
            {"input_type": "search_query", "dimensions": 512, "embedding_types": ["int8"]},
            {"texts": ["x"], "input_type": "search_query", "embedding_types": ["int8"], "output_dimension": 512},
            {"dimensions": "renamed"},
        ),
    ],
)
def test_each_family_has_its_own_body(model: str, fields: Json, body: Json, notes: dict[str, str]) -> None:
    assert sent(call_of(model, "x", **fields)) == (f"/model/{model}/invoke", body, notes)


@pytest.mark.parametrize("model", [TITAN, NOVA, COHERE])
@pytest.mark.parametrize("fields", [{}, {"dimensions": 256, "input_type": "search_query"}])
def test_what_is_sent_comes_back_as_it_was(model: str, fields: Json) -> None:
    body = sent(call_of(model, "x", **fields))[1]
    again = Call.start(canonical_embeddings(body, model=model), clock=FakeClock())
    assert sent(again)[1] == body


def test_a_profile_that_tells_nothing_says_its_model_beside() -> None:
    arn = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc"
    assert sent(call_of(arn, "x", settings={"base_model": TITAN}))[1] == {"inputText": "x"}
    with pytest.raises(BadRequestError, match="base_model"):
        sent(call_of(arn, "x"))


@pytest.mark.parametrize("given", [[1, 2], [{"content": []}]])
def test_what_is_no_text_is_refused(given: Any) -> None:
    with pytest.raises(BadRequestError, match="expected texts"):
        sent(call_of(TITAN, given))


def test_more_than_a_model_takes_is_refused_where_nobody_divides_it() -> None:
    with pytest.raises(BadRequestError, match="1 at most"):
        sent(call_of(TITAN, ["a", "b"]))


def test_other_operations_are_refused() -> None:
    with pytest.raises(BadRequestError, match="chat or embeddings"):
        BedrockCodec().encode(Call.start(ModerationRequest(model=TITAN, input="x"), clock=FakeClock()))


# -- answers


@pytest.mark.parametrize(
    ("model", "body", "vectors", "tokens"),
    [
        (
            TITAN,
            {"embedding": [0.5, 1], "inputTextTokenCount": 4, "embeddingsByType": {"float": [0.5, 1]}},
            [(0.5, 1.0)],
            4,
        ),
        (NOVA, {"embeddings": [{"embeddingType": "TEXT", "embedding": [0.25]}]}, [(0.25,)], None),
        (COHERE, {"embeddings": [[1], [2]], "id": "i", "response_type": "embeddings_floats"}, [(1.0,), (2.0,)], None),
        (COHERE, {"embeddings": {"int8": [[1, 2]], "float": [[0.1, 0.2]]}}, [(0.1, 0.2)], None),
    ],
)
def test_each_familys_answer(model: str, body: Json, vectors: list[tuple[float, ...]], tokens: int | None) -> None:
    answer = BedrockCodec().decode(call_of(model, "x"), json.dumps(body).encode())
    assert list(answer.vectors) == vectors
    assert (answer.usage.prompt_tokens if answer.usage else None) == tokens


@pytest.mark.parametrize(
    "body", [b"", b"{}", b'{"embedding": ["x"]}', b'{"embeddings": {"float": "x"}}', b'{"embeddings": {}}', b"[]"]
)
def test_what_is_no_answer_is_said_to_be_none(body: bytes) -> None:
    with pytest.raises(ResponseValidationError, match="Expected embeddings"):
        BedrockCodec().decode(call_of(TITAN, "x"), body)


# -- through a client


def test_models_that_take_one_text_are_asked_for_each() -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        text = json.loads(request.content)["inputText"]
        asked.append(text)
        return httpx.Response(200, json={"embedding": [float(len(text))], "inputTextTokenCount": len(text)})

    provider = Bedrock(region="us-east-1", api_key="k", transport=httpx.MockTransport(answer))
    with Client(Pipeline([], provider)) as client:
        reply = client.embedding(f"bedrock/{TITAN}", ["a", "bb", "ccc"])
    assert sorted(asked) == ["a", "bb", "ccc"]
    assert reply.vectors == ((1.0,), (2.0,), (3.0,))
    assert reply.usage is not None
    assert reply.usage.prompt_tokens == 6


def test_coheres_take_many_at_once() -> None:
    sizes: list[int] = []

    def answer(request: httpx.Request) -> httpx.Response:
        texts = json.loads(request.content)["texts"]
        sizes.append(len(texts))
        return httpx.Response(200, json={"embeddings": [[1.0] for _ in texts]})

    provider = Bedrock(region="us-east-1", api_key="k", transport=httpx.MockTransport(answer))
    with Client(Pipeline([], provider)) as client:
        reply = client.embedding(f"bedrock/{COHERE}", [str(number) for number in range(100)])
    assert sorted(sizes) == [4, 96]
    assert len(reply.vectors) == 100
