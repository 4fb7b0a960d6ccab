"""Transcription and translation of speech on OpenAI's wire.

Source: https://platform.openai.com/docs/api-reference/audio/createTranscription,
https://docs.mistral.ai/api/endpoint/audio/transcriptions, https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html#transcriptions-api
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from ...pipeline.errors import ResponseValidationError
from ...pipeline.types import TranscriptionChunk, TranscriptionRequest, TranscriptionResponse
from .multipart import form_request
from .openai_events import ObjectDecoder
from .openai_json import Json, body_of, counted, fitted, no_answer, object_in

if TYPE_CHECKING:
    from ...pipeline.call import Call
    from ..codec import Encoded
    from ..dialect import Dialect

_EXPECTED = "a transcript"
_PATHS = {"transcribe": "/audio/transcriptions", "translate": "/audio/translations"}
_FILES = frozenset({"text", "srt", "vtt"})
"""Formats that come as plain text."""

_DONE = frozenset({"transcript.text.done", "transcription.done"})
_DELTAS = frozenset({"transcript.text.delta", "transcription.text.delta"})
_SEGMENTS = frozenset({"transcript.text.segment", "transcription.segment"})
"""OpenAI's names, and Mistral's."""


def encode_transcription(call: Call, dialect: Dialect) -> Encoded:
    """The request: a form with the sound in it."""
    request = cast("TranscriptionRequest", call.request)
    fields = body_of(call, dialect, without=frozenset({"file", "task"}))
    if request.stream:
        fields["stream"] = True
    encoded = form_request(_PATHS[request.task], fields, [("file", request.file)])
    if request.response_format in _FILES and not request.stream:
        encoded = encoded._replace(headers={**encoded.headers, "accept": "*/*"})
    return encoded


def decode_transcription(call: Call, body: bytes, dialect: Dialect) -> TranscriptionResponse:  # noqa: ARG001 - as all of them
    """The transcript, from JSON of any of the formats, or the text that it is."""
    if getattr(call.request, "response_format", None) in _FILES and body.lstrip()[:1] != b"{":
        return TranscriptionResponse(text=_text(body))
    data = object_in(body, _EXPECTED)
    if not isinstance(data.get("text"), str):
        raise no_answer(_EXPECTED, "an object without text")
    counts = data.pop("usage", None)
    usage = counted(counts)
    if usage is None and isinstance(counts, dict) and "seconds" in counts and data.get("duration") is None:
        data["duration"] = counts["seconds"]
    known = {name: value for name, value in data.items() if value is not None or name != "model"}
    return fitted(TranscriptionResponse, {**known, "usage": usage}, _EXPECTED)


def transcription_decoder(call: Call, dialect: Dialect) -> ObjectDecoder:  # noqa: ARG001 - as all of them
    """A decoder for one streamed transcript."""
    return ObjectDecoder(_event)


def _event(event: Json) -> tuple[TranscriptionChunk | None, bool]:
    if "choices" in event:
        return _of_choices(event)
    kind = event.pop("type", None)
    try:
        if kind in _DELTAS:
            delta = event.pop("delta", None) or event.pop("text", None) or ""
            return TranscriptionChunk(delta=delta, logprobs=tuple(event.pop("logprobs", None) or ())), False
        if kind in _SEGMENTS:
            return TranscriptionChunk(segment=event), False
        if kind in _DONE:
            return _last(event), True
    except (TypeError, AttributeError, ValueError) as error:
        raise ResponseValidationError(
            f"Expected events of a transcript, found one with fields of other types ({type(error).__name__})."
        ) from error
    return (
        (TranscriptionChunk(extra={"language": event["audio_language"]}), False)
        if "audio_language" in event
        else (None, False)
    )


def _last(event: Json) -> TranscriptionChunk:
    for said_before in ("logprobs", "segments"):
        event.pop(said_before, None)
    model, usage = event.pop("model", None) or "", counted(event.pop("usage", None))
    whole = event.pop("text", None)
    extra = {name: value for name, value in event.items() if value is not None}
    return TranscriptionChunk(whole=whole, model=model, usage=usage, extra=extra or None)


def _of_choices(event: Json) -> tuple[TranscriptionChunk, bool]:
    """vLLM streams transcripts in the form of chats; counts may follow the finish."""
    choice: Any = next(iter(event.get("choices") or ()), {})
    text = (choice.get("delta") or {}).get("content") or ""
    chunk = TranscriptionChunk(delta=text, model=event.get("model") or "", usage=counted(event.get("usage")))
    return chunk, bool(choice.get("finish_reason"))


def _text(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise no_answer(_EXPECTED, f"{len(body)} bytes that are no UTF-8") from error
