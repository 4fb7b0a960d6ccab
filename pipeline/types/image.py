"""The image operation: pictures made from words, or from pictures and words."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

from .base import Model, Operation, Request, Response
from .media import File
from .usage import Usage


class ImageRequest(Request):
    """A picture to be made. With `images` it is an edit of them; without a prompt, a variation of the first.

    Source: https://platform.openai.com/docs/api-reference/images
    """

    operation: ClassVar[Operation] = "image"

    prompt: str | None = None
    images: tuple[File | dict[str, Any], ...] = ()
    """Files; or all of them places where the vendor finds them (`{"image_url": ...}`, `{"file_id": ...}`)."""
    mask: File | None = None
    """A picture whose transparent parts say where to edit."""
    n: int | None = None
    size: str | None = None
    quality: str | None = None
    style: str | None = None
    background: str | None = None
    response_format: str | None = None
    output_format: str | None = None
    output_compression: int | None = None
    input_fidelity: str | None = None
    partial_images: int | None = None
    user: str | None = None


class Image(Model):
    """One picture: a URL, or the bytes in base64."""

    url: str | None = None
    b64_json: str | None = None
    revised_prompt: str | None = None

    @property
    def content(self) -> bytes | None:
        """The bytes; None where the vendor sent a URL instead. Raises `ValueError` for what is no base64."""
        return b64decode(self.b64_json, validate=True) if self.b64_json is not None else None


class ImageResponse(Response):
    """Pictures, in OpenAI's shape."""

    operation: ClassVar[Operation] = "image"

    created: int = 0
    data: tuple[Image, ...] = ()
    model: str = ""
    background: str | None = None
    output_format: str | None = None
    quality: str | None = None
    size: str | None = None

    @property
    def image(self) -> Image:
        """The first picture. Raises `IndexError` if there is none."""
        return self.data[0]


class ImageChunk(NamedTuple):
    """One event of a streamed picture: a preview, or a finished one."""

    b64_json: str | None = None
    partial_index: int | None = None
    """A preview's number; None on a finished picture."""
    created: int = 0
    usage: Usage | None = None
    extra: Mapping[str, Any] | None = None

    @property
    def text(self) -> str:
        """Pictures have none."""
        return ""

    @property
    def has_content(self) -> bool:
        """Whether a picture is in it."""
        return self.b64_json is not None


def assemble_image(chunks: Sequence[ImageChunk]) -> ImageResponse:
    """The finished pictures; of a stream that was cut, none."""
    finished = [chunk for chunk in chunks if chunk.partial_index is None and chunk.b64_json is not None]
    known = {name: value for chunk in finished for name, value in (chunk.extra or {}).items() if value is not None}
    usage = next((chunk.usage for chunk in reversed(chunks) if chunk.usage is not None), None)
    data = tuple(Image(b64_json=chunk.b64_json) for chunk in finished)
    created = max((chunk.created for chunk in finished), default=0)
    return ImageResponse.model_construct(**known, created=created, data=data, usage=usage)
