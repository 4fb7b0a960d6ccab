"""Parts of other protocols that say what they hold in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic_core import to_json


def in_words(part: Mapping[str, Any]) -> str | None:
    """The text of Bedrock's `json`, of Anthropic's documents of text and of Cohere's documents; None for other parts."""
    match part:
        case {"type": "json", "json": value}:
            return to_json(value).decode()
        case {"type": "document", "source": {"type": "text", "data": str(text)}}:
            return text
        case {"type": "document", "document": {"data": {"text": str(text)}} | {"data": str(text)}}:
            return text
        case {"type": "document", "document": {"data": dict(data)}}:
            return to_json(data).decode()
    return None
