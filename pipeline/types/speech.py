"""The speech operation: text in, sound out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from pydantic import ConfigDict, Field

from .base import Operation, Request, Response
from .usage import Usage


class SpeechRequest(Request):
    """A text to be spoken, in OpenAI's shape; unknown fields are kept and passed on.

    Source: https://platform.openai.com/docs/api-reference/audio/createSpeech
    """

    operation: ClassVar[Operation] = "speech"

    input: str
    voice: str | dict[str, Any] | None = None
    instructions: str | None = None
    response_format: str | None = None
    speed: float | None = None
    stream_format: str | None = None
    """Of a stream: `audio` is the sound itself as it is made, `sse` brings token counts too."""


class SpeechResponse(Response):
    """Sound. As JSON, its bytes are base64."""

    operation: ClassVar[Operation] = "speech"
    model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")

    content: bytes = Field(default=b"", repr=False)
    content_type: str = ""
    model: str = ""

    def save(self, path: str | PathLike[str]) -> None:
        """Write the sound to a file, over what is there."""
        Path(path).write_bytes(self.content)


class SpeechChunk(NamedTuple):
    """A piece of sound."""

    data: bytes = b""
    content_type: str = ""
    usage: Usage | None = None
    extra: Mapping[str, Any] | None = None

    @property
    def text(self) -> str:
        """Sound has none."""
        return ""

    @property
    def has_content(self) -> bool:
        """Whether sound is in it."""
        return bool(self.data)


def assemble_speech(chunks: Sequence[SpeechChunk]) -> SpeechResponse:
    """The sound as a whole."""
    usage = next((chunk.usage for chunk in reversed(chunks) if chunk.usage is not None), None)
    kind = next((chunk.content_type for chunk in chunks if chunk.content_type), "")
    return SpeechResponse.model_construct(
        content=b"".join(chunk.data for chunk in chunks), content_type=kind, usage=usage
    )
