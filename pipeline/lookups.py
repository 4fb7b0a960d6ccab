"""The client's methods that ask a model about texts: embeddings, moderation, reranking."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .asking import Asking
from .call import NO_OPTIONS, CallOptions
from .params import Params
from .types import (
    EmbeddingsRequest,
    EmbeddingsResponse,
    ModerationRequest,
    ModerationResponse,
    RerankRequest,
    RerankResponse,
)

Inputs = str | Sequence[str] | Sequence[int] | Sequence[Sequence[int]] | Sequence[dict[str, Any]]
"""A text, texts, token ids of one input or of several, or a vendor's own multimodal inputs."""


class Lookups(Asking):
    """Methods of `Client`; see there for what all of them take and raise."""

    def embedding(
        self,
        model: str,
        input: Inputs,  # noqa: A002 - OpenAI's name
        *,
        dimensions: int | None = None,
        options: CallOptions = NO_OPTIONS,
        **params: Any,
    ) -> EmbeddingsResponse:
        """Vectors of one input or of many, in their order: `.vector`, `.vectors`.

        More inputs than the vendor takes at once are sent in parts, a few at a time; the record's `divided` fact and attempts show them.
        """
        return self._whole(EmbeddingsResponse, self._embedding(model, input, dimensions, options, params))

    async def aembedding(
        self,
        model: str,
        input: Inputs,  # noqa: A002 - as above
        *,
        dimensions: int | None = None,
        options: CallOptions = NO_OPTIONS,
        **params: Any,
    ) -> EmbeddingsResponse:
        """`embedding`, on the running event loop."""
        return await self._awhole(EmbeddingsResponse, self._embedding(model, input, dimensions, options, params))

    def moderation(
        self,
        model: str,
        input: str | Sequence[str] | Sequence[dict[str, Any]],  # noqa: A002 - as above
        *,
        options: CallOptions = NO_OPTIONS,
        **params: Any,
    ) -> ModerationResponse:
        """Whether content is harmful: `.flagged`, and `.results` with categories and scores, one for each text."""
        return self._whole(ModerationResponse, self._moderation(model, input, options, params))

    async def amoderation(
        self,
        model: str,
        input: str | Sequence[str] | Sequence[dict[str, Any]],  # noqa: A002 - as above
        *,
        options: CallOptions = NO_OPTIONS,
        **params: Any,
    ) -> ModerationResponse:
        """`moderation`, on the running event loop."""
        return await self._awhole(ModerationResponse, self._moderation(model, input, options, params))

    def rerank(
        self,
        model: str,
        query: str,
        documents: Sequence[str | dict[str, Any]],
        *,
        top_n: int | None = None,
        options: CallOptions = NO_OPTIONS,
        **params: Any,
    ) -> RerankResponse:
        """Which documents answer the query best: `.order` and `.results`, the most relevant first."""
        return self._whole(RerankResponse, self._rerank(model, query, documents, top_n, options, params))

    async def arerank(
        self,
        model: str,
        query: str,
        documents: Sequence[str | dict[str, Any]],
        *,
        top_n: int | None = None,
        options: CallOptions = NO_OPTIONS,
        **params: Any,
    ) -> RerankResponse:
        """`rerank`, on the running event loop."""
        return await self._awhole(RerankResponse, self._rerank(model, query, documents, top_n, options, params))

    # -- inside

    def _embedding(
        self, model: str, given: Inputs, dimensions: int | None, options: CallOptions, params: dict[str, Any]
    ) -> Params:
        return self._params(EmbeddingsRequest, model, {"input": given, "dimensions": dimensions}, options, params)

    def _moderation(self, model: str, given: Any, options: CallOptions, params: dict[str, Any]) -> Params:
        return self._params(ModerationRequest, model, {"input": given}, options, params)

    def _rerank(
        self,
        model: str,
        query: str,
        documents: Sequence[Any],
        top_n: int | None,
        options: CallOptions,
        params: dict[str, Any],
    ) -> Params:
        if isinstance(documents, str):
            raise TypeError("documents: expected a list of texts, found one text. Put it into a list.")
        return self._params(
            RerankRequest, model, {"query": query, "documents": documents, "top_n": top_n}, options, params
        )
