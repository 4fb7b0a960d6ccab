"""Reading JSON that strangers sent: every helper answers with a safe type, never with an exception."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TypeAlias

Json: TypeAlias = Mapping[str, object]


def mapping(value: object) -> Json:
    """`value` when it is a JSON object, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def items(value: object) -> Sequence[object]:
    """`value` when it is a JSON array, else an empty one."""
    return value if isinstance(value, list | tuple) else ()


def objects(value: object) -> list[Json]:
    """The JSON objects among the items of `value`."""
    return [item for item in items(value) if isinstance(item, Mapping)]


def string(value: object) -> str:
    """`value` when it is a string, else the empty one."""
    return value if isinstance(value, str) else ""


def integer(value: object) -> int | None:
    """`value` when it is an integer (a boolean is none), else `None`."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def strings(value: object) -> tuple[str, ...]:
    """The non-empty strings of a string or an array of strings."""
    candidates = (value,) if isinstance(value, str) else items(value)
    return tuple(item for item in candidates if isinstance(item, str) and item)


def text_in(content: object) -> str:
    """The text of a message's content: a string, or an array of blocks of which only text counts."""
    if isinstance(content, str):
        return content
    return "\n".join(string(block.get("text")) for block in objects(content) if "text" in block)


def canonical(value: object) -> str:
    """Compact JSON with sorted keys: equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)


def compact(value: object) -> str:
    """Compact JSON in the order given, as vendors send it."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def encoded(value: object) -> bytes:
    """Compact JSON as bytes; a lone surrogate, which JSON may contain and UTF-8 may not, becomes `?`."""
    return compact(value).encode("utf-8", "replace")
