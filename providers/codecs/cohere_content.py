"""Parts of a message and the vendor's content blocks, which for texts and images are OpenAI's own.

Source: https://docs.cohere.com/reference/chat#request.body.messages
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ...pipeline.types import ImagePart, OtherPart, Part, RefusalPart, TextPart
from .notes import Note

Json = dict[str, Any]


def texts_of(content: str | Iterable[Part] | None, note: Note) -> str | list[Json]:
    """The texts; everything else is dropped, with a note."""
    if content is None or isinstance(content, str):
        return content or ""
    return [block for part in content if (block := _text(part, note)) is not None]


def user_content(content: str | Iterable[Part] | None, note: Note) -> str | list[Json]:
    """Texts and images."""
    if content is None or isinstance(content, str):
        return content or ""
    blocks = [_image(part) if isinstance(part, ImagePart) else _text(part, note) for part in content]
    return [block for block in blocks if block is not None]


def tool_content(content: str | Iterable[Part] | None, note: Note) -> str | list[Json]:
    """Texts and documents: what the model may cite."""
    if content is None or isinstance(content, str):
        return content or ""
    blocks = [part.to_dict() if _is_document(part) else _text(part, note) for part in content]
    return [block for block in blocks if block is not None]


def _is_document(part: Part) -> bool:
    return isinstance(part, OtherPart) and part.type == "document" and isinstance(part.extra.get("document"), dict)


def _image(part: ImagePart) -> Json:
    return {"type": "image_url", "image_url": part.image_url.to_dict()}


def _text(part: Part, note: Note) -> Json | None:
    if part.cache_control is not None:
        note("messages.content.cache_control", "dropped", "the vendor caches by itself")
    if isinstance(part, TextPart):
        return {"type": "text", "text": part.text}
    if isinstance(part, RefusalPart):
        return {"type": "text", "text": part.refusal}
    note(f"messages.content.{part.type[:40]}", "dropped", "not a content that the vendor takes in this role")
    return None
