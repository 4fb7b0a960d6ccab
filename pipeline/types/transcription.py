"""The transcription operation: sound in, text out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, NamedTuple

from pydantic import Field

from .base import Operation, Request, Response
from .media import File
from .usage import Usage


class TranscriptionRequest(Request):
    """Speech to be written down, in OpenAI's shape; unknown fields are kept and passed on.

    Source: https://platform.openai.com/docs/api-reference/audio/createTranscription
    """

    operation: ClassVar[Operation] = "transcription"

    file: File
    task: Literal["transcribe", "translate"] = "transcribe"
    """`translate` writes down in English what was said in another language."""
    language: str | None = None
    prompt: str | None = None
    response_format: str | None = None
    """`json` (the vendor's default), `verbose_json`, `diarized_json`, `text`, `srt` or `vtt`."""
    temperature: float | None = None
    timestamp_granularities: tuple[str, ...] | None = None
    include: tuple[str, ...] | None = None
    chunking_strategy: str | dict[str, Any] | None = None


class TranscriptionResponse(Response):
    """What was said. With `response_format` `srt`, `vtt` or `text`, the text is that file's."""

    operation: ClassVar[Operation] = "transcription"

    transcript: str = Field(default="", alias="text")
    model: str = ""
    language: str | None = None
    duration: float | None = None
    """Seconds of sound."""
    segments: tuple[dict[str, Any], ...] | None = None
    words: tuple[dict[str, Any], ...] | None = None
    logprobs: tuple[dict[str, Any], ...] | None = None

    @property
    def text(self) -> str:
        """What was said."""
        return self.transcript


class TranscriptionChunk(NamedTuple):
    """One event of a streamed transcript."""

    delta: str = ""
    segment: Mapping[str, Any] | None = None
    """A finished segment with its speaker, where the vendor tells speakers apart."""
    logprobs: Sequence[Mapping[str, Any]] = ()
    whole: str | None = None
    """The whole transcript, on the last chunk."""
    model: str = ""
    usage: Usage | None = None
    extra: Mapping[str, Any] | None = None

    @property
    def text(self) -> str:
        """What the transcript grows by."""
        return self.delta

    @property
    def has_content(self) -> bool:
        """Whether text is in it."""
        return bool(self.delta) or self.segment is not None


def assemble_transcription(chunks: Sequence[TranscriptionChunk]) -> TranscriptionResponse:
    """The transcript as a whole: the vendor's own, or the pieces joined where the stream was cut."""
    whole = next((chunk.whole for chunk in reversed(chunks) if chunk.whole is not None), None)
    fields: dict[str, Any] = {}
    for chunk in chunks:
        fields.update(chunk.extra or {})
    if segments := tuple(dict(chunk.segment) for chunk in chunks if chunk.segment is not None):
        fields["segments"] = segments
    if logprobs := tuple(dict(entry) for chunk in chunks for entry in chunk.logprobs):
        fields["logprobs"] = logprobs
    if model := next((chunk.model for chunk in chunks if chunk.model), ""):
        fields["model"] = model
    usage = next((chunk.usage for chunk in reversed(chunks) if chunk.usage is not None), None)
    text = whole if whole is not None else "".join(chunk.delta for chunk in chunks)
    return TranscriptionResponse.model_construct(**fields, transcript=text, usage=usage)
