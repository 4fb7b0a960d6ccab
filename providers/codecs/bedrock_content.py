"""Parts of a message and Converse's content blocks, one by one, in both directions.

A block is a union: an object with one key, which is its kind.
Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ContentBlock.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from ...pipeline.types import (
    AudioPart,
    FileData,
    FilePart,
    ImagePart,
    ImageURL,
    InputAudio,
    Message,
    OtherPart,
    Part,
    RefusalPart,
    TextPart,
)
from .bedrock_media import DOCUMENTS, IMAGES, VIDEOS, source_of, url_of
from .in_words import in_words
from .notes import Note

Block = dict[str, Any]

UNNAMED: Final = "document"
_NATIVE: Final = frozenset(
    {"image", "document", "video", "audio", "guardContent", "cachePoint", "searchResult", "json"}
    | {"citationsContent", "toolAddition", "toolRemoval"}
)
_NOT_IN_A_NAME: Final = re.compile(r"[^a-zA-Z0-9\-()\[\]_ ]+")
_EXTENSION: Final = re.compile(r"\.\w{1,5}$")
_NAME_CHARS: Final = 200


def kind_of(block: Mapping[str, Any]) -> str:
    """What a block is; empty for none."""
    return next(iter(block), "")


def blocks_of(content: str | Iterable[Part] | None, note: Note) -> list[Block]:
    """The blocks of a message's content. Empty texts are left out (the vendor rejects them); so is what it cannot take, with a note."""
    if content is None or content == "":
        return []
    if isinstance(content, str):
        return [{"text": content}]
    return [block for part in content for block in part_blocks(part, note)]


def part_blocks(part: Part, note: Note) -> list[Block]:
    """One part as a block, with a cache point behind it if it is marked; empty, with a note, where the vendor has no such thing."""
    block = _ENCODERS[type(part)](part, note)
    if block is None:
        return []
    return [block, *cache_point(part.cache_control)]


def cache_point(mark: Mapping[str, Any] | None) -> list[Block]:
    """Anthropic's mark as the vendor's own block."""
    if mark is None:
        return []
    ttl = {"ttl": mark["ttl"]} if isinstance(mark.get("ttl"), str) else {}
    return [{"cachePoint": {"type": "default", **ttl}}]


def marked(message: Message, blocks: list[Block]) -> list[Block]:
    """A `cache_control` on the message itself is a mark on its last block."""
    return [*blocks, *cache_point(message.extra.get("cache_control"))] if blocks else blocks


def _text(part: TextPart, _: Note) -> Block | None:
    return {"text": part.text} if part.text else None


def _refusal(part: RefusalPart, _: Note) -> Block | None:
    return {"text": part.refusal} if part.refusal else None


def _image(part: ImagePart, note: Note) -> Block | None:
    if (image := source_of(part.image_url.url, IMAGES)) is not None:
        return {"image": image}
    note(
        "messages.content.image_url",
        "dropped",
        "expected a data URL (png, jpeg, gif, webp) or s3://; Bedrock fetches nothing",
    )
    return None


def _audio(part: AudioPart, _: Note) -> Block | None:
    return {"audio": {"format": part.input_audio.format, "source": {"bytes": part.input_audio.data}}}


def _file(part: FilePart, note: Note) -> Block | None:
    data = part.file.file_data or ""
    url = data if data.startswith(("data:", "s3:")) else f"data:{DOCUMENTS['pdf']};base64,{data}"
    if data and (image := source_of(url, IMAGES)) is not None:
        return {"image": image}
    if not data or (document := source_of(url, DOCUMENTS)) is None:
        note("messages.content.file", "dropped", f"expected file_data of one of {', '.join(DOCUMENTS)}, or an image")
        return None
    return {"document": {**document, "name": _name(part.file.filename, note)}}


def _name(filename: str | None, note: Note) -> str:
    if filename is None:
        return UNNAMED
    clean = " ".join(_NOT_IN_A_NAME.sub(" ", _EXTENSION.sub("", filename)).split())[:_NAME_CHARS].strip()
    if clean != filename:
        note(
            "messages.content.file.filename",
            "renamed",
            "the vendor allows letters, digits, blanks, hyphens and brackets",
        )
    return clean or UNNAMED


def _other(part: OtherPart, note: Note) -> Block | None:
    if part.type != "json" and (text := in_words({"type": part.type, **part.extra})) is not None:
        note(f"messages.content.{part.type}", "emulated", "sent as text")
        return {"text": text}
    if part.type in _NATIVE and part.type in part.extra:
        value = part.extra[part.type]
        return {part.type: dict(value) if isinstance(value, dict) else value}
    match part.extra:
        case {"video_url": {"url": str(url)}} if (video := source_of(url, VIDEOS)) is not None:
            return {"video": video}
    note(f"messages.content.{part.type[:40]}", "dropped", "Converse has no such content")
    return None


_ENCODERS: Final[Mapping[type[Any], Callable[[Any, Note], Block | None]]] = {
    TextPart: _text,
    ImagePart: _image,
    AudioPart: _audio,
    FilePart: _file,
    RefusalPart: _refusal,
    OtherPart: _other,
}


def parts_of(blocks: Sequence[Block]) -> tuple[Part, ...]:
    """The blocks of a request as parts; what OpenAI's shape lacks stays as it came, as an `OtherPart`."""
    return tuple(_part(block, mark) for block, mark in with_marks(blocks))


def with_marks(blocks: Sequence[Block]) -> Iterator[tuple[Block, dict[str, Any]]]:
    """Each block with the cache point behind it as a mark; a cache point that is behind none is a block."""
    last: Block | None = None
    for block in blocks:
        if last is not None and kind_of(block) == "cachePoint":
            yield last, {"cache_control": mark_of(block)}
            last = None
            continue
        if last is not None:
            yield last, {}
        last = block
    if last is not None:
        yield last, {}


def mark_of(block: Block) -> dict[str, Any]:
    """A cache point as Anthropic's mark."""
    ttl = block["cachePoint"].get("ttl")
    return {"type": "ephemeral", "ttl": ttl} if ttl else {"type": "ephemeral"}


def _part(block: Block, mark: dict[str, Any]) -> Part:
    part = _known_part(block, mark)
    return OtherPart.model_construct(type=kind_of(block), **block, **mark) if part is None else part


def _known_part(block: Block, mark: dict[str, Any]) -> Part | None:
    match block:
        case {"text": str(text)}:
            return TextPart.model_construct(type="text", text=text, **mark)
        case {"image": dict(image)} if url := url_of(image, IMAGES):
            return ImagePart.model_construct(type="image_url", image_url=ImageURL.model_construct(url=url), **mark)
        case {"video": dict(video)} if url := url_of(video, VIDEOS):
            return OtherPart.model_construct(type="video_url", video_url={"url": url}, **mark)
        case {"audio": {"format": str(name), "source": {"bytes": str(data)}}}:
            audio = InputAudio.model_construct(data=data, format=name)
            return AudioPart.model_construct(type="input_audio", input_audio=audio, **mark)
        case {"document": {"name": str(name), **more}} if more.keys() == {"format", "source"}:
            if url := url_of(block["document"], DOCUMENTS):
                file = FileData.model_construct(file_data=url, filename=name)
                return FilePart.model_construct(type="file", file=file, **mark)
    return None
