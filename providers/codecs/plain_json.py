"""Reading and writing JSON on the wire."""

from __future__ import annotations

import json
from typing import Any

from pydantic_core import from_json


def read_json(data: bytes | str) -> Any:
    """The value. Raises `ValueError` for anything that is not JSON.

    The fast parser refuses half a surrogate pair, which models do write; the standard library's takes it.
    """
    try:
        return from_json(data)
    except ValueError:
        return json.loads(data)


def json_object(data: bytes | str) -> dict[str, Any] | None:
    """The object, or None for anything else."""
    try:
        value = read_json(data)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def write_json(value: Any) -> bytes:
    """Compact UTF-8. Half a surrogate pair, which UTF-8 cannot say, becomes a question mark."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
