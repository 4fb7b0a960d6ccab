"""Files as callers have them - bytes, a path, something open - made into files as requests have them."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from os import PathLike
from pathlib import Path
from typing import Any, BinaryIO

from .errors import ConfigError
from .types import File, ImagePart, ImageURL

FileSource = File | bytes | str | PathLike[str] | BinaryIO | tuple[str, bytes]
"""A file, its bytes, its path, something to read it from, or (name, bytes)."""

Picture = File | dict[str, Any]
"""A file, or where the vendor finds one."""

MAX_FILE_BYTES = 256 << 20
"""More than any vendor takes; a larger file is somebody's mistake, and not read."""

_URLS = ("http://", "https://", "data:", "gs://", "s3://")


def read_file(source: FileSource) -> File:
    """The file. Raises `OSError` if it cannot be read, `ConfigError` if it is empty, larger than 256 MiB, or no file at all."""
    file = _read(source)
    if not file.data:
        raise ConfigError(f"{file.filename or 'file'}: expected content, found none.")
    if len(file.data) > MAX_FILE_BYTES:
        raise ConfigError(f"{file.filename or 'file'}: expected at most {MAX_FILE_BYTES >> 20} MiB, found more.")
    return file


async def aread_file(source: FileSource) -> File:
    """`read_file`, off the event loop where it may have to wait for a disk."""
    return read_file(source) if isinstance(source, (File, bytes, tuple)) else await asyncio.to_thread(read_file, source)


def read_images(sources: FileSource | list[FileSource] | None) -> tuple[Picture, ...]:
    """One picture or several, none for None: files, or for URLs where they are."""
    return tuple(_place(source) or read_file(source) for source in _listed(sources))


async def aread_images(sources: FileSource | list[FileSource] | None) -> tuple[Picture, ...]:
    """`read_images`, off the event loop."""
    return tuple([_place(source) or await aread_file(source) for source in _listed(sources)])


def image_part(source: FileSource, detail: str | None = None) -> ImagePart:
    """An image as a message's part: a URL as it is, everything else as a data URL."""
    place = _place(source)
    url = place["image_url"] if place else _data_url(read_file(source))
    return ImagePart(type="image_url", image_url=ImageURL(url=url, **({"detail": detail} if detail else {})))


def _data_url(file: File) -> str:
    if not file.kind.startswith("image/"):
        raise ConfigError(f"image: expected an image (PNG, JPEG, GIF, WebP), found {file.kind}. Is it the right file?")
    return f"data:{file.kind};base64,{b64encode(file.data).decode()}"


def _place(source: FileSource) -> dict[str, Any] | None:
    return {"image_url": source} if isinstance(source, str) and source.startswith(_URLS) else None


def _listed(sources: FileSource | list[FileSource] | None) -> list[FileSource]:
    if sources is None:
        return []
    return sources if isinstance(sources, list) else [sources]


def _read(source: FileSource) -> File:
    if isinstance(source, File):
        return source
    if isinstance(source, (bytes, bytearray, memoryview)):
        return File(data=bytes(source))
    if isinstance(source, tuple):
        return File(filename=source[0], data=source[1])
    if isinstance(source, (str, PathLike)):
        return _from_path(Path(source))
    if hasattr(source, "read"):
        return _from_reader(source)
    raise ConfigError(f"file: expected bytes, a path or something to read from, found {type(source).__name__}.")


def _from_path(path: Path) -> File:
    with path.open("rb") as opened:
        return File(filename=path.name, data=opened.read(MAX_FILE_BYTES + 1))


def _from_reader(reader: BinaryIO) -> File:
    data = reader.read(MAX_FILE_BYTES + 1)
    if not isinstance(data, bytes):
        raise ConfigError("file: expected something that reads bytes, found one that reads text. Open it with 'rb'.")
    name = getattr(reader, "name", "")
    return File(filename=Path(name).name if isinstance(name, str) else "", data=data)
