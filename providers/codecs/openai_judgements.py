"""Moderation and reranking on OpenAI's wire. OpenAI has no reranking; the form is Cohere's, which compatible servers speak.

Source: https://platform.openai.com/docs/api-reference/moderations, https://docs.cohere.com/reference/rerank,
https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html#re-rank-api, https://jina.ai/reranker
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...pipeline.types import ModerationResponse, RerankResponse
from .openai_json import Json, body_of, counted, fitted, json_request, no_answer, object_in

if TYPE_CHECKING:
    from ...pipeline.call import Call
    from ..codec import Encoded
    from ..dialect import Dialect

_VERDICTS, _RANKING = "verdicts of a moderation", "a ranking"


def encode_moderation(call: Call, dialect: Dialect) -> Encoded:
    """The request."""
    return json_request("/moderations", body_of(call, dialect))


def decode_moderation(call: Call, body: bytes, dialect: Dialect) -> ModerationResponse:  # noqa: ARG001 - as all of them
    """A verdict for each input."""
    data = object_in(body, _VERDICTS)
    if not isinstance(data.get("results"), list):
        raise no_answer(_VERDICTS, "an object without results")
    usage = counted(data.pop("usage", None))
    return fitted(ModerationResponse, {**_named(data), "usage": usage}, _VERDICTS)


def encode_rerank(call: Call, dialect: Dialect) -> Encoded:
    """The request."""
    return json_request("/rerank", body_of(call, dialect))


def decode_rerank(call: Call, body: bytes, dialect: Dialect) -> RerankResponse:  # noqa: ARG001 - as all of them
    """The documents' places, the most relevant first, whatever the server calls the list and the score."""
    data = object_in(body, _RANKING)
    results = data.pop("results") if "results" in data else data.pop("data", None)
    if not isinstance(results, list):
        raise no_answer(_RANKING, "an object without results")
    usage = counted(data.pop("usage", None))
    ranked = fitted(
        RerankResponse, {**_named(data), "results": [_result(one) for one in results], "usage": usage}, _RANKING
    )
    return ranked.but(results=tuple(sorted(ranked.results, key=lambda result: -result.relevance_score)))


def _result(result: Any) -> Any:
    if isinstance(result, dict) and "relevance_score" not in result and "score" in result:
        return {**result, "relevance_score": result["score"]}
    return result


def _named(data: Json) -> Json:
    return {name: value for name, value in data.items() if value is not None or name not in ("id", "model")}
