"""Rerank of the v2 API, in both directions.

Source: https://docs.cohere.com/reference/rerank
"""

from __future__ import annotations

from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import to_json

from ...pipeline.errors import ResponseValidationError
from ...pipeline.types import RerankRequest, RerankResponse
from .notes import Note
from .plain_json import json_object

Json = dict[str, Any]

_OWN: Final = frozenset({"priority", "relevant_spans"})


def rerank_body(request: RerankRequest, model: str, note: Note) -> Json:
    """The body of `POST /v2/rerank`. Documents are texts: others are sent as JSON, which is YAML, the form that the vendor advises for them."""
    body: Json = {"model": model, "query": request.query, "documents": [_text(one, note) for one in request.documents]}
    for name in ("top_n", "max_tokens_per_doc"):
        if (value := getattr(request, name)) is not None:
            body[name] = value
    if request.return_documents:
        note("return_documents", "emulated", "the vendor does not send documents back; they are put beside the results")
    for name, value in request.extra.items():
        if name in _OWN:
            body[name] = value
        else:
            note(name[:80], "dropped", "not a parameter of the vendor's")
    return body


def _text(document: str | Json, note: Note) -> str:
    if isinstance(document, str):
        return document
    if document.keys() == {"text"} and isinstance(document["text"], str):
        return document["text"]
    note("documents", "emulated", "the vendor takes texts; documents with fields are sent as JSON")
    return to_json(document).decode()


def decode_rerank(body: bytes, request: RerankRequest, *, model: str, provider: str) -> RerankResponse:
    """The results, the most relevant first, with their documents if `request` wants them back."""
    data = json_object(body) or {}
    if not isinstance(data.get("results"), list):
        raise _no_ranking(provider)
    try:
        results = [_result(one, request) for one in data["results"]]
        fields = {"id": data.get("id") or "", "model": model, "results": results, "meta": data.get("meta")}
        return RerankResponse.model_validate({name: value for name, value in fields.items() if value is not None})
    except (ValidationError, LookupError, TypeError, AttributeError) as error:
        raise _no_ranking(provider) from error


def _result(result: Json, request: RerankRequest) -> Json:
    if not request.return_documents or result.get("document") is not None:
        return result
    return {**result, "document": request.documents[result["index"]]}


def _no_ranking(provider: str) -> ResponseValidationError:
    return ResponseValidationError(
        "Expected reranked results, found something else. Is base_url the vendor's?", provider=provider
    )


def canonical_rerank(body: Json) -> RerankRequest:
    """The request that would be encoded to `body`. Raises pydantic's `ValidationError` when it is not one."""
    return RerankRequest.model_validate({name: value for name, value in body.items() if value is not None})
