"""Lists of models, in the forms that vendors give them."""

from __future__ import annotations

import re
from typing import Any, Final

from pydantic_core import from_json

from ..pipeline.errors import ResponseValidationError

_NAMESPACE: Final = re.compile(r"^(?:publishers/google/)?models/")
"""Source: https://ai.google.dev/api/models#Model"""


def model_ids(body: bytes) -> tuple[str, ...]:
    """The ids in `{"data": [{"id": ...}]}` (OpenAI, Anthropic), a bare list of them (Together), Google's resources, by their last names, or AWS's summaries.

    Raises `ResponseValidationError` for anything else.
    """
    try:
        data = from_json(body)
    except ValueError as error:
        raise ResponseValidationError("Expected a list of models, found no JSON. Is base_url right?") from error
    entries = _entries(data) if isinstance(data, dict) else data
    if not isinstance(entries, list):
        raise ResponseValidationError("Expected a list of models, found JSON without one. Is base_url right?")
    return tuple(_NAMESPACE.sub("", str(_id(entry))) for entry in entries if isinstance(entry, dict) and _id(entry))


def _id(entry: dict[str, Any]) -> Any:
    return entry.get("id") or entry.get("modelId") or entry.get("name")


def _entries(data: dict[str, Any]) -> Any:
    return next((data[name] for name in ("data", "models", "publisherModels", "modelSummaries") if name in data), None)
