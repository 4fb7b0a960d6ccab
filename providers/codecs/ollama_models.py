"""What the server tells of a model: how much it reads, and what it can.

Source: https://docs.ollama.com/api-reference/show-model-details
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ...pipeline.errors import ResponseValidationError
from ..codec import Encoded
from .ollama_errors import body_error
from .plain_json import json_object, write_json

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ShownModel:
    """A model on the server. What an older server does not say is None, or empty."""

    family: str | None
    parameter_size: str | None
    """As the server writes it: "3.2B"."""
    quantization: str | None
    context_tokens: int | None
    """The most that the model was made for; the server gives it `num_ctx` of them."""
    embedding_dimensions: int | None
    capabilities: frozenset[str]
    """Of `completion`, `tools`, `vision`, `thinking`, `embedding`, `insert` ..."""


def show_request(model: str) -> Encoded:
    """Asks for one model."""
    return Encoded("POST", "/api/show", write_json({"model": model}), {"content-type": "application/json"})


def shown_model(body: bytes, provider: str = "ollama") -> ShownModel:
    """The answer to it. Raises `ResponseValidationError` when it is none, the error's class for an error in a 200."""
    data = json_object(body)
    if data is not None and "error" in data:
        raise body_error(data, provider)
    if data is None or not isinstance(data.get("details"), dict):
        raise ResponseValidationError(
            "Expected a model's details, found something else. Is base_url right?", provider=provider
        )
    details, facts = data["details"], data.get("model_info") or {}
    return ShownModel(
        family=details.get("family"),
        parameter_size=details.get("parameter_size"),
        quantization=details.get("quantization_level"),
        context_tokens=_fact(facts, "context_length"),
        embedding_dimensions=_fact(facts, "embedding_length"),
        capabilities=frozenset(map(str, data.get("capabilities") or ())),
    )


def _fact(facts: Json, name: str) -> int | None:
    """Facts are called by the architecture: `llama.context_length`."""
    value = facts.get(f"{facts.get('general.architecture')}.{name}")
    return value if isinstance(value, int) else None
