"""Media types and Converse's names of formats, and data URLs in both directions.

Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_DocumentBlock.html,
https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ImageBlock.html,
https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_VideoBlock.html
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import unquote_to_bytes

IMAGES: Final = {"png": "image/png", "jpeg": "image/jpeg", "gif": "image/gif", "webp": "image/webp"}

VIDEOS: Final = {
    "mkv": "video/x-matroska",
    "mov": "video/quicktime",
    "mp4": "video/mp4",
    "webm": "video/webm",
    "flv": "video/x-flv",
    "mpeg": "video/mpeg",
    "mpg": "video/mpg",
    "wmv": "video/x-ms-wmv",
    "three_gp": "video/3gpp",
}

DOCUMENTS: Final = {
    "pdf": "application/pdf",
    "csv": "text/csv",
    "doc": "application/msword",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "xls": "application/vnd.ms-excel",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "html": "text/html",
    "txt": "text/plain",
    "md": "text/markdown",
}

_AS_TEXT: Final = ("text/", "application/json", "application/xml", "application/yaml")
_EXTENSIONS: Final = {"jpg": "jpeg", "3gp": "three_gp", "htm": "html"}


def format_of(media_type: str, formats: Mapping[str, str]) -> str | None:
    """The name of a media type among `formats`; of a text that has none of its own, `txt`."""
    wanted = "image/jpeg" if media_type == "image/jpg" else media_type
    found = next((name for name, known in formats.items() if known == wanted), None)
    if found is None and formats is DOCUMENTS and media_type.startswith(_AS_TEXT):
        return "txt"
    return found


def source_of(url: str, formats: Mapping[str, str]) -> dict[str, Any] | None:
    """`format` and `source` of a `data:` or `s3://` URL; None for another, or for a format that is not among `formats`."""
    if url.startswith("s3://"):
        extension = url.rpartition(".")[2].lower()
        name = _EXTENSIONS.get(extension, extension)
        return {"format": name, "source": {"s3Location": {"uri": url}}} if name in formats else None
    head, comma, data = url.removeprefix("data:").partition(",")
    if not url.startswith("data:") or not comma:
        return None
    media_type, _, encoding = head.partition(";")
    known = format_of(media_type or "text/plain", formats)
    data = data if encoding.endswith("base64") else base64.b64encode(unquote_to_bytes(data)).decode()
    return {"format": known, "source": {"bytes": data}} if known and _is_base64(data) else None


def url_of(block: Mapping[str, Any], formats: Mapping[str, str]) -> str | None:
    """The URL that `source_of` would read as this block; None if there is none."""
    match block:
        case {"source": {"bytes": str(data), **more}, "format": str(name)} if not more and name in formats:
            return f"data:{formats[name]};base64,{data}"
        case {"source": {"s3Location": {"uri": str(uri), **more}}} if not more:
            read = source_of(uri, formats)
            return uri if read is not None and read["format"] == block.get("format") else None
    return None


def _is_base64(data: str) -> bool:
    try:
        base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        return False
    return True
