"""Recorded answers of the operations beyond chat, read as the official client reads them."""

from __future__ import annotations

import base64
import json
import struct
from collections import Counter
from typing import Any

import httpx2
import openai
import pytest

from glassway.pipeline.call import Call
from glassway.pipeline.errors import error_kind
from glassway.pipeline.types import (
    EmbeddingsRequest,
    File,
    ImageRequest,
    ModerationRequest,
    Request,
    SpeechRequest,
    TranscriptionRequest,
)
from glassway.providers.catalogue import row_of
from glassway.providers.codecs.openai import OpenAICodec

REQUESTS: dict[str, Request] = {
    "embeddings": EmbeddingsRequest(model="m", input="x"),
    "image": ImageRequest(model="m", prompt="x"),
    "speech": SpeechRequest(model="m", input="x"),
    "transcription": TranscriptionRequest(model="m", file=File(data=b"x")),
    "moderation": ModerationRequest(model="m", input="x"),
}

tally: Counter[tuple[str, str, bool]] = Counter()


def codec(vendor: str) -> OpenAICodec:
    return OpenAICodec(row_of({"azure": "openai"}.get(vendor, vendor)).dialect)


def call(operation: str, **changes: Any) -> Call:
    return Call.start(REQUESTS[operation].but(**changes))


def decoded(one: Any) -> Any:
    return codec(one.vendor).decode(call(one.operation), one.body)


def official(one: Any) -> openai.OpenAI:
    def answer(request: httpx2.Request) -> httpx2.Response:
        kind = {"content-type": one.headers.get("content-type", "application/json")}
        return httpx2.Response(one.status, headers=kind, content=one.body, request=request)

    http = httpx2.Client(transport=httpx2.MockTransport(answer))
    return openai.OpenAI(api_key="k", base_url="http://vendor.invalid/v1", max_retries=0, http_client=http)


def read_officially(one: Any) -> Any:
    client = official(one)
    if one.operation == "embeddings":
        return client.embeddings.create(model="m", input="x")
    if one.operation == "image":
        return client.images.generate(model="m", prompt="x")
    if one.operation == "moderation":
        return client.moderations.create(model="m", input="x")
    if one.operation == "transcription":
        return client.audio.transcriptions.create(model="m", file=("a.wav", b"x"))
    return client.audio.speech.create(model="m", input="x", voice="v")


def plain(value: Any) -> Any:
    """Without what is None or empty: whether a vendor wrote `null` or nothing makes no difference."""
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items() if item not in (None, [], (), {})}
    return [plain(item) for item in value] if isinstance(value, (list, tuple)) else value


@pytest.fixture(scope="module", autouse=True)
def _table() -> Any:
    """What passed of what there is, for the reader of the test output."""
    yield
    rows = sorted({(vendor, kind) for vendor, kind, _ in tally})
    for vendor, kind in rows:
        print(f"{vendor:<12}{kind:<24}{tally[vendor, kind, True]}/{tally[vendor, kind, False]}")


def checked(one: Any, agrees: bool) -> None:
    tally[one.vendor, one.kind, False] += 1
    assert agrees
    tally[one.vendor, one.kind, True] += 1


# -- whole answers


def as_doubles(one: Any) -> list[float]:
    packed = base64.b64decode(json.loads(one.body)["data"][0]["embedding"])
    return list(struct.unpack(f"<{len(packed) // 8}d", packed))


def expected_vectors(one: Any) -> list[list[float]]:
    """vLLM's 64-bit floats are read as 32-bit ones by the official client: twice as many numbers, half of them noughts."""
    if one.vendor == "vllm":
        return [as_doubles(one)]
    return [list(item.embedding) for item in read_officially(one).data]


def expected(one: Any) -> dict[str, Any]:
    theirs = plain(read_officially(one).to_dict(mode="json", warnings=False))
    if one.operation == "embeddings":
        theirs["data"] = [
            {**item, "embedding": vector} for item, vector in zip(theirs["data"], expected_vectors(one), strict=True)
        ]
    if usage := theirs.get("usage"):
        theirs["usage"] = expected_usage(one, usage)
    return theirs


def expected_usage(one: Any, usage: dict[str, Any]) -> dict[str, Any]:
    """Prompt and completion, whatever the vendor calls them; audio is a part of Mistral's prompt, though its count is not."""
    names = {
        "input_tokens": "prompt_tokens",
        "output_tokens": "completion_tokens",
        "input_token_details": "prompt_tokens_details",
    }
    usage = {names.get(name, name): value for name, value in usage.items()}
    if one.vendor == "mistral" and one.operation == "transcription":
        usage["prompt_tokens"] = usage["total_tokens"] - usage["completion_tokens"]
    return usage


def test_a_whole_answer_reads_as_the_official_client_reads_it(whole: Any) -> None:
    if whole.operation == "speech":
        sound = decoded(whole).content
        theirs = read_officially(whole).content
        if whole.vendor == "mistral":  # the official client of OpenAI takes the JSON for the sound
            theirs = base64.b64decode(json.loads(theirs)["audio_data"])
        checked(whole, sound == theirs and decoded(whole).content_type == "audio/mpeg")
        return
    ours = plain(decoded(whole).to_dict())
    theirs = expected(whole)
    assert ours == theirs
    checked(whole, ours == theirs)


def test_the_number_of_dimensions(whole: Any) -> None:
    if whole.operation == "embeddings":
        sizes = {len(vector) for vector in decoded(whole).vectors}
        assert sizes <= {1024, 1536, 3072, 4096}


# -- streams


def chunks_of(one: Any, pieces: list[bytes]) -> list[Any]:
    decoder = codec(one.vendor).decoder(call(one.operation, stream=True))
    return [chunk for piece in pieces for chunk in decoder.feed(piece)] + list(decoder.finish())


def test_a_stream_reads_as_the_official_client_reads_it(streamed: Any) -> None:
    events = official(streamed).audio.transcriptions.create(model="m", file=("a.wav", b"x"), stream=True)
    theirs: list[Any] = list(events)
    chunks = chunks_of(streamed, [streamed.body])
    assert [chunk.text for chunk in chunks if chunk.text] == [one.delta for one in theirs if "delta" in one.type]
    response = codec(streamed.vendor).assemble(call(streamed.operation, stream=True), chunks)
    last = theirs[-1]
    assert response.text == last.text
    assert response.usage is not None
    assert response.usage.prompt_tokens == last.usage.input_tokens
    checked(streamed, response.usage.completion_tokens == last.usage.output_tokens)


def test_a_stream_reads_the_same_however_it_is_cut(streamed: Any) -> None:
    body = streamed.body
    whole = chunks_of(streamed, [body])
    for place in range(1, len(body)):
        assert chunks_of(streamed, [body[:place], body[place:]]) == whole
    assert chunks_of(streamed, [body[place : place + 1] for place in range(len(body))]) == whole


# -- errors


def test_a_refusal_is_the_official_clients_error(refusal: Any) -> None:
    with pytest.raises(openai.APIStatusError) as theirs:
        read_officially(refusal)
    ours = codec(refusal.vendor).error(refusal.status, refusal.headers, refusal.body)
    assert type(ours).__name__ == type(theirs.value).__name__
    assert error_kind(ours) in ("invalid_request", "not_found")
    checked(refusal, ours.status_code == theirs.value.status_code)
