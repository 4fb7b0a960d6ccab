"""The answer of an endpoint that counts a prompt's tokens."""

from __future__ import annotations

from ...pipeline.errors import ResponseValidationError
from .plain_json import json_object


def count_in(body: bytes, name: str) -> int:
    """The whole number from 0 that `body` has under `name`. Raises `ResponseValidationError` where there is none."""
    count = (json_object(body) or {}).get(name)
    if not isinstance(count, int) or isinstance(count, bool) or count < 0:
        raise ResponseValidationError("Expected a count of tokens, found something else. Is base_url right?")
    return count
