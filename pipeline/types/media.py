"""Files that travel inside requests: their bytes, and what is said about them."""

from __future__ import annotations

import mimetypes

from pydantic import ConfigDict, Field

from .base import Model

_SIGNATURES: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"GIF8", "image/gif"),
    (8, b"WEBP", "image/webp"),
    (8, b"WAVE", "audio/wav"),
    (0, b"ID3", "audio/mpeg"),
    (0, b"\xff\xf1", "audio/aac"),
    (0, b"\xff\xf9", "audio/aac"),
    (0, b"\xff\xfb", "audio/mpeg"),
    (0, b"\xff\xf3", "audio/mpeg"),
    (0, b"\xff\xf2", "audio/mpeg"),
    (0, b"OggS", "audio/ogg"),
    (0, b"fLaC", "audio/flac"),
    (0, b"\x1aE\xdf\xa3", "video/webm"),
    (4, b"ftypM4A", "audio/mp4"),
    (4, b"ftyp", "video/mp4"),
    (0, b"%PDF-", "application/pdf"),
)
"""(offset, bytes, type). Source: https://mimesniff.spec.whatwg.org/#matching-an-image-type-pattern, RFC 3533, RFC 9639"""

_EXTENSIONS = {"audio/mpeg": "mp3", "audio/wav": "wav", "audio/mp4": "m4a", "audio/ogg": "ogg", "image/jpeg": "jpg"}
_BY_EXTENSION = {".m4a": "audio/mp4", ".webp": "image/webp", ".flac": "audio/flac", ".oga": "audio/ogg"}
"""Where systems' own tables differ, or know nothing."""

UNKNOWN = "application/octet-stream"


class File(Model):
    """A file as vendors want it: a name that ends as its kind does, a content type, the bytes. As JSON, base64."""

    model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")

    data: bytes = Field(repr=False)
    filename: str = ""
    content_type: str = ""

    @property
    def kind(self) -> str:
        """The content type: as given, or by the bytes' signature, or by the name."""
        return self.content_type or type_of_bytes(self.data) or type_of_name(self.filename) or UNKNOWN

    @property
    def name(self) -> str:
        """The name as given, or one that fits the kind: vendors tell formats by it."""
        return self.filename or f"file.{_EXTENSIONS.get(self.kind, self.kind.rpartition('/')[2])}"


def type_of_bytes(data: bytes) -> str | None:
    """The content type that the first bytes tell; None if they tell nothing."""
    head = data[:16]
    return next((kind for offset, mark, kind in _SIGNATURES if head[offset : offset + len(mark)] == mark), None)


def type_of_name(filename: str) -> str | None:
    """The content type that the name's end tells."""
    dot = filename.rfind(".")
    return (
        _BY_EXTENSION.get(filename[dot:].lower())
        if dot >= 0 and filename[dot:].lower() in _BY_EXTENSION
        else mimetypes.guess_type(filename)[0]
    )
