"""Embeddings of Gemini and Vertex AI, in both directions: three endpoints with the same inputs.

Source: https://ai.google.dev/api/embeddings,
https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/text-embeddings-api; which model has which endpoint at
Vertex AI, and their forms there, by google-genai
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from ...pipeline.errors import BadRequestError, ResponseValidationError
from ...pipeline.types import EmbeddingsRequest, EmbeddingsResponse, Part
from .gemini_names import Json, camelised
from .gemini_parts import canonical_part, parts_of
from .gemini_usage import has_counts, usage_of
from .notes import Note
from .plain_json import json_object

BATCH, ONE, PREDICT = "batchEmbedContents", "embedContent", "predict"

_TASKS: Final = {
    "search_document": "RETRIEVAL_DOCUMENT",
    "search_query": "RETRIEVAL_QUERY",
    "classification": "CLASSIFICATION",
    "clustering": "CLUSTERING",
}
"""Cohere's `input_type`, which other vendors' clients write too."""
_SPELLINGS: Final = {
    "taskType": "task_type",
    "autoTruncate": "auto_truncate",
    "outputDimensionality": "output_dimensionality",
}
_AT_VERTEX: Final = frozenset({"auto_truncate"})
_PARTS: Final[TypeAdapter[tuple[Part, ...]]] = TypeAdapter(tuple[Part, ...])


def endpoint_of(request: EmbeddingsRequest, model: str, *, vertex: bool) -> str:
    """The method of the model that is asked."""
    if not vertex:
        return BATCH
    name = model.rpartition("/")[2]
    if "gemini" not in name and "maas" not in name:
        return PREDICT
    return ONE if len(request.inputs) == 1 else BATCH


def embeddings_body(request: EmbeddingsRequest, model: str, endpoint: str, note: Note, *, vertex: bool) -> Json:
    """The body for `endpoint`; `model` is the resource's name, which AI Studio wants in each of a batch.

    Raises `BadRequestError` for inputs that are token ids, and for more than text where the endpoint takes no more.
    """
    given = _settings(request, note, vertex=vertex)
    if endpoint == PREDICT:
        return _predict(request, given, note)
    contents = [_content(one, note) for one in request.inputs]
    if not vertex:
        return {"requests": [{"model": model, "content": one, **given} for one in contents]}
    settings = {"embedContentConfig": given} if given else {}
    each = [{"content": one, **settings} for one in contents]
    return each[0] if endpoint == ONE else {"requests": each}


def _settings(request: EmbeddingsRequest, note: Note, *, vertex: bool) -> Json:
    """`taskType`, `title`, `autoTruncate`, `outputDimensionality`, of those that are given."""
    extra = {_SPELLINGS.get(name, name): value for name, value in request.extra.items()}
    task = extra.pop("task_type", None)
    kind = extra.pop("input_type", None)
    if kind is not None and task is None:
        task = _TASKS.get(kind) if isinstance(kind, str) else None
        note("input_type", "renamed" if task else "dropped", "the vendor calls it taskType" if task else "no such task")
    size = extra.pop("output_dimensionality", None)
    if request.dimensions is not None:
        size = request.dimensions
        note("dimensions", "renamed", "the vendor calls it outputDimensionality")
    given = {"taskType": task, "title": extra.pop("title", None)}
    if vertex:
        given["autoTruncate"] = extra.pop("auto_truncate", None)
    given["outputDimensionality"] = size
    if request.user is not None:
        note("user", "dropped", "the vendor has no such parameter")
    for name in extra:
        note(name[:80], "dropped", "of Vertex AI alone" if name in _AT_VERTEX else "not a parameter of the vendor's")
    return {name: value for name, value in given.items() if value is not None}


def _predict(request: EmbeddingsRequest, given: Json, note: Note) -> Json:
    per_text = {name: given[ours] for name, ours in (("task_type", "taskType"), ("title", "title")) if given.get(ours)}
    instances = [{"content": _text(_content(one, note)), **per_text} for one in request.inputs]
    parameters = {name: given[name] for name in ("autoTruncate", "outputDimensionality") if name in given}
    return {"instances": instances} | ({"parameters": parameters} if parameters else {})


def _content(one: Any, note: Note) -> Json:
    """A text; Gemini's own content; or parts in OpenAI's shape, under `content`."""
    if isinstance(one, str):
        return {"parts": [{"text": one}]}
    if isinstance(one, Mapping):
        if isinstance(one.get("parts"), list):
            return dict(one)
        if isinstance(one.get("content"), (list, tuple)):
            return {"parts": parts_of(_read_parts(one["content"]), note)}
    raise BadRequestError(
        "input: expected texts or contents, found token ids, which Gemini does not take. Send the texts."
    )


def _read_parts(given: Iterable[Any]) -> tuple[Part, ...]:
    try:
        return _PARTS.validate_python(tuple(given))
    except ValidationError as error:
        raise BadRequestError(
            "input: expected parts of a message in `content`, found something else. Write them as in a chat."
        ) from error


def _text(content: Json) -> str:
    parts = content["parts"]
    if not all(isinstance(part.get("text"), str) for part in parts):
        raise BadRequestError(
            "input: expected texts, found more. Ask a model that takes it, such as gemini-embedding-2."
        )
    return "".join(part["text"] for part in parts)


# -- answers


def decode_embeddings(body: bytes, *, model: str, provider: str) -> EmbeddingsResponse:
    """The vectors in the order of the inputs, whichever endpoint answered; token counts where there are any.

    Raises `ResponseValidationError` when it is no answer to embeddings.
    """
    data = json_object(body) or {}
    try:
        found = _embeddings(data)
        fields: Json = {
            "model": model,
            "data": [{"index": index, "embedding": one["values"]} for index, one in enumerate(found)],
        }
        fields |= {name: data[name] for name in ("metadata", "truncated") if data.get(name)}
        response = EmbeddingsResponse.model_validate(fields)
        counts = _counts(data, found)
        return response.but(usage=usage_of(counts)) if counts is not None else response
    except (ValidationError, LookupError, TypeError, AttributeError) as error:
        raise ResponseValidationError(
            "Expected embeddings, found something else. Is base_url the vendor's?", provider=provider
        ) from error


def _embeddings(data: Json) -> list[Json]:
    if "predictions" in data:
        return [one["embeddings"] for one in data["predictions"]]
    return [data["embedding"]] if "embedding" in data else list(data["embeddings"])


def _counts(data: Json, found: list[Json]) -> Json | None:
    """Of the whole answer, else of each text; `predict` counts so, and knows no other sum."""
    whole: Json = data.get("usageMetadata") or {}
    if has_counts(whole):
        return whole | {"promptTokensDetails": whole.get("promptTokensDetails") or whole.get("promptTokenDetails")}
    each = [(one.get("statistics") or {}) for one in found]
    tokens: list[Any] = [one.get("token_count", one.get("tokenCount")) for one in each]
    if not tokens or any(count is None for count in tokens):
        return None
    return {"promptTokenCount": int(sum(tokens))}


# -- the other way


def canonical_embeddings(body: Json, *, model: str) -> EmbeddingsRequest:
    """The request that would be encoded to `body`, of any of the endpoints. Raises pydantic's `ValidationError` when it is not one."""
    data = camelised(body)
    if "instances" in data:
        each = data["instances"]
        inputs = [one.get("content") for one in each]
        settings = {**(data.get("parameters") or {}), **each[0]}
    else:
        each = data.get("requests") or [data]
        inputs = [_canonical(one.get("content") or {}) for one in each]
        settings = {**each[0], **(each[0].get("embedContentConfig") or {})}
    if any(isinstance(one, dict) for one in inputs):
        inputs = [{"content": [{"type": "text", "text": one}]} if isinstance(one, str) else one for one in inputs]
    fields = {_SPELLINGS.get(name, name): value for name, value in settings.items() if name not in _NO_SETTINGS}
    if "output_dimensionality" in fields:
        fields["dimensions"] = fields.pop("output_dimensionality")
    return EmbeddingsRequest.model_validate({"model": model, "input": inputs, **fields})


_NO_SETTINGS: Final = frozenset({"content", "model", "embedContentConfig", "requests"})


def _canonical(content: Json) -> Any:
    """A text where it is one text alone; parts in OpenAI's shape; a content with more in it as it is."""
    parts = content.get("parts") or []
    if content.keys() != {"parts"}:
        return content
    if len(parts) == 1 and parts[0].keys() == {"text"}:
        return parts[0]["text"]
    return {"content": [canonical_part(part) for part in parts]}
