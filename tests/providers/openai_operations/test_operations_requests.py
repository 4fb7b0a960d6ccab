"""Requests of the operations beyond chat: what the vendors' own clients sent goes out again, and fits the official types."""

from __future__ import annotations

import email.parser
import email.policy
import importlib
import pkgutil
from functools import cache
from typing import Any

import openai.types
import pytest
import typing_extensions
from jsonschema import Draft202012Validator
from pydantic import ConfigDict, TypeAdapter
from pydantic_core import from_json

from glassway.pipeline.call import Call
from glassway.pipeline.errors import BadRequestError
from glassway.pipeline.facts import TRANSLATION
from glassway.pipeline.types import (
    EmbeddingsRequest,
    File,
    ImageRequest,
    ModerationRequest,
    Request,
    RerankRequest,
    SpeechRequest,
    TranscriptionRequest,
)
from glassway.providers.catalogue import ROWS, row_of
from glassway.providers.codec import Encoded
from glassway.providers.codecs import multipart
from glassway.providers.codecs.openai import OpenAICodec
from glassway.providers.dialect import COMPATIBLE, MISTRAL, OPENAI

KINDS: dict[str, type[Request]] = {
    "embeddings": EmbeddingsRequest,
    "image": ImageRequest,
    "speech": SpeechRequest,
    "moderation": ModerationRequest,
}
WAV = b"RIFF\x24\x00\x00\x00WAVEfmt "
PNG = b"\x89PNG\r\n\x1a\n"


def encoded(request: Request, dialect: Any = OPENAI) -> tuple[Encoded, Call]:
    call = Call.start(request)
    return OpenAICodec(dialect).encode(call), call


def body(request: Request, dialect: Any = OPENAI) -> dict[str, Any]:
    return dict(from_json(encoded(request, dialect)[0].content))


Form = tuple[list[tuple[str, str]], list[tuple[str, str, str, bytes]]]


def form_of(content_type: str, content: bytes) -> Form:
    """Fields and files of a form, read by the standard library."""
    head = f"Content-Type: {content_type}\r\n\r\n".encode()
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + content)
    fields: list[tuple[str, str]] = []
    files: list[tuple[str, str, str, bytes]] = []
    for part in message.iter_parts():
        name = str(part.get_param("name", header="content-disposition"))
        data = part.get_payload(decode=True)
        assert isinstance(data, bytes)
        if (filename := part.get_filename()) is not None:
            files.append((name, filename, part.get_content_type(), data))
        else:
            fields.append((name, data.decode()))
    return fields, files


def sent_form(request: Request) -> Form:
    sent, _ = encoded(request)
    return form_of(sent.headers["content-type"], sent.content)


# -- recorded requests


def test_a_recorded_request_goes_out_as_it_came(asked: Any) -> None:
    dialect = row_of({"azure": "openai"}.get(asked.vendor, asked.vendor)).dialect
    sent = body(KINDS[asked.operation].model_validate(asked.request), dialect)
    if "encoding_format" not in asked.request:
        assert sent.pop("encoding_format", "base64") == "base64"
    assert sent == asked.request


def test_a_recorded_form_goes_out_as_it_came(form: Any) -> None:
    fields, files = form_of(form.form_type, form.form)
    given: dict[str, Any] = dict(fields)
    stream = given.pop("stream", "") == "true"
    if form.operation == "transcription":
        [(_, filename, kind, data)] = files
        file = File(data=data, filename=filename, content_type=kind)
        task = "translate" if form.kind == "translation" else "transcribe"
        request: Request = TranscriptionRequest.model_validate({**given, "file": file, "task": task, "stream": stream})
    else:
        by_name = {name: File(data=data, filename=filename, content_type=kind) for name, filename, kind, data in files}
        images = (by_name["image"],)
        given = {"model": "dall-e-2", **given}  # the vendor's default; ours must be said
        fields = list(given.items())
        request = ImageRequest.model_validate(
            {**given, "images": images, "mask": by_name.get("mask"), "stream": stream}
        )
    sent_fields, sent_files = sent_form(request)
    assert {name: _number(value) for name, value in sent_fields} == {name: _number(value) for name, value in fields}
    assert sorted((name, data) for name, _, _, data in sent_files) == sorted((name, data) for name, _, _, data in files)
    assert {name for _, name, _, _ in sent_files} == {name for _, name, _, _ in files}


def _number(value: str) -> Any:
    try:
        return float(value)
    except ValueError:
        return value


# -- the official types


@cache
def validator(module: str, name: str) -> Draft202012Validator:
    for found in pkgutil.walk_packages(openai.types.__path__, "openai.types."):
        for value in vars(importlib.import_module(found.name)).values():
            if isinstance(value, type) and typing_extensions.is_typeddict(value):
                value.__pydantic_config__ = ConfigDict(extra="forbid", arbitrary_types_allowed=True)  # type: ignore[attr-defined]
    kind = getattr(importlib.import_module(f"openai.types.{module}"), name)
    return Draft202012Validator(TypeAdapter(kind).json_schema())


VALID = [
    ("embedding_create_params", "EmbeddingCreateParams", EmbeddingsRequest(model="text-embedding-3-small", input=("a", "b"), dimensions=8, user="u")),
    ("embedding_create_params", "EmbeddingCreateParams", EmbeddingsRequest(model="text-embedding-3-small", input=((1, 2), (3,)), encoding_format="float")),
    ("image_generate_params", "ImageGenerateParamsNonStreaming", ImageRequest(model="gpt-image-1", prompt="a cat", n=2, size="1024x1024", quality="low", output_format="png")),
    ("image_generate_params", "ImageGenerateParamsStreaming", ImageRequest(model="gpt-image-1", prompt="a cat", stream=True, partial_images=1)),
    ("audio.speech_create_params", "SpeechCreateParams", SpeechRequest(model="gpt-4o-mini-tts", input="Hello", voice="alloy", speed=1.2, instructions="Whisper.", response_format="wav")),
    ("audio.speech_create_params", "SpeechCreateParams", SpeechRequest(model="gpt-4o-mini-tts", input="Hello", voice="alloy", stream=True, stream_format="sse")),
    ("moderation_create_params", "ModerationCreateParams", ModerationRequest(model="omni-moderation-latest", input=("a", "b"))),
    ("moderation_create_params", "ModerationCreateParams", ModerationRequest(model="omni-moderation-latest", input=({"type": "text", "text": "x"}, {"type": "image_url", "image_url": {"url": "https://x.invalid/a.png"}}))),
]  # fmt: skip


@pytest.mark.parametrize(("module", "name", "request_"), VALID)
def test_a_request_fits_the_official_type(module: str, name: str, request_: Request) -> None:
    problems = [error.message for error in validator(module, name).iter_errors(body(request_))]
    assert problems == []


def test_the_official_type_refuses_what_is_wrong() -> None:
    wrong = body(SpeechRequest(model="m", input="x", voice="v", nonsense=1))  # type: ignore[call-arg]
    assert list(validator("audio.speech_create_params", "SpeechCreateParams").iter_errors(wrong))


# -- what each operation sends


def test_vectors_are_asked_for_packed_only_where_that_is_known_to_work() -> None:
    request = EmbeddingsRequest(model="m", input="x")
    assert body(request)["encoding_format"] == "base64"
    assert "encoding_format" not in body(request, COMPATIBLE)
    assert body(request.but(encoding_format="float"))["encoding_format"] == "float"


def test_mistral_calls_dimensions_otherwise_and_takes_no_user() -> None:
    sent, call = encoded(
        EmbeddingsRequest(model="mistral/codestral-embed", input="x", dimensions=64, user="u"), MISTRAL
    )
    assert from_json(sent.content) == {"model": "mistral/codestral-embed", "input": "x", "output_dimension": 64}
    assert {(note.parameter, note.action) for note in call.trail(TRANSLATION)} == {
        ("dimensions", "renamed"),
        ("user", "dropped"),
    }


def test_unknown_fields_pass_through() -> None:
    assert body(RerankRequest(model="m", query="q", documents=("a",), priority=3), COMPATIBLE)["priority"] == 3  # type: ignore[call-arg]


@pytest.mark.parametrize(("dialect", "field"), [(OPENAI, "stream_format"), (MISTRAL, "stream")])
def test_streamed_speech_is_asked_for_in_the_vendors_way(dialect: Any, field: str) -> None:
    request = SpeechRequest(model="m", input="x", voice="v", stream=True, stream_format="sse")
    assert field in body(request, dialect)
    assert {"stream", "stream_format"} & body(request, dialect).keys() == {field}


def test_a_transcription_is_a_form() -> None:
    file = File(data=WAV, filename="a.wav")
    request = TranscriptionRequest(
        model="whisper-1", file=file, language="de", temperature=0.5, timestamp_granularities=("word", "segment"),
        chunking_strategy={"type": "server_vad", "threshold": 0.5}, stream=True,
    )  # fmt: skip
    fields, files = sent_form(request)
    assert sorted(fields) == [
        ("chunking_strategy[threshold]", "0.5"),
        ("chunking_strategy[type]", "server_vad"),
        ("language", "de"),
        ("model", "whisper-1"),
        ("stream", "true"),
        ("temperature", "0.5"),
        ("timestamp_granularities[]", "segment"),
        ("timestamp_granularities[]", "word"),
    ]
    assert files == [("file", "a.wav", "audio/x-wav" if files[0][2] == "audio/x-wav" else "audio/wav", WAV)]


@pytest.mark.parametrize(
    ("request_", "path", "names"),
    [
        (ImageRequest(model="m", prompt="blue", images=(File(data=PNG),)), "/images/edits", ["image"]),
        (ImageRequest(model="m", prompt="blue", images=(File(data=PNG), File(data=PNG)), mask=File(data=PNG)), "/images/edits", ["image[]", "image[]", "mask"]),
        (ImageRequest(model="m", images=(File(data=PNG),)), "/images/variations", ["image"]),
    ],
)  # fmt: skip
def test_pictures_go_out_as_files(request_: Request, path: str, names: list[str]) -> None:
    assert encoded(request_)[0].path == path
    _, files = sent_form(request_)
    assert [(name, filename, kind) for name, filename, kind, _ in files] == [
        (name, "file.png", "image/png") for name in names
    ]


def test_a_file_name_cannot_break_out_of_its_header() -> None:
    file = File(data=WAV, filename='a"\r\nX-Evil: 1\r\n\r\n.wav', content_type="audio/wav\r\nX-Evil: 2")
    sent, _ = encoded(TranscriptionRequest(model="m", file=file))
    assert b"\r\nX-Evil" not in sent.content
    assert b'filename="a%22%0D%0AX-Evil: 1' in sent.content


def test_a_form_is_bounded() -> None:
    class Huge(bytes):
        def __len__(self) -> int:
            return multipart.MAX_FORM_BYTES + 1

    file = File.model_construct(data=Huge(b"x"), filename="a.wav", content_type="audio/wav")
    with pytest.raises(BadRequestError, match="at most 256 MiB"):
        multipart.form_request("/x", {}, [("file", file)])


def test_pictures_are_files_or_places_but_not_both() -> None:
    with pytest.raises(BadRequestError, match="mixture"):
        encoded(ImageRequest(model="m", prompt="x", images=(File(data=PNG), {"image_url": "https://x.invalid/a.png"})))


def test_a_picture_of_nothing_is_refused() -> None:
    with pytest.raises(BadRequestError, match="Expected a prompt"):
        encoded(ImageRequest(model="m"))


@pytest.mark.parametrize("row", [row for row in ROWS if row.codec == "openai"], ids=lambda row: row.name)
def test_each_vendor_is_asked_only_for_what_it_has(row: Any) -> None:
    every = [
        EmbeddingsRequest(model="m", input="x"), ImageRequest(model="m", prompt="x"), SpeechRequest(model="m", input="x"),
        TranscriptionRequest(model="m", file=File(data=WAV)), ModerationRequest(model="m", input="x"),
        RerankRequest(model="m", query="q", documents=("a",)),
    ]  # fmt: skip
    for request in every:
        if request.operation in row.dialect.operations:
            assert encoded(request, row.dialect)[0].path.startswith("/")
        else:
            with pytest.raises(BadRequestError, match=f"found {request.operation}"):
                encoded(request, row.dialect)


def test_what_comes_whole_cannot_be_streamed() -> None:
    with pytest.raises(BadRequestError, match="comes whole"):
        encoded(EmbeddingsRequest(model="m", input="x", stream=True))


@pytest.mark.parametrize(
    ("kind", "fields"), [(EmbeddingsRequest, {"input": []}), (RerankRequest, {"query": "q", "documents": []})]
)
def test_nothing_is_no_request(kind: type[Request], fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="found none"):
        kind(model="m", **fields)
