"""Embeddings on Bedrock, in the models' own bodies by `invoke`: Amazon's Titan and Nova, and Cohere's.

Source: https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-titan-embed-text.html,
https://docs.aws.amazon.com/nova/latest/userguide/embeddings-schema.html,
https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-embed.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

from pydantic import ValidationError

from ...pipeline.errors import BadRequestError, ResponseValidationError
from ...pipeline.types import EmbeddingsRequest, EmbeddingsResponse, Usage
from .cohere_embeddings import MOST_EXACT
from .notes import Note
from .plain_json import json_object

Json = dict[str, Any]
Family = Literal["titan", "nova", "cohere"]

COHERES_MOST: Final = 96
"""Texts of one request; the others take one."""

_PURPOSES: Final = {
    "search_document": "GENERIC_INDEX",
    "search_query": "GENERIC_RETRIEVAL",
    "classification": "CLASSIFICATION",
    "clustering": "CLUSTERING",
}
"""Cohere's `input_type`, in Nova's words."""
_COHERES: Final = frozenset({"input_type", "truncate", "embedding_types", "images", "max_tokens"})
_TITANS: Final = frozenset({"normalize", "embeddingTypes"})
_NOVAS: Final = frozenset({"embeddingPurpose", "truncationMode"})
_SPELLINGS: Final = {
    "embedding_purpose": "embeddingPurpose",
    "truncation_mode": "truncationMode",
}


def family_of(model: str) -> Family:
    """Whose bodies the model takes. Raises `BadRequestError` for one that is none of them."""
    for mark, family in _FAMILIES.items():
        if mark in model:
            return family
    raise BadRequestError(
        "Expected an embeddings model of Titan, Nova or Cohere, found another. An ARN tells nothing: say base_model='...'."
    )


_FAMILIES: Final[Mapping[str, Family]] = {"titan-embed": "titan", "nova-": "nova", "cohere.embed": "cohere"}


def most_inputs(model: str) -> int:
    """How many inputs one request may hold."""
    return COHERES_MOST if "cohere.embed" in model else 1


def embeddings_body(request: EmbeddingsRequest, model: str, note: Note) -> Json:
    """The model's own body. Raises `BadRequestError` for inputs that are no texts, and more of them than it takes."""
    family = family_of(model)
    texts = [one for one in request.inputs if isinstance(one, str)]
    if len(texts) < len(request.inputs):
        raise BadRequestError("input: expected texts, found others. Send texts; Cohere's pictures go as images=[...].")
    if len(texts) > most_inputs(model):
        raise BadRequestError(f"input: expected {most_inputs(model)} at most for {family}, found {len(texts)}.")
    if request.user is not None:
        note("user", "dropped", "the vendor has no such parameter")
    return _MAKERS[family](request, texts, model, note)


def _cohere(request: EmbeddingsRequest, texts: list[str], _: str, note: Note) -> Json:
    body: Json = {} if request.extra.get("images") and texts == [""] else {"texts": texts}
    body |= _own(request, _COHERES, note)
    if "input_type" not in body:
        body["input_type"] = "search_document"
        note("input_type", "emulated", "the model demands one; search_document where the caller names none")
    if request.dimensions is not None:
        body["output_dimension"] = request.dimensions
        note("dimensions", "renamed", "the model calls it output_dimension")
    return body


def _titan(request: EmbeddingsRequest, texts: list[str], model: str, note: Note) -> Json:
    body: Json = {"inputText": texts[0]} | _own(request, _TITANS, note)
    if request.dimensions is not None and "embed-text-v1" in model:
        note("dimensions", "dropped", "the first Titan has one size")
    elif request.dimensions is not None and "embed-image" in model:
        body["embeddingConfig"] = {"outputEmbeddingLength": request.dimensions}
        note("dimensions", "renamed", "the model calls it outputEmbeddingLength")
    elif request.dimensions is not None:
        body["dimensions"] = request.dimensions
    return body


def _nova(request: EmbeddingsRequest, texts: list[str], _: str, note: Note) -> Json:
    own = _own(request, _NOVAS, note, further=("input_type",))
    kind = request.extra.get("input_type")
    purpose = own.get("embeddingPurpose") or _PURPOSES.get(kind if isinstance(kind, str) else "")
    if kind is not None and "embeddingPurpose" not in own:
        note("input_type", "renamed" if purpose else "dropped", "the model calls it embeddingPurpose")
    if purpose is None:
        purpose = "GENERIC_INDEX"
        note("embeddingPurpose", "emulated", "the model demands one; GENERIC_INDEX where the caller names none")
    params: Json = {"embeddingPurpose": purpose}
    if request.dimensions is not None:
        params["embeddingDimension"] = request.dimensions
        note("dimensions", "renamed", "the model calls it embeddingDimension")
    params["text"] = {"truncationMode": own.get("truncationMode", "END"), "value": texts[0]}
    return {"taskType": "SINGLE_EMBEDDING", "singleEmbeddingParams": params}


_MAKERS: Final = {"cohere": _cohere, "titan": _titan, "nova": _nova}


def _own(request: EmbeddingsRequest, known: frozenset[str], note: Note, *, further: tuple[str, ...] = ()) -> Json:
    """The model's own parameters; others are left out, with a note."""
    found: Json = {}
    for name, value in request.extra.items():
        spelled = _SPELLINGS.get(name, name)
        if spelled in known:
            found[spelled] = value
        elif name not in further:
            note(name[:80], "dropped", "not a parameter of the model's")
    return found


# -- answers


def decode_embeddings(body: bytes, *, model: str, provider: str) -> EmbeddingsResponse:
    """The vectors in the order of the inputs; token counts where the body has them (Titan's). Raises `ResponseValidationError` when it is no answer."""
    data = json_object(body) or {}
    try:
        fields: Json = {
            "id": data.get("id") or "",
            "model": model,
            "data": [{"index": index, "embedding": vector} for index, vector in enumerate(_vectors(data))],
        }
        if (tokens := data.get("inputTextTokenCount")) is not None:
            fields["usage"] = counted(tokens)
        by_type = data.get("embeddingsByType") or data.get("embeddings")
        if isinstance(by_type, dict) and len(by_type) > 1:
            fields["embeddings_by_type"] = by_type
        return EmbeddingsResponse.model_validate(fields)
    except (ValidationError, LookupError, TypeError, AttributeError) as error:
        raise ResponseValidationError(
            "Expected embeddings, found something else. Is it a model of embeddings?", provider=provider
        ) from error


def counted(tokens: int) -> Usage:
    """Tokens of the prompt: there are no others."""
    return Usage.model_validate({"prompt_tokens": tokens, "completion_tokens": 0, "total_tokens": tokens})


def _vectors(data: Json) -> list[Any]:
    if "embedding" in data:
        return [data["embedding"]]
    found = data["embeddings"]
    if isinstance(found, dict):  # Cohere's, by type: the most exact
        return list(next((found[kind] for kind in MOST_EXACT if found.get(kind)), ()) or found["float"])
    return [one["embedding"] if isinstance(one, dict) else one for one in found]


# -- the other way


def canonical_embeddings(body: Json, *, model: str) -> EmbeddingsRequest:
    """The request that would be encoded to `body`. Raises pydantic's `ValidationError` when it is not one."""
    fields: Json = {"model": model}
    if "inputText" in body:
        fields |= {name: value for name, value in body.items() if name not in ("inputText", "embeddingConfig")}
        fields["input"] = body["inputText"]
        if isinstance(size := body.get("embeddingConfig"), dict):
            fields["dimensions"] = size.get("outputEmbeddingLength")
    elif isinstance(params := body.get("singleEmbeddingParams"), dict):
        text = params.get("text") or {}
        fields |= {"input": text.get("value"), "dimensions": params.get("embeddingDimension")}
        fields |= {"embeddingPurpose": params.get("embeddingPurpose"), "truncationMode": text.get("truncationMode")}
    else:
        fields |= {name: value for name, value in body.items() if name not in ("texts", "output_dimension")}
        fields |= {"input": body.get("texts") or [""], "dimensions": body.get("output_dimension")}
    return EmbeddingsRequest.model_validate({name: value for name, value in fields.items() if value is not None})
