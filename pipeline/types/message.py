"""Messages and their parts, in OpenAI's shape, with room for what other vendors need on the next turn.

Source: https://platform.openai.com/docs/api-reference/chat/create
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Tag, field_validator

from .base import Model, Tagged

Role = Literal["system", "developer", "user", "assistant", "tool", "function"]


class _Part(Tagged):
    cache_control: dict[str, Any] | None = None
    """A vendor's mark "cache the prompt up to here" (Anthropic: `{"type": "ephemeral", "ttl": "5m"}`)."""


class TextPart(_Part):
    """`{"type": "text", "text": ...}`"""

    type: Literal["text"] = "text"
    text: str


class ImageURL(Model):
    """`url` is `https:` or a `data:` URL with base64; `detail` is `auto | low | high`."""

    url: str
    detail: str | None = None


class ImagePart(_Part):
    """`{"type": "image_url", "image_url": {"url": ...}}`"""

    type: Literal["image_url"] = "image_url"
    image_url: ImageURL

    @field_validator("image_url", mode="before")
    @classmethod
    def _bare_url(cls, value: Any) -> Any:
        """Mistral's clients write the URL itself."""
        return {"url": value} if isinstance(value, str) else value


class InputAudio(Model):
    """`data` is base64, `format` a name such as `wav` or `mp3`."""

    data: str
    format: str


class AudioPart(_Part):
    """`{"type": "input_audio", "input_audio": {...}}`"""

    type: Literal["input_audio"] = "input_audio"
    input_audio: InputAudio


class FileData(Model):
    """A document: `file_data` (a `data:` URL) with `filename`, or the `file_id` of an uploaded one."""

    file_data: str | None = None
    file_id: str | None = None
    filename: str | None = None


class FilePart(_Part):
    """`{"type": "file", "file": {...}}`"""

    type: Literal["file"] = "file"
    file: FileData


class RefusalPart(_Part):
    """`{"type": "refusal", "refusal": ...}`"""

    type: Literal["refusal"] = "refusal"
    refusal: str


class OtherPart(_Part):
    """A part of a type that we do not know; kept as it came."""

    type: str


_KNOWN_PARTS = frozenset({"text", "image_url", "input_audio", "file", "refusal"})


def _part_tag(value: Any) -> str:
    kind = value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
    return kind if kind in _KNOWN_PARTS else "other"


Part = Annotated[
    Annotated[TextPart, Tag("text")]
    | Annotated[ImagePart, Tag("image_url")]
    | Annotated[AudioPart, Tag("input_audio")]
    | Annotated[FilePart, Tag("file")]
    | Annotated[RefusalPart, Tag("refusal")]
    | Annotated[OtherPart, Tag("other")],
    Discriminator(_part_tag),
]


class FunctionCall(Model):
    """`arguments` is the JSON text that the model wrote, unparsed: it may be invalid."""

    name: str
    arguments: str = ""


class ToolCall(Tagged):
    """The model asks for a tool to be run; the answer goes back as a `tool` message with this `id`."""

    id: str
    type: str = "function"
    function: FunctionCall | None = None


class ReasoningBlock(Tagged):
    """One block of reasoning as the vendor signed or encrypted it, to be sent back on the next turn unchanged.

    `text` is readable reasoning, `signature` proves it, `data` is the encrypted form. `index` is the block's place in
    the vendor's answer.
    """

    type: str = "thinking"
    text: str | None = None
    signature: str | None = None
    data: str | None = None
    id: str | None = None
    index: int | None = None
    provider: str | None = None


_PLAIN = {"role", "content"}


class Message(Model):
    """One turn. A response's message can be appended to the next request's as it is."""

    role: Role
    content: str | tuple[Part, ...] | None = None
    name: str | None = None
    tool_calls: tuple[ToolCall, ...] | None = None
    tool_call_id: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning_blocks: tuple[ReasoningBlock, ...] | None = None
    audio: dict[str, Any] | None = None
    annotations: tuple[dict[str, Any], ...] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON-ready data: only what was set, unknown fields included."""
        if (
            self.__pydantic_fields_set__ == _PLAIN and not self.__pydantic_extra__
        ):  # as nearly all are: a tenth of the time
            fields = self.__dict__
            if fields["content"].__class__ is str:
                return {"role": fields["role"], "content": fields["content"]}
        return super().to_dict()

    @property
    def text(self) -> str:
        """The text of the content; parts that are not text are left out."""
        content = self.__dict__["content"]
        if isinstance(content, str):
            return content
        return "".join(part.text for part in self.content or () if isinstance(part, TextPart))
