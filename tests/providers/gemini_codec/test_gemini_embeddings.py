"""Embeddings of Gemini and Vertex AI: recorded answers as Google's SDK reads them, and requests as it would send them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from google import genai
from google.genai import errors as sdk_errors
from google.genai import types
from recordings import CORPUS

from glassway import Client, Pipeline
from glassway.middlewares import Cost
from glassway.pipeline.call import Call
from glassway.pipeline.errors import AuthenticationError, BadRequestError, ResponseValidationError
from glassway.pipeline.facts import TRANSLATION
from glassway.pipeline.types import EmbeddingsRequest, ModerationRequest
from glassway.providers import Gemini, Vertex
from glassway.providers.codecs.gemini import GeminiCodec
from glassway.providers.codecs.gemini_embeddings import canonical_embeddings
from glassway.providers.codecs.vertex import Place, VertexCodec
from glassway.testing import FakeClock

Json = dict[str, Any]

FILES = sorted((*CORPUS.glob("gemini/embeddings-*.json"), *CORPUS.glob("vertex/predict-text-*.json")))
ASKED = [path for path in FILES if json.loads(path.read_text())["request"]]
RECORDED = pytest.mark.skipif(not FILES, reason=f"no recorded exchanges at {CORPUS}")
by_name = {"ids": lambda path: f"{path.parent.name}-{path.stem}"}

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


def place(_: Call) -> Place:
    return Place("p", "global")


def call_of(model: str, given: Any, **fields: Any) -> Call:
    request = EmbeddingsRequest.model_validate({"model": model, "input": given, **fields})
    return Call.start(request, clock=FakeClock())


def official(answer: bytes, *, vertex: bool, seen: list[Json] | None = None, status: int = 200) -> genai.Client:
    """Google's client, in front of a transport with one answer."""

    def respond(request: httpx.Request) -> httpx.Response:
        if seen is not None:
            seen.append({"method": request.url.path.rpartition(":")[2], "body": json.loads(request.content)})
        return httpx.Response(status, headers={"content-type": "application/json"}, content=answer)

    options = types.HttpOptions(client_args={"transport": httpx.MockTransport(respond)}, base_url="http://sdk.test")
    return genai.Client(api_key="k", vertexai=vertex, http_options=options)


# -- answers


@RECORDED
@pytest.mark.parametrize("path", FILES, **by_name)
def test_embeddings_are_what_the_official_sdk_reads(path: Path) -> None:
    recorded = json.loads(path.read_text())["response"]["body_text"].encode()
    data = json.loads(recorded)
    vertex = bool(data.keys() & {"predictions", "embedding"})
    model = "text-embedding-004" if "predictions" in data else "gemini-embedding-2"
    with official(recorded, vertex=vertex) as client:
        theirs = client.models.embed_content(model=model, contents="x")
    ours = GeminiCodec().decode(call_of(model, "x"), recorded)
    assert theirs.embeddings
    assert [list(one) for one in ours.vectors] == [one.values for one in theirs.embeddings]
    assert [one.index for one in ours.data] == list(range(len(theirs.embeddings)))
    counts = data.get("usageMetadata") or {}
    each = [one.statistics.token_count for one in theirs.embeddings if one.statistics and one.statistics.token_count]
    expected = counts.get("promptTokenCount") or (int(sum(each)) if each else None)
    assert (ours.usage.prompt_tokens if ours.usage else None) == expected
    modalities = {one["modality"].lower(): one["tokenCount"] for one in counts.get("promptTokenDetails", ())}
    read = ours.usage.prompt_tokens_details.model_dump(exclude_none=True) if modalities else {}
    assert read == {f"{name}_tokens": count for name, count in modalities.items()}


def test_counts_of_several_texts_add_up_and_half_of_them_are_none() -> None:
    def read(counts: list[int | None]) -> Any:
        embeddings = [{"values": [1.0], "statistics": {"token_count": count} if count else {}} for count in counts]
        body = json.dumps({"predictions": [{"embeddings": one} for one in embeddings]}).encode()
        return GeminiCodec(provider="vertex").decode(call_of("text-embedding-004", ["x"] * len(counts)), body).usage

    assert read([3, 4]).to_dict() == {"prompt_tokens": 7, "completion_tokens": 0, "total_tokens": 7}
    assert read([3, None]) is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b'{"embeddings": [{}]}',
        b'{"embeddings": [{"values": ["x"]}]}',
        b'{"embeddings": 1}',
        b'{"predictions": [1]}',
        b'{"predictions": {"embeddings": {}}}',
        b'{"embedding": null}',
    ],
)
def test_what_is_no_answer_is_said_to_be_none(body: bytes) -> None:
    with pytest.raises(ResponseValidationError, match="Expected embeddings"):
        GeminiCodec().decode(call_of("m", "x"), body)


@RECORDED
@pytest.mark.parametrize("path", sorted(CORPUS.glob("vertex/predict-error-*.json")), **by_name)
def test_a_refusal_is_the_official_clients_error(path: Path) -> None:
    recorded = json.loads(path.read_text())["response"]
    body = recorded["body_text"].encode()
    with official(body, vertex=True, status=recorded["status"]) as client, pytest.raises(sdk_errors.APIError) as theirs:
        client.models.embed_content(model="gemini-embedding-001", contents="x")
    error = VertexCodec(place).error(recorded["status"], {}, body)
    assert isinstance(error, AuthenticationError)
    assert error.status_code == theirs.value.code
    assert theirs.value.status in error.message
    assert str(theirs.value.message)[:60] in error.message


# -- requests


CONFIG: Json = {"dimensions": 256, "task_type": "RETRIEVAL_QUERY", "title": "T"}
THEIR_CONFIG = types.EmbedContentConfig(output_dimensionality=256, task_type="RETRIEVAL_QUERY", title="T")


@pytest.mark.parametrize(
    ("vertex", "model", "given"),
    [
        (False, "gemini-embedding-001", "one text"),
        (False, "gemini-embedding-001", ["one", "two"]),
        (True, "text-embedding-005", "one text"),
        (True, "text-embedding-005", ["one", "two"]),
        (True, "gemini-embedding-001", "one text"),
        (True, "gemini-embedding-001", ["one", "two"]),
    ],
)
@pytest.mark.parametrize("configured", [False, True])
def test_texts_go_out_as_the_official_client_sends_them(vertex: bool, model: str, given: Any, configured: bool) -> None:
    seen: list[Json] = []
    with official(b"{}", vertex=vertex, seen=seen) as client:
        client.models.embed_content(model=model, contents=given, config=THEIR_CONFIG if configured else None)
    call = call_of(model, given, **(CONFIG if configured else {}))
    encoded = (VertexCodec(place) if vertex else GeminiCodec()).encode(call)
    assert {"method": encoded.path.rpartition(":")[2], "body": json.loads(encoded.content)} == _without_roles(seen[0])
    assert {fact.action for fact in call.trail(TRANSLATION)} <= {"renamed"}


def _without_roles(value: Any) -> Any:
    """The client names who speaks in some of its contents; nobody does in what is to be embedded."""
    if isinstance(value, list):
        return [_without_roles(one) for one in value]
    if not isinstance(value, dict):
        return value
    return {name: _without_roles(one) for name, one in value.items() if not (name == "role" and "parts" in value)}


def test_pictures_are_parts_as_in_a_chat() -> None:
    picture = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}
    call = call_of("gemini-embedding-2", [{"content": [{"type": "text", "text": "a dot"}, picture]}])
    content = json.loads(GeminiCodec().encode(call).content)["requests"][0]["content"]
    assert content == {"parts": [{"text": "a dot"}, {"inlineData": {"mimeType": "image/png", "data": PIXEL}}]}
    types.Content.model_validate(content)


@RECORDED
@pytest.mark.parametrize("path", ASKED, **by_name)
def test_a_recorded_request_is_sent_again_as_it_was(path: Path) -> None:
    recorded = json.loads(path.read_text())["request"]
    model, _, method = recorded["url"].rpartition("/")[2].partition(":")
    call = Call.start(canonical_embeddings(recorded["json"], model=model), clock=FakeClock())
    codec = VertexCodec(place) if path.parent.name == "vertex" else GeminiCodec()
    encoded = codec.encode(call)
    spelled = json.dumps(recorded["json"]).replace("inline_data", "inlineData").replace("mime_type", "mimeType")
    assert json.loads(encoded.content) == json.loads(spelled)
    assert encoded.path.endswith(f"models/{model}:{method}")
    assert {fact.action for fact in call.trail(TRANSLATION)} <= {"renamed"}


@pytest.mark.parametrize(
    ("body", "model"),
    [
        ({"instances": [{"content": "x", "task_type": "CLUSTERING"}], "parameters": {"autoTruncate": False}}, "text-1"),
        ({"content": {"parts": [{"text": "x"}]}, "embedContentConfig": {"autoTruncate": True}}, "gemini-embedding-2"),
        (
            {
                "requests": [
                    {"content": {"parts": [{"text": text}]}, "embedContentConfig": {"outputDimensionality": 9}}
                    for text in ("x", "y")
                ]
            },
            "gemini-embedding-2",
        ),
        ({"content": {"parts": [{"text": "x"}, {"text": "y"}]}}, "gemini-embedding-2"),
        ({"content": {"role": "user", "parts": [{"text": "x"}]}}, "gemini-embedding-2"),
    ],
)
def test_every_form_of_vertex_comes_back_as_it_was(body: Json, model: str) -> None:
    call = Call.start(canonical_embeddings(body, model=model), clock=FakeClock())
    assert json.loads(VertexCodec(place).encode(call).content) == body


def test_what_the_vendor_has_other_names_for_or_none_is_noted() -> None:
    fields = {"input_type": "search_query", "user": "u", "auto_truncate": True, "truncate": "END", "dimensions": 3}
    call = call_of("gemini-embedding-001", "x", **fields)
    (asked,) = json.loads(GeminiCodec().encode(call).content)["requests"]
    assert {name: asked[name] for name in ("taskType", "outputDimensionality")} == {
        "taskType": "RETRIEVAL_QUERY",
        "outputDimensionality": 3,
    }
    assert {fact.parameter: fact.action for fact in call.trail(TRANSLATION)} == {
        "input_type": "renamed",
        "dimensions": "renamed",
        "user": "dropped",
        "auto_truncate": "dropped",
        "truncate": "dropped",
    }


def test_a_task_that_the_vendor_does_not_know_is_dropped() -> None:
    call = call_of("gemini-embedding-001", "x", input_type="image")
    assert "taskType" not in json.loads(GeminiCodec().encode(call).content)["requests"][0]
    assert call.trail(TRANSLATION)[0].action == "dropped"


@pytest.mark.parametrize(
    ("given", "said"), [([1, 2], "token ids"), ([[1], [2]], "token ids"), ([{"content": [{"text": "x"}]}], "parts")]
)
def test_what_cannot_be_embedded_is_refused(given: Any, said: str) -> None:
    with pytest.raises(BadRequestError, match=said):
        GeminiCodec().encode(call_of("gemini-embedding-001", given))


def test_a_model_of_texts_alone_takes_no_picture() -> None:
    picture = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}
    with pytest.raises(BadRequestError, match="expected texts"):
        VertexCodec(place).encode(call_of("text-embedding-005", [{"content": [picture]}]))
    call = call_of("text-embedding-005", [{"content": [{"type": "text", "text": "x"}]}])
    assert json.loads(VertexCodec(place).encode(call).content) == {"instances": [{"content": "x"}]}


def test_other_operations_are_refused() -> None:
    call = Call.start(ModerationRequest(model="m", input="x"), clock=FakeClock())
    with pytest.raises(BadRequestError, match="chat or embeddings"):
        GeminiCodec().encode(call)


# -- through a client


def vendor(answers: list[Json]) -> httpx.MockTransport:
    """Answers each request with as many vectors as it asks for."""

    def respond(request: httpx.Request) -> httpx.Response:
        asked = json.loads(request.content)
        answers.append(asked)
        each = asked.get("requests") or asked.get("instances") or [asked]
        vectors = [{"values": [float(place), 1.0]} for place, _ in enumerate(each)]
        if "instances" in asked:
            made = [{"embeddings": one | {"statistics": {"token_count": 2}}} for one in vectors]
            return httpx.Response(200, json={"predictions": made})
        return httpx.Response(200, json={"embeddings": vectors, "usageMetadata": {"promptTokenCount": 2 * len(each)}})

    return httpx.MockTransport(respond)


def test_more_texts_than_a_batch_holds_go_out_in_parts_and_are_billed_together() -> None:
    asked: list[Json] = []
    provider = Gemini(api_key="k", transport=vendor(asked))
    with Client(Pipeline([Cost()], provider)) as client:
        reply = client.embedding("gemini/gemini-embedding-001", [f"text {place}" for place in range(150)])
    assert [len(one["requests"]) for one in asked] == [100, 50]
    assert [one.index for one in reply.data] == list(range(150))
    assert reply.usage is not None
    assert reply.usage.prompt_tokens == 300
    assert reply.record is not None
    assert reply.record.cost is not None
    assert reply.record.cost.status == "exact"
    assert reply.cost


def test_vertex_puts_them_under_the_project() -> None:
    asked: list[Json] = []
    provider = Vertex(api_key="token", project="p", location="europe-west1", transport=vendor(asked))
    with Client(Pipeline([], provider)) as client:
        reply = client.embedding("vertex/text-embedding-005", ["a", "b"], task_type="CLUSTERING")
    assert reply.vectors == ((0.0, 1.0), (1.0, 1.0))
    assert asked == [{"instances": [{"content": text, "task_type": "CLUSTERING"} for text in ("a", "b")]}]
    assert reply.usage is not None
    assert reply.usage.prompt_tokens == 4
