"""Parts of a message and Anthropic's content blocks, one by one, in both directions.

Source: https://platform.claude.com/docs/en/api/messages
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from ...pipeline.types import AudioPart, FileData, FilePart, ImagePart, ImageURL, OtherPart, Part, RefusalPart, TextPart
from .in_words import in_words
from .notes import Note

Block = dict[str, Any]

PDF: Final = "application/pdf"
_TEXT_TYPES: Final = ("text/", "application/json", "application/xml", "application/yaml")
_NATIVE: Final = frozenset(
    {"document", "image", "search_result", "container_upload", "tool_reference", "browser_state", "compaction", "text"}
    | {"thinking", "redacted_thinking", "tool_use", "tool_result", "tool_addition", "tool_removal", "fallback"}
)


def blocks_of(content: str | Iterable[Part] | None, note: Note) -> list[Block]:
    """The blocks of a message's content. Empty texts are left out (the vendor rejects them); so is what it cannot take, with a note."""
    if content is None or content == "":
        return []
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return [block for part in content if (block := block_of(part, note)) is not None]


def block_of(part: Part, note: Note) -> Block | None:
    """One part as a block, with its `cache_control` mark; None, with a note, where the vendor has no such thing."""
    block = _ENCODERS[type(part)](part, note)
    if block is not None and part.cache_control is not None:
        block["cache_control"] = part.cache_control
    return block


def _text(part: TextPart, _: Note) -> Block | None:
    if not part.text:
        return None
    cited = {"citations": part.extra["citations"]} if "citations" in part.extra else {}
    return {"type": "text", "text": part.text, **cited}


def _refusal(part: RefusalPart, _: Note) -> Block | None:
    return {"type": "text", "text": part.refusal} if part.refusal else None


def _image(part: ImagePart, note: Note) -> Block | None:
    url = part.image_url.url
    if url.startswith("data:"):
        media_type, data = _data_url(url)
        return {"type": "image", "source": {"type": "base64", "media_type": media_type, "data": data}}
    if url.startswith(("https:", "http:")):
        return {"type": "image", "source": {"type": "url", "url": url}}
    note("messages.content.image_url", "dropped", "expected an http(s) or data URL")
    return None


def _audio(_: AudioPart, note: Note) -> Block | None:
    note("messages.content.input_audio", "dropped", "the Messages API takes no audio")
    return None


def _file(part: FilePart, note: Note) -> Block | None:
    source = _source(part.file)
    if source is None:
        note("messages.content.file", "dropped", "expected a PDF, an image, a text, or the id of an uploaded file")
        return None
    kind = "image" if source.get("media_type", "").startswith("image/") else "document"
    title = {"title": part.file.filename} if part.file.filename and kind == "document" else {}
    return {"type": kind, "source": source, **title}


def _source(file: FileData) -> Block | None:
    if file.file_id:
        return _stored(file.file_id)
    if not file.file_data:
        return None
    media_type, data = _data_url(file.file_data) if file.file_data.startswith("data:") else (PDF, file.file_data)
    if media_type == PDF or media_type.startswith("image/"):
        return {"type": "base64", "media_type": media_type, "data": data}
    return _text_source(data) if media_type.startswith(_TEXT_TYPES) else None


def _stored(place: str) -> Block | None:
    """A file in the vendor's store, or at an address that anybody may read; other vendors' stores have addresses too."""
    if "://" not in place:
        return {"type": "file", "file_id": place}
    public = place.startswith("https://") and "googleapis.com/" not in place
    return {"type": "url", "url": place} if public else None


def _text_source(data: str) -> Block | None:
    try:
        text = base64.b64decode(data, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
    return {"type": "text", "media_type": "text/plain", "data": text}


def _data_url(url: str) -> tuple[str, str]:
    head, _, data = url.removeprefix("data:").partition(",")
    return head.partition(";")[0] or "text/plain", data


def _other(part: OtherPart, note: Note) -> Block | None:
    if (text := in_words({"type": part.type, **part.extra})) is not None and "source" not in part.extra:
        note(f"messages.content.{part.type}", "emulated", "sent as text")
        return {"type": "text", "text": text}
    if is_native(part.type) and not isinstance(part.extra.get("thinking"), list):  # a list is Mistral's
        return {"type": part.type, **part.extra}
    note(f"messages.content.{part.type[:40]}", "dropped", "the Messages API has no such content")
    return None


def is_native(kind: str) -> bool:
    """Whether a block type is the vendor's own; server tools come in ever more kinds, under one pattern."""
    return kind in _NATIVE or kind.endswith(("_tool_use", "_tool_result"))


_ENCODERS: Final[Mapping[type[Any], Callable[[Any, Note], Block | None]]] = {
    TextPart: _text,
    ImagePart: _image,
    AudioPart: _audio,
    FilePart: _file,
    RefusalPart: _refusal,
    OtherPart: _other,
}


def part_of(block: Block) -> Part:
    """A block of a request as a part; what OpenAI's shape lacks stays as it came, as an `OtherPart`."""
    make = _DECODERS.get(block.get("type", ""))
    part = make(block) if make else None
    return part if part is not None else OtherPart.model_construct(**block)


def _text_part(block: Block) -> Part | None:
    return TextPart.model_construct(**block) if isinstance(block.get("text"), str) else None


def _image_part(block: Block) -> Part | None:
    match block:
        case {"source": {"type": "base64", "media_type": str(media), "data": str(data), **more}, "type": _, **rest}:
            url = f"data:{media};base64,{data}"
        case {"source": {"type": "url", "url": str(url), **more}, "type": _, **rest}:
            pass
        case _:
            return None
    marks = _only_marks(rest)
    if more or marks is None:
        return None
    return ImagePart.model_construct(type="image_url", image_url=ImageURL.model_construct(url=url), **marks)


def _file_part(block: Block) -> Part | None:
    match block:
        case {
            "source": {"type": "base64", "media_type": "application/pdf", "data": str(data), **more},
            "type": _,
            **rest,
        }:
            url = f"data:{PDF};base64,{data}"
        case {"source": {"type": "text", "media_type": "text/plain", "data": str(data), **more}, "type": _, **rest}:
            url = f"data:text/plain;base64,{base64.b64encode(data.encode()).decode()}"
        case _:
            return None
    title = rest.pop("title", None)
    marks = _only_marks(rest)
    if more or marks is None:
        return None
    named = {"filename": title} if title else {}
    return FilePart.model_construct(type="file", file=FileData.model_construct(file_data=url, **named), **marks)


def _only_marks(rest: Block) -> Block | None:
    return rest if rest.keys() <= {"cache_control"} else None


_DECODERS: Final[Mapping[str, Callable[[Block], Part | None]]] = {
    "text": _text_part,
    "image": _image_part,
    "document": _file_part,
}
