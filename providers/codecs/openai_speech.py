"""Speech on OpenAI's wire: sound as it is, in events, or (Mistral) in JSON.

Source: https://platform.openai.com/docs/api-reference/audio/createSpeech, https://docs.mistral.ai/api/endpoint/audio/speech
"""

from __future__ import annotations

from base64 import b64decode
from typing import TYPE_CHECKING, Any, cast

from pydantic_core import from_json

from ...pipeline.errors import ResponseValidationError, StreamInterruptedError
from ...pipeline.types import SpeechChunk, SpeechRequest, SpeechResponse
from ...pipeline.types.media import type_of_bytes
from .openai_events import ObjectDecoder
from .openai_json import JSON_HEADERS, Json, body_of, counted, json_request, no_answer, object_in

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...pipeline.call import Call
    from ..codec import Encoded
    from ..dialect import Dialect

_EXPECTED = "sound"
_TYPES = {
    "mp3": "audio/mpeg",
    "opus": "audio/ogg",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm",
}


def encode_speech(call: Call, dialect: Dialect) -> Encoded:
    """The request. What streams is asked for in the vendor's way."""
    request = cast("SpeechRequest", call.request)
    body = body_of(call, dialect, without=frozenset() if request.stream else frozenset({"stream_format"}))
    if request.stream and dialect.speech_events:
        body["stream"] = True
    return json_request("/audio/speech", body)._replace(headers={**JSON_HEADERS, "accept": "*/*"})


def decode_speech(call: Call, body: bytes, dialect: Dialect) -> SpeechResponse:  # noqa: ARG001 - as all of them
    """The sound; of JSON, the sound in it."""
    usage, extra, sound = None, {}, body
    if body.lstrip()[:1] == b"{" and _is_json(body):
        data = object_in(body, _EXPECTED)
        sound = _unpacked(data, "audio_data", "audio")
        usage, extra = counted(data.pop("usage", None)), data
    if not sound:
        raise no_answer(_EXPECTED, "nothing")
    return SpeechResponse(content=sound, content_type=_kind(call, sound), usage=usage, **extra)


def speech_decoder(call: Call, dialect: Dialect) -> SpeechDecoder:  # noqa: ARG001 - as all of them
    """A decoder for one stream of sound."""
    return SpeechDecoder(call)


class SpeechDecoder:
    """Sound as it comes, or events with sound in them: the first bytes tell which."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._head = b""
        self._begun = False
        self._events: ObjectDecoder | None = None

    def feed(self, data: bytes) -> Sequence[SpeechChunk]:
        """The sound in `data`. Raises what an error event means."""
        if not self._begun:
            self._head += data
            if len(self._head) < 16:
                return ()
            data = self._begin()
        return self._pass_on(data)

    def finish(self) -> Sequence[SpeechChunk]:
        """The bytes are over. Raises `StreamInterruptedError` if there were none, or if the last event has not come."""
        rest = () if self._begun else self._pass_on(self._begin())
        if self._events is not None:
            return [*rest, *self._events.finish()]
        if not self._head:
            raise StreamInterruptedError("Expected a stream of sound, found none of it. Try again.")
        return rest

    def _begin(self) -> bytes:
        self._begun = True
        if self._head.lstrip().startswith((b"data:", b"event:", b":")):
            self._events = ObjectDecoder(self._event)
        return self._head

    def _pass_on(self, data: bytes) -> Sequence[SpeechChunk]:
        if self._events is not None:
            return self._events.feed(data)
        return [SpeechChunk(data, _kind(self._call, self._head))] if data else ()

    def _event(self, event: Json) -> tuple[SpeechChunk | None, bool]:
        kind = event.pop("type", None)
        if kind == "speech.audio.delta":
            sound = _unpacked(event, "audio", "audio_data")
            return SpeechChunk(sound, _kind(self._call, sound)), False
        if kind == "speech.audio.done":
            return SpeechChunk(usage=counted(event.pop("usage", None)), extra=event or None), True
        return None, False


def _kind(call: Call, sound: bytes) -> str:
    asked = getattr(call.request, "response_format", None) or "mp3"
    return type_of_bytes(sound) or _TYPES.get(asked, f"audio/{asked}")


def _is_json(body: bytes) -> bool:
    try:
        from_json(body)
    except ValueError:
        return False
    return True


def _unpacked(data: Json, *names: str) -> bytes:
    packed: Any = next((data.pop(name) for name in names if name in data), None)
    if not isinstance(packed, str):
        raise no_answer(_EXPECTED, "JSON without it")
    try:
        return b64decode(packed, validate=True)
    except ValueError as error:
        raise ResponseValidationError("Expected sound in base64, found text that is none.") from error
