"""Answers of the operations beyond chat that no recording has: other formats, other servers, and damage."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from glassway.pipeline.call import Call
from glassway.pipeline.errors import (
    APIError,
    BadRequestError,
    GlasswayError,
    InternalServerError,
    ResponseValidationError,
    StreamInterruptedError,
)
from glassway.pipeline.types import (
    EmbeddingsRequest,
    File,
    ImageChunk,
    ImageRequest,
    ImageResponse,
    ModerationRequest,
    Request,
    RerankRequest,
    SpeechRequest,
    TranscriptionRequest,
)
from glassway.providers.codecs.openai import OpenAICodec
from glassway.providers.dialect import COMPATIBLE

REQUESTS: dict[str, Request] = {
    "embeddings": EmbeddingsRequest(model="m", input="x"),
    "image": ImageRequest(model="m", prompt="x"),
    "speech": SpeechRequest(model="m", input="x"),
    "transcription": TranscriptionRequest(model="m", file=File(data=b"x")),
    "moderation": ModerationRequest(model="m", input="x"),
    "rerank": RerankRequest(model="m", query="q", documents=("a", "b")),
}
STREAMS = ("image", "speech", "transcription")
CODEC = OpenAICodec(COMPATIBLE)


def call(operation: str, **changes: Any) -> Call:
    return Call.start(REQUESTS[operation].but(**changes))


def decoded(operation: str, body: Any, **changes: Any) -> Any:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return CODEC.decode(call(operation, **changes), content)


def events(*objects: Any) -> bytes:
    return b"".join(b"data: " + json.dumps(item).encode() + b"\n\n" for item in objects)


def streamed(operation: str, body: bytes, **changes: Any) -> list[Any]:
    decoder = CODEC.decoder(call(operation, stream=True, **changes))
    return [*decoder.feed(body), *decoder.finish()]


def joined(operation: str, chunks: list[Any]) -> Any:
    return CODEC.assemble(call(operation, stream=True), chunks)


def packed(data: bytes) -> str:
    return base64.b64encode(data).decode()


# -- embeddings


def test_vectors_come_in_the_order_of_their_inputs() -> None:
    data = [{"index": 1, "embedding": [1.0]}, {"index": 0, "embedding": [0.0]}]
    assert decoded("embeddings", {"data": data}).vectors == ((0.0,), (1.0,))


def test_a_vector_of_noughts_is_not_taken_for_another_format() -> None:
    assert decoded("embeddings", {"data": [{"embedding": packed(bytes(4))}]}).vector == (0.0,)


@pytest.mark.parametrize("vector", ["%%%", packed(b"12345"), {"a": 1}, ["x"], None])
def test_a_vector_that_is_none(vector: Any) -> None:
    with pytest.raises(ResponseValidationError, match="Expected embeddings"):
        decoded("embeddings", {"data": [{"embedding": vector}]})


# -- speech


@pytest.mark.parametrize(
    ("sound", "kind"),
    [(b"ID3\x04", "audio/mpeg"), (b"\xff\xfb\x90", "audio/mpeg"), (b"OggS", "audio/ogg"), (b"fLaC", "audio/flac"),
     (b"RIFF\0\0\0\0WAVE", "audio/wav"), (b"\0\1", "audio/pcm")],
)  # fmt: skip
def test_the_sound_tells_its_kind(sound: bytes, kind: str) -> None:
    response = decoded("speech", sound, response_format="pcm")
    assert (response.content, response.content_type) == (sound, kind)


def test_sound_that_looks_like_json_is_sound() -> None:
    assert decoded("speech", b"{\x00\xff", response_format="pcm").content == b"{\x00\xff"


def test_no_sound_is_no_answer() -> None:
    with pytest.raises(ResponseValidationError, match="found nothing"):
        decoded("speech", b"")


@pytest.mark.parametrize("size", [1, 5, 1000])
def test_streamed_sound_is_the_sound(size: int) -> None:
    sound = b"ID3" + bytes(range(256)) * 4
    decoder = CODEC.decoder(call("speech", stream=True))
    chunks = [chunk for at in range(0, len(sound), size) for chunk in decoder.feed(sound[at : at + size])]
    response = joined("speech", [*chunks, *decoder.finish()])
    assert (response.content, response.content_type) == (sound, "audio/mpeg")


def test_a_short_sound_is_not_lost() -> None:
    assert joined("speech", streamed("speech", b"ID3")).content == b"ID3"


@pytest.mark.parametrize("field", ["audio", "audio_data"])
def test_sound_in_events(field: str) -> None:
    body = events(
        {"type": "speech.audio.delta", field: packed(b"ID3a")},
        {"type": "speech.audio.delta", field: packed(b"b")},
        {"type": "speech.audio.done", "usage": {"input_tokens": 4, "output_tokens": 9, "total_tokens": 13}},
    )
    for place in range(1, len(body)):
        decoder = CODEC.decoder(call("speech", stream=True))
        response = joined("speech", [*decoder.feed(body[:place]), *decoder.feed(body[place:]), *decoder.finish()])
        assert response.content == b"ID3ab"
        assert (response.usage.prompt_tokens, response.usage.completion_tokens) == (4, 9)


# -- transcription


@pytest.mark.parametrize("file_format", ["text", "srt", "vtt"])
def test_a_transcript_as_text(file_format: str) -> None:
    text = "1\n00:00:00,000 --> 00:00:01,000\nÜber uns\n"
    assert decoded("transcription", text.encode(), response_format=file_format).text == text


def test_a_verbose_transcript() -> None:
    body = {
        "task": "transcribe", "language": "english", "duration": 1.5, "text": "Hi.",
        "segments": [{"id": 0, "start": 0.0, "end": 1.5, "text": "Hi."}], "words": [{"word": "Hi", "start": 0, "end": 1}],
        "usage": {"type": "duration", "seconds": 2},
    }  # fmt: skip
    response = decoded("transcription", body, response_format="verbose_json")
    assert (response.text, response.language, response.duration, response.usage) == ("Hi.", "english", 1.5, None)
    assert response.segments[0]["end"] == 1.5
    assert response.words[0]["word"] == "Hi"


def test_seconds_are_no_tokens() -> None:
    response = decoded("transcription", {"text": "Hi.", "usage": {"type": "duration", "seconds": 3}})
    assert (response.usage, response.duration) == (None, 3.0)


def test_mistrals_events() -> None:
    body = events(
        {"type": "transcription.language", "audio_language": "en"},
        {"type": "transcription.text.delta", "text": "Hi "},
        {"type": "transcription.text.delta", "text": "you"},
        {"type": "transcription.segment", "text": "Hi you", "start": 0.0, "end": 1.0},
        {"type": "transcription.done", "model": "voxtral", "text": "Hi you", "segments": [],
         "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}},
    )  # fmt: skip
    response = joined("transcription", streamed("transcription", body))
    assert (response.text, response.language, response.model) == ("Hi you", "en", "voxtral")
    assert response.segments == ({"text": "Hi you", "start": 0.0, "end": 1.0},)
    assert response.usage.total_tokens == 5


def test_vllms_events() -> None:
    def chunk(text: str, finish: str | None = None) -> dict[str, Any]:
        return {
            "object": "transcription.chunk",
            "model": "whisper",
            "choices": [{"delta": {"content": text}, "finish_reason": finish}],
        }

    counts = {"object": "transcription.chunk", "model": "whisper", "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}}  # fmt: skip
    body = events(chunk("Hi"), chunk(" you", "stop"), counts) + b"data: [DONE]\n\n"
    response = joined("transcription", streamed("transcription", body))
    assert (response.text, response.model, response.usage.total_tokens) == ("Hi you", "whisper", 5)


def test_what_was_heard_of_a_cut_stream_is_kept() -> None:
    body = events({"type": "transcript.text.delta", "delta": "Hi"})
    decoder = CODEC.decoder(call("transcription", stream=True))
    chunks = [*decoder.feed(body)]
    with pytest.raises(StreamInterruptedError, match="without its last event"):
        decoder.finish()
    assert joined("transcription", chunks).text == "Hi"


# -- images


def test_a_picture_with_counts() -> None:
    usage = {"input_tokens": 10, "output_tokens": 20, "total_tokens": 30, "input_tokens_details": {"image_tokens": 4, "text_tokens": 6}}  # fmt: skip
    response = decoded("image", {"created": 1, "data": [{"b64_json": packed(b"png")}], "usage": usage})
    assert response.image.content == b"png"
    assert (response.usage.prompt_tokens, response.usage.completion_tokens) == (10, 20)
    assert response.usage.prompt_tokens_details.image_tokens == 4


def test_streamed_pictures() -> None:
    body = events(
        {"type": "image_generation.partial_image", "b64_json": packed(b"half"), "partial_image_index": 0},
        {"type": "image_generation.completed", "b64_json": packed(b"one"), "created_at": 5, "size": "1x1"},
        {"type": "image_generation.completed", "b64_json": packed(b"two"), "created_at": 6,
         "usage": {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}},
    )  # fmt: skip
    chunks = streamed("image", body, n=2)
    assert [chunk.partial_index for chunk in chunks] == [0, None, None]
    response = joined("image", chunks)
    assert isinstance(response, ImageResponse)
    assert [image.content for image in response.data] == [b"one", b"two"]
    assert (response.size, response.created) == ("1x1", 6)


def test_a_preview_is_no_picture() -> None:
    assert joined("image", [ImageChunk(b64_json="aGk=", partial_index=0)]).data == ()


# -- moderation and reranking


def test_a_verdict_without_a_conclusion() -> None:
    results = [{"categories": {"pii": True}, "category_scores": {"pii": 0.9}}, {"categories": {"pii": False}}]
    response = decoded("moderation", {"id": "1", "model": "m", "results": results})
    assert [result.flagged for result in response.results] == [True, False]
    assert response.flagged


@pytest.mark.parametrize(
    "body",
    [
        {"id": "r", "results": [{"index": 1, "relevance_score": 0.9}, {"index": 0, "relevance_score": 0.1}], "meta": {"billed_units": {"search_units": 1}}},
        {"model": "m", "results": [{"index": 0, "relevance_score": 0.1}, {"index": 1, "relevance_score": 0.9, "document": {"text": "b"}}], "usage": {"total_tokens": 7}},
        {"data": [{"index": 0, "score": 0.1}, {"index": 1, "score": 0.9}]},
    ],
    ids=["Cohere's", "vLLM's and Jina's", "others'"],
)  # fmt: skip
def test_a_ranking(body: dict[str, Any]) -> None:
    response = decoded("rerank", body)
    assert response.order == (1, 0)
    assert response.results[0].relevance_score == 0.9
    assert response.usage is None or response.usage.total_tokens == 7


# -- bad input


BAD: list[bytes] = [
    b"",
    b"{",
    b"null",
    b"[]",
    b'"x"',
    b"{}",
    b"<html>",
    b'{"data": 1}',
    b'{"results": [1]}',
    b'{"text": 1}',
    b"\xff\xfe",
]


@pytest.mark.parametrize("body", BAD)
@pytest.mark.parametrize("operation", sorted(REQUESTS.keys() - {"speech"}))
def test_nonsense_is_no_answer(operation: str, body: bytes) -> None:
    with pytest.raises(ResponseValidationError):
        decoded(operation, body)


@pytest.mark.parametrize("operation", sorted(REQUESTS))
def test_an_error_in_a_good_status(operation: str) -> None:
    with pytest.raises(BadRequestError, match="too long"):
        decoded(operation, {"error": {"message": "too long", "type": "invalid_request_error"}})


@pytest.mark.parametrize("operation", STREAMS)
def test_an_error_inside_a_stream(operation: str) -> None:
    with pytest.raises(InternalServerError, match="broke"):
        streamed(operation, events({"error": {"message": "it broke", "type": "server_error"}}))


@pytest.mark.parametrize("operation", STREAMS)
def test_a_stream_of_nothing_is_cut(operation: str) -> None:
    with pytest.raises(StreamInterruptedError):
        streamed(operation, b"")


@pytest.mark.parametrize("operation", STREAMS)
@pytest.mark.parametrize("body", [b"data: {\n\n", b"data: []\n\n", b"data: [DONE]\n\n", b'data: {"type": "other"}\n\n'])
def test_nonsense_inside_a_stream_is_our_error(operation: str, body: bytes) -> None:
    with pytest.raises(APIError):
        streamed(operation, body + b" " * 20)


def test_fields_of_other_types_inside_a_stream() -> None:
    with pytest.raises(ResponseValidationError, match="other types"):
        streamed("transcription", events({"type": "transcript.text.delta", "delta": "x", "logprobs": 1}))


def test_errors_never_hold_what_was_asked() -> None:
    with pytest.raises(GlasswayError) as caught:
        decoded("embeddings", {"data": [{"embedding": ["a secret"]}]})
    assert "a secret" not in str(caught.value)
