"""Embeddings on OpenAI's wire.

Source: https://platform.openai.com/docs/api-reference/embeddings
"""

from __future__ import annotations

import sys
from array import array
from base64 import b64decode
from typing import TYPE_CHECKING, Any

from ...pipeline.types import Embedding, EmbeddingsResponse
from .openai_json import Json, body_of, counted, fitted, json_request, no_answer, object_in, where

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...pipeline.call import Call
    from ..codec import Encoded
    from ..dialect import Dialect

_EXPECTED = "embeddings"


def encode_embeddings(call: Call, dialect: Dialect) -> Encoded:
    """The request. Vectors travel as the caller says, or else as the vendor does best."""
    body = body_of(call, dialect)
    if dialect.packs_vectors:
        body.setdefault("encoding_format", "base64")
    return json_request("/embeddings", body)


def decode_embeddings(call: Call, body: bytes, dialect: Dialect) -> EmbeddingsResponse:  # noqa: ARG001 - as all of them
    """The vectors as numbers, in the order of the inputs, however they travelled."""
    data = object_in(body, _EXPECTED)
    items = data.get("data")
    if not isinstance(items, list):
        raise no_answer(_EXPECTED, "an object without data")
    usage = counted(data.pop("usage", None))
    try:
        vectors = _vectors(items)
    except ValueError as error:
        raise no_answer(_EXPECTED, f"one whose vectors cannot be read ({where(error)})") from error
    return fitted(EmbeddingsResponse, {**_known(data), "data": vectors, "usage": usage}, _EXPECTED)


def _known(data: Json) -> Json:
    return {name: value for name, value in data.items() if value is not None or name not in ("id", "model", "object")}


def _vectors(items: Sequence[Any]) -> list[Any]:
    vectors = [_vector(place, item) for place, item in enumerate(items)]
    in_order = all(vector.index == place for place, vector in enumerate(vectors))
    return vectors if in_order else sorted(vectors, key=lambda vector: vector.index)


def _vector(place: int, item: Any) -> Embedding:
    if not isinstance(item, dict):
        raise no_answer(_EXPECTED, f"a {type(item).__name__} in place of a vector")
    if item.get("index") is None:
        item["index"] = place
    packed = item.get("embedding")
    if isinstance(packed, str):
        item["embedding"] = _unpacked(packed)
    return Embedding.model_validate(item)


def _unpacked(packed: str) -> Sequence[float]:
    """Base64 of little-endian 32-bit floats.

    vLLM up to 0.5.4 sent 64-bit ones of half-precision numbers, whose lower halves are all zero: no real vector is
    nought in every other place. Source: https://github.com/vllm-project/vllm/issues/6744
    """
    data = b64decode(packed, validate=True)
    floats = _floats("f", data)
    if len(floats) > 1 and not len(data) % 8 and not any(floats[::2]):
        floats = _floats("d", data)
    return floats.tolist()


def _floats(code: str, data: bytes) -> array[float]:
    floats: array[float] = array(code)
    floats.frombytes(data)
    if sys.byteorder == "big":
        floats.byteswap()
    return floats
