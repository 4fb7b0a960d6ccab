"""Lines of a batch: read, checked before anything is sent, and written as OpenAI writes them."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from builders import answer, ask, server_error
from openai.types.chat import ChatCompletion

from glassway import ChatRequest, Client, Pipeline
from glassway.pipeline.batch import BatchRequest, BatchResult
from glassway.pipeline.batch.lines import read_requests
from glassway.pipeline.errors import ConfigError, GlasswayError
from glassway.pipeline.types import EmbeddingsRequest, SpeechRequest
from glassway.testing import FakeProvider

SAID = [{"role": "user", "content": "Hi"}]
BODY = {"model": "fake/m", "messages": SAID}


@pytest.fixture
def client() -> Client:
    return Client(Pipeline([], FakeProvider(), telemetry=False))


def read(client: Client, given: Any, model: str | None = None) -> list[BatchRequest]:
    return read_requests(given, client._params, model)


def line(**fields: Any) -> dict[str, Any]:
    return {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": BODY, **fields}


def test_openais_lines_are_requests(client: Client, tmp_path: Path) -> None:
    embeddings = line(custom_id="b", url="/v1/embeddings", body={"model": "fake/e", "input": ["x", "y"]})
    path = tmp_path / "in.jsonl"
    path.write_text(f"{json.dumps(line(body={**BODY, 'temperature': 0.5}))}\n\n{json.dumps(embeddings)}")
    first, second = read(client, path)
    assert (first.custom_id, second.custom_id) == ("a", "b")
    assert isinstance(first.request, ChatRequest)
    assert first.request.temperature == 0.5
    assert isinstance(second.request, EmbeddingsRequest)
    assert first.options.metadata == {"custom_id": "a"}


def test_requests_may_be_given_as_they_are(client: Client) -> None:
    one, two = read(client, [ask("One"), ask("Two")])
    assert (one.custom_id, two.custom_id) == ("request-1", "request-2")
    assert one.digest != two.digest


def test_names_of_the_registry_and_options_hold(client: Client) -> None:
    client.registry.register("fast", "fake/m", temperature=0)
    (made,) = read(client, [line(body={**BODY, "model": "fast", "tags": ["night"]})])
    assert isinstance(made.request, ChatRequest)
    assert (made.request.model, made.request.temperature, made.options.tags) == ("fake/m", 0, ("night",))


def test_a_model_for_those_that_name_none(client: Client) -> None:
    (made,) = read(client, [line(body={"messages": SAID})], "fake/usual")
    assert made.request.model == "fake/usual"


def test_the_digest_is_of_what_was_given_not_of_its_order(client: Client) -> None:
    (one,) = read(client, [line(body={"model": "fake/m", "messages": SAID, "user": "x"})])
    (same,) = read(client, [line(body={"user": "x", "messages": SAID, "model": "fake/m"})])
    (other,) = read(client, [line(body={"model": "fake/m", "messages": SAID, "user": "y"})])
    assert one.digest == same.digest != other.digest


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (line(custom_id=""), "custom_id: expected a text"),
        (line(method="GET"), "method: expected POST, found 'GET'"),
        (line(url="/v1/audio/speech"), "url: expected one of /v1/chat/completions, .*found '/v1/audio/speech'"),
        (line(body=[]), "body: expected the request's fields, found list"),
        (line(body={**BODY, "stream": True}), "stream: a batch's answers are whole"),
        (line(body={"messages": []}), "model: expected 'vendor/model'"),
        (line(body={"model": "m"}), "body: messages: Field required"),
        (line(body={**BODY, "num_retries": 3}), "num_retries: unknown here"),
        (5, "expected an object with custom_id"),
        (SpeechRequest(model="m", input="x", voice="v"), "a request for speech cannot be in a batch"),
    ],
    ids=str,
)
def test_a_line_that_is_none_says_why(client: Client, given: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=f"requests, number 1: .*{message}"):
        read(client, [given])


def test_all_that_is_wrong_is_told_at_once_with_its_line(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text("\n".join(["{", json.dumps(line()), json.dumps(line()), *["[]"] * 20]))
    with pytest.raises(ConfigError) as caught:
        read(client, path)
    lines = caught.value.message.splitlines()
    assert lines[0].startswith(f"{path}, line 1: expected JSON")
    assert "line 3: custom_id 'a' is there twice" in lines[1]
    assert lines[-1] == "... and 12 more."


def test_a_file_that_is_not_there(client: Client, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.jsonl: expected a file of JSON lines.*No such file"):
        read(client, tmp_path / "none.jsonl")


def test_a_result_is_a_line_that_openais_sdk_reads() -> None:
    data = json.loads(
        BatchResult("a", 0, answer("Rome", id="x", created=1), cost_usd=Decimal("0.10"), digest="d").to_line()
    )
    read_back = ChatCompletion.model_validate(data["response"]["body"])
    assert read_back.choices[0].message.content == "Rome"
    assert (data["response"]["status_code"], data["error"]) == (200, None)
    assert data["glassway"] == {"request": "d", "provider": None, "tries": 1, "cost_usd": "0.10"}


def test_a_failure_says_what_the_vendor_said() -> None:
    data = json.loads(BatchResult("a", 0, None, server_error(request_id="r1")).to_line())
    assert data["response"]["status_code"] == 500
    assert data["error"] == {"code": "server_error", "message": "The vendor failed."}
    assert data["glassway"]["cost_usd"] is None


def test_a_failure_without_an_answer_has_none() -> None:
    data = json.loads(BatchResult("a", 0, None, GlasswayError("No way.")).to_line())
    assert (data["response"], data["error"]["message"]) == (None, "No way.")
