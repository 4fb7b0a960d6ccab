"""The embeddings operation: texts in, vectors out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from pydantic import field_validator

from .base import Model, Operation, Request, Response
from .usage import Usage

EmbeddingInput = str | tuple[str, ...] | tuple[int, ...] | tuple[tuple[int, ...], ...] | tuple[dict[str, Any], ...]
"""A text, texts, one input's token ids, several inputs' token ids, or a vendor's own multimodal inputs."""


class EmbeddingsRequest(Request):
    """Inputs to be turned into vectors, in OpenAI's shape; unknown fields are kept and passed on.

    Source: https://platform.openai.com/docs/api-reference/embeddings/create
    """

    operation: ClassVar[Operation] = "embeddings"

    input: EmbeddingInput
    dimensions: int | None = None
    encoding_format: str | None = None
    """How the vectors travel (`float`, `base64`); a response has numbers either way. None leaves it to what the vendor does best."""
    user: str | None = None

    @field_validator("input")
    @classmethod
    def _not_empty(cls, given: EmbeddingInput) -> EmbeddingInput:
        if isinstance(given, tuple) and not given:
            raise ValueError("expected at least one input, found none")
        return given

    @property
    def inputs(self) -> Sequence[Any]:
        """The inputs one by one, in order: a text, or the token ids of one."""
        given = self.input
        return (given,) if isinstance(given, str) or isinstance(given[0], int) else given


class Embedding(Model):
    """One input's vector; `index` is the input's place in the request."""

    index: int = 0
    object: str = "embedding"
    embedding: tuple[float, ...]


class EmbeddingsResponse(Response):
    """Vectors in the order of the inputs, in OpenAI's shape."""

    operation: ClassVar[Operation] = "embeddings"

    object: str = "list"
    data: tuple[Embedding, ...] = ()
    model: str = ""
    id: str = ""

    @property
    def vectors(self) -> tuple[tuple[float, ...], ...]:
        """The vectors alone, in the order of the inputs."""
        return tuple(item.embedding for item in self.data)

    @property
    def vector(self) -> tuple[float, ...]:
        """The first input's vector. Raises `IndexError` if there is none."""
        return self.data[0].embedding


def join_embeddings(responses: Sequence[EmbeddingsResponse]) -> EmbeddingsResponse:
    """One response of those to consecutive parts of a request: indexes count on, token counts add up.

    The token counts are None if one of the parts has none: half a count would look like a whole one.
    """
    first = responses[0]
    data: list[Embedding] = []
    for response in responses:
        start = len(data)
        data += [item.but(index=start + item.index) for item in response.data]
    return first.but(data=tuple(data), usage=_sum([response.usage for response in responses]))


def _sum(counts: Sequence[Usage | None]) -> Usage | None:
    known = [usage for usage in counts if usage is not None]
    if len(known) < len(counts):
        return None
    return Usage(
        prompt_tokens=sum(usage.prompt_tokens for usage in known),
        completion_tokens=sum(usage.completion_tokens for usage in known),
        total_tokens=sum(usage.total_tokens for usage in known),
    )
