"""Lists of models, in the forms that vendors give them."""

from __future__ import annotations

from pydantic_core import from_json

from ..pipeline.errors import ResponseValidationError


def model_ids(body: bytes) -> tuple[str, ...]:
    """The ids in `{"data": [{"id": ...}]}` (OpenAI, Anthropic), a bare list of them (Together), or `{"models": [...]}`.

    Raises `ResponseValidationError` for anything else.
    """
    try:
        data = from_json(body)
    except ValueError as error:
        raise ResponseValidationError("Expected a list of models, found no JSON. Is base_url right?") from error
    entries = data.get("data", data.get("models")) if isinstance(data, dict) else data
    if not isinstance(entries, list):
        raise ResponseValidationError("Expected a list of models, found JSON without one. Is base_url right?")
    return tuple(
        str(entry.get("id") or entry.get("name"))
        for entry in entries
        if isinstance(entry, dict) and (entry.get("id") or entry.get("name"))
    )
