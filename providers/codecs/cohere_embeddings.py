"""Embeddings of the v2 API, in both directions.

Source: https://docs.cohere.com/reference/embed
"""

from __future__ import annotations

import struct
from base64 import b64decode
from collections.abc import Sequence
from typing import Any, Final

from pydantic import ValidationError

from ...pipeline.errors import BadRequestError, ResponseValidationError
from ...pipeline.types import EmbeddingsRequest, EmbeddingsResponse
from .cohere_usage import billed_usage
from .notes import Note
from .plain_json import json_object

Json = dict[str, Any]

MOST_TEXTS: Final = 96
"""In one request."""

_OWN: Final = frozenset({"input_type", "embedding_types", "truncate", "max_tokens", "images", "priority"})
MOST_EXACT: Final = ("float", "int8", "uint8", "binary", "ubinary")
"""Types whose vectors are numbers as they come, the most exact first."""


def embeddings_body(request: EmbeddingsRequest, model: str, note: Note) -> Json:
    """The body of `POST /v2/embed`. Raises `BadRequestError` for inputs that are token ids."""
    body: Json = {"model": model, **_inputs(request)}
    body |= {name: value for name, value in request.extra.items() if name in _OWN}
    if "input_type" not in body:
        body["input_type"] = "search_document"
        note("input_type", "emulated", "the vendor demands one; search_document where the caller names none")
    body.setdefault("embedding_types", [request.encoding_format or "float"])
    if request.dimensions is not None:
        body["output_dimension"] = request.dimensions
        note("dimensions", "renamed", "the vendor calls it output_dimension")
    if request.user is not None:
        note("user", "dropped", "the vendor has no such parameter")
    for name in request.extra.keys() - _OWN:
        note(name[:80], "dropped", "not a parameter of the vendor's")
    return body


def _inputs(request: EmbeddingsRequest) -> Json:
    """Texts, or the vendor's own inputs of texts and images. A request for `images` alone still has a text in OpenAI's shape: an empty one."""
    inputs = list(request.inputs)
    if request.extra.get("images") and inputs == [""]:
        return {}
    if all(isinstance(one, str) for one in inputs):
        return {"texts": inputs}
    if all(isinstance(one, dict) for one in inputs):
        return {"inputs": inputs}
    raise BadRequestError("input: expected texts, found token ids, which Cohere does not take. Send the texts.")


def decode_embeddings(body: bytes, *, model: str, provider: str) -> EmbeddingsResponse:
    """The vectors in the order of the inputs. Of several types the most exact becomes `data`; all stay in `embeddings_by_type` then."""
    data = json_object(body) or {}
    by_type = data.get("embeddings")
    if not isinstance(by_type, dict):
        raise _no_embeddings(provider)
    try:
        vectors = _vectors(by_type)
        fields: Json = {
            "id": data.get("id") or "",
            "model": model,
            "data": [{"index": index, "embedding": vector} for index, vector in enumerate(vectors)],
            "usage": billed_usage(data.get("meta")),
        }
        extras = {"meta": data.get("meta"), "embeddings_by_type": by_type if len(by_type) > 1 else None}
        return EmbeddingsResponse.model_validate(fields | {name: value for name, value in extras.items() if value})
    except (ValidationError, TypeError, ValueError, struct.error) as error:
        raise _no_embeddings(provider) from error


def _vectors(by_type: Json) -> Sequence[Sequence[float]]:
    numbers: Sequence[Sequence[float]] | None = next((by_type[kind] for kind in MOST_EXACT if by_type.get(kind)), None)
    return [_unpacked(one) for one in by_type.get("base64") or ()] if numbers is None else numbers


def _unpacked(text: str) -> tuple[float, ...]:
    """Floats of 32 bits, little-endian."""
    data = b64decode(text, validate=True)
    return struct.unpack(f"<{len(data) // 4}f", data)


def _no_embeddings(provider: str) -> ResponseValidationError:
    return ResponseValidationError(
        "Expected embeddings by type, found something else. Is base_url the vendor's?", provider=provider
    )


def canonical_embeddings(body: Json) -> EmbeddingsRequest:
    """The request that would be encoded to `body`. Raises pydantic's `ValidationError` when it is not one."""
    fields = {name: value for name, value in body.items() if value is not None}
    given = fields.pop("texts", None) or fields.pop("inputs", None) or [""]
    if "output_dimension" in fields:
        fields["dimensions"] = fields.pop("output_dimension")
    return EmbeddingsRequest.model_validate(fields | {"input": given})
