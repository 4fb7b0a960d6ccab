"""The parts of a message, as Responses names them, and back.

Source: https://platform.openai.com/docs/api-reference/responses/create#responses-create-input
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ...pipeline.types import AudioPart, FilePart, ImagePart, Part, RefusalPart, TextPart

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..dialect import Dialect
    from .notes import Note

Item = dict[str, Any]

_GOOGLES_FILES: Final = "https://generativelanguage.googleapis.com/"
_PART_FIELDS: Final = frozenset({"prompt_cache_breakpoint"})
"""Fields beside a part's own that OpenAI takes. Source: https://platform.openai.com/docs/guides/prompt-caching"""


def input_content(content: str | Sequence[Part] | None, dialect: Dialect, note: Note) -> str | list[Item]:
    """What the user, a system message or a tool says. Parts that the vendor cannot take are noted."""
    if content is None or isinstance(content, str):
        return content or ""
    parts = [(_input_part(part, dialect, note), part) for part in content]
    return [item | _extras(part, dialect, note) for item, part in parts if item is not None]


def _input_part(part: Part, dialect: Dialect, note: Note) -> Item | None:
    match part:
        case TextPart():
            return {"type": "input_text", "text": part.text}
        case ImagePart():
            return {
                "type": "input_image",
                "image_url": part.image_url.url,
                "detail": part.image_url.detail or "auto",
            }
        case FilePart() if (file := _file(part)) is not None:
            return {"type": "input_file", **file}
        case RefusalPart():
            return {"type": "input_text", "text": part.refusal}
        case AudioPart() if dialect.keeps_extras:
            return part.to_dict()
        case _ if part.type.startswith("input_") and not isinstance(part, AudioPart):
            return {"type": part.type}
    note(f"messages.content.{part.type[:40]}", "dropped", "the Responses API takes text, images and files")
    return None


def _file(part: FilePart) -> Item | None:
    """An address goes as one; that of Google's store is nobody else's."""
    file = {name: value for name, value in part.file.to_dict().items() if value is not None and name != "mime_type"}
    if "://" not in (place := file.get("file_id") or ""):
        return file
    if not place.startswith("https:") or place.startswith(_GOOGLES_FILES):
        return None
    return {name: value for name, value in file.items() if name != "file_id"} | {"file_url": place}


def _extras(part: Part, dialect: Dialect, note: Note) -> Item:
    if dialect.keeps_extras or part.type.startswith("input_"):
        marked = {} if part.cache_control is None else {"cache_control": part.cache_control}
        return part.extra | marked
    if part.cache_control is not None:
        note("cache_control", "dropped", "the Responses API does not take it")
    return {name: value for name, value in part.extra.items() if name in _PART_FIELDS}


def part_of(item: Item) -> Item:
    """A part of a request's message in the canonical shape; what that lacks stays as it came."""
    rest = {name: value for name, value in item.items() if name in _PART_FIELDS}
    fields = {name: value for name, value in item.items() if name not in _PART_FIELDS and name != "type"}
    match item:
        case {"type": "input_text", "text": str(text)}:
            return {"type": "text", "text": text, **rest}
        case {"type": "input_image", "image_url": str(url)} if fields.keys() <= {"image_url", "detail"}:
            detail = {"detail": item["detail"]} if item.get("detail") else {}
            return {"type": "image_url", "image_url": {"url": url, **detail}, **rest}
        case {"type": "input_file"}:
            return {"type": "file", "file": fields, **rest}
    return item
