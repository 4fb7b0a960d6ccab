"""Parts of a message and Gemini's parts, one by one, in both directions.

Source: https://ai.google.dev/api/caching#Part
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from ...pipeline.types import AudioPart, FilePart, ImagePart, OtherPart, Part, RefusalPart, TextPart
from .gemini_names import Json
from .notes import Note

NATIVE: Final = "gemini_part"
"""The type of a canonical part that holds one of Gemini's own, under `part`, as it came."""

_FILES: Final = "https://generativelanguage.googleapis.com/v1beta/"
_PDF: Final = "application/pdf"
_TYPES: Final = {
    **{name: f"image/{name}" for name in ("png", "jpeg", "webp", "gif", "heic", "heif")},
    **{name: f"audio/{name}" for name in ("mp3", "wav", "aac", "flac", "ogg", "aiff", "m4a")},
    **{name: f"video/{name}" for name in ("mp4", "mov", "webm", "mpeg", "avi")},
    **{name: f"text/{name}" for name in ("html", "csv", "md")},
    "jpg": "image/jpeg",
    "txt": "text/plain",
    "pdf": _PDF,
    "json": "application/json",
}
"""Source: https://ai.google.dev/gemini-api/docs/file-input-methods#supported-content-types"""


def parts_of(content: str | Iterable[Part] | None, note: Note) -> list[Json]:
    """The parts of a message's content. What the vendor cannot take is left out, with a note."""
    if content is None:
        return []
    if isinstance(content, str):
        return [{"text": content}]
    return [made for part in content if (made := part_of(part, note)) is not None]


def part_of(part: Part, note: Note) -> Json | None:
    """One part as Gemini's; None, with a note, where the vendor has no such thing."""
    if part.cache_control is not None:
        note("cache_control", "dropped", "Gemini caches by itself, or by cachedContent")
    return _ENCODERS[type(part)](part, note)


def _text(part: TextPart, _: Note) -> Json:
    return {"text": part.text}


def _refusal(part: RefusalPart, _: Note) -> Json:
    return {"text": part.refusal}


def _image(part: ImagePart, note: Note) -> Json | None:
    if part.image_url.detail not in (None, "auto"):
        note("messages.content.image_url.detail", "dropped", "Gemini takes mediaResolution for all of a request")
    return _from_url(part.image_url.url, "image_url", note, part.extra.get("mime_type"))


def _audio(part: AudioPart, _: Note) -> Json:
    kind = part.input_audio.format
    media_type = kind if "/" in kind else f"audio/{kind}"
    return {"inlineData": {"mimeType": media_type, "data": part.input_audio.data}}


def _file(part: FilePart, note: Note) -> Json | None:
    file = part.file
    media_type = file.extra.get("mime_type") or _guessed(file.filename or "")
    if file.file_id:
        place = f"{_FILES}{file.file_id}" if file.file_id.startswith("files/") else file.file_id
        return {"fileData": _with_type({"fileUri": place}, media_type or _guessed(place))}
    if file.file_data and (file.file_data.startswith("data:") or "://" in file.file_data[:16]):
        return _from_url(file.file_data, "file", note, media_type)
    if file.file_data:
        return {"inlineData": {"mimeType": media_type or _PDF, "data": file.file_data}}
    note("messages.content.file", "dropped", "expected file_data or file_id")
    return None


def _from_url(url: str, name: str, note: Note, media_type: str | None = None) -> Json | None:
    if url.startswith("data:"):
        head, _, data = url.removeprefix("data:").partition(",")
        return {"inlineData": {"mimeType": head.partition(";")[0] or media_type or "text/plain", "data": data}}
    if "://" in url[:16]:
        return {"fileData": _with_type({"fileUri": url}, media_type or _guessed(url))}
    note(f"messages.content.{name}", "dropped", "expected a data, http(s) or gs URL")
    return None


def _with_type(file: Json, media_type: str | None) -> Json:
    return {"mimeType": media_type, **file} if media_type else file


def _guessed(name: str) -> str | None:
    """The type that a name's ending means; the system's own table would make it differ from machine to machine."""
    return _TYPES.get(name.partition("?")[0].rpartition(".")[2].lower())


def _other(part: OtherPart, note: Note) -> Json | None:
    if part.type == NATIVE and isinstance(part.extra.get("part"), dict):
        return dict(part.extra["part"])
    match part.extra:
        case {"video_url": {"url": str(url)} | str(url)}:
            return _from_url(url, "video_url", note)
    note(f"messages.content.{part.type[:40]}", "dropped", "Gemini has no such content")
    return None


_ENCODERS: Final[Mapping[type[Any], Callable[[Any, Note], Json | None]]] = {
    TextPart: _text,
    ImagePart: _image,
    AudioPart: _audio,
    FilePart: _file,
    RefusalPart: _refusal,
    OtherPart: _other,
}


def canonical_part(part: Json) -> Json:
    """A part of a user's turn, or of a function response, in OpenAI's shape; what that lacks stays whole."""
    match part:
        case {"text": str(text), **rest} if not rest:
            return {"type": "text", "text": text}
        case {"inlineData": {"mimeType": str(kind), "data": str(data), **more}, **rest} if not rest and not more:
            return _inline(kind, data)
        case {"fileData": {"fileUri": str(uri), **more}, **rest} if not rest and not more.keys() - {"mimeType"}:
            return _linked(uri, str(more["mimeType"]) if "mimeType" in more else None)
    return {"type": NATIVE, "part": part}


def _inline(kind: str, data: str) -> Json:
    url = f"data:{kind};base64,{data}"
    if kind.startswith("image/"):
        return {"type": "image_url", "image_url": {"url": url}}
    if kind.startswith("audio/"):
        return {"type": "input_audio", "input_audio": {"data": data, "format": kind.removeprefix("audio/")}}
    return {"type": "file", "file": {"file_data": url}}


def _linked(uri: str, kind: str | None) -> Json:
    typed = {"mime_type": kind} if kind else {}
    if kind is not None and kind.startswith("image/"):
        return {"type": "image_url", "image_url": {"url": uri}, **typed}
    return {"type": "file", "file": {"file_id": uri, **typed}}
