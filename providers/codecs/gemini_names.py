"""Names on Gemini's wire: JSON has them in lowerCamelCase, and the vendor takes snake_case as well.

Source: https://protobuf.dev/programming-guides/json/#field-representation
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

Json = dict[str, Any]

PROVIDER: Final = "gemini"
"""Marks blocks of either address: what AI Studio has signed, Vertex AI reads."""

_UNDERSCORE: Final = re.compile(r"_([a-z0-9])")
_FREE: Final = frozenset(
    {"args", "response", "labels", "partMetadata", "responseJsonSchema", "parametersJsonSchema", "queryParams"}
    | {"responseSchema", "parameters"}
)
"""Fields whose keys are the user's own, or a schema's."""


def camel(name: str) -> str:
    """`safety_settings` as `safetySettings`; other names as they are."""
    return _UNDERSCORE.sub(lambda match: match[1].upper(), name)


def camelised(value: Any) -> Any:
    """A body with all names in camel case; keys of arguments, schemas and labels stay the user's."""
    if isinstance(value, list):
        return [camelised(one) for one in value]
    if not isinstance(value, Mapping):
        return value
    renamed = ((camel(name), one) for name, one in value.items())
    return {name: one if name in _FREE else camelised(one) for name, one in renamed}
