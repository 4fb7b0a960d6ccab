"""The rerank operation: which documents answer a query best."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import field_validator

from .base import Model, Operation, Request, Response


class RerankRequest(Request):
    """A query and documents to be put in order of relevance; unknown fields are kept and passed on.

    Source: https://docs.cohere.com/reference/rerank, https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html#re-rank-api
    """

    operation: ClassVar[Operation] = "rerank"

    query: str
    documents: tuple[str | dict[str, Any], ...]
    top_n: int | None = None
    return_documents: bool | None = None
    max_tokens_per_doc: int | None = None

    @field_validator("documents")
    @classmethod
    def _not_empty(cls, documents: tuple[Any, ...]) -> tuple[Any, ...]:
        if not documents:
            raise ValueError("expected at least one document, found none")
        return documents


class RerankResult(Model):
    """One document's place: `index` is that in the request; scores compare within one response only."""

    index: int
    relevance_score: float
    document: str | dict[str, Any] | None = None


class RerankResponse(Response):
    """Documents, the most relevant first. `meta` is the vendor's own account (Cohere's billed units)."""

    operation: ClassVar[Operation] = "rerank"

    id: str = ""
    model: str = ""
    results: tuple[RerankResult, ...] = ()
    meta: dict[str, Any] | None = None

    @property
    def order(self) -> tuple[int, ...]:
        """The documents' indexes in the request, the most relevant first."""
        return tuple(result.index for result in self.results)
