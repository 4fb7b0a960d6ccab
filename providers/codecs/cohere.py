"""The codec of Cohere's v2 API: chat, embeddings and rerank.

Source: https://docs.cohere.com/reference/about
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ...pipeline.call import Call
from ...pipeline.errors import APIStatusError, BadRequestError
from ...pipeline.types import (
    ChatChunk,
    ChatRequest,
    ChatResponse,
    EmbeddingsRequest,
    RerankRequest,
    Response,
    assemble_chat,
)
from ..codec import Encoded
from .cohere_embeddings import decode_embeddings, embeddings_body
from .cohere_errors import status_error
from .cohere_inbound import canonical_request
from .cohere_request import encode_body
from .cohere_rerank import decode_rerank, rerank_body
from .cohere_response import decode_response
from .cohere_stream import CohereDecoder
from .notes import notes_of
from .plain_json import write_json

_HEADERS: Final = {"content-type": "application/json"}


@dataclass(frozen=True, slots=True)
class CohereCodec:
    """Chat, embeddings and rerank requests to the v2 API. `provider` names the vendor in errors. May be shared by any number of calls."""

    provider: str = "cohere"

    def encode(self, call: Call) -> Encoded:
        """The request; what the vendor takes differently is noted as `TRANSLATION` facts. Raises `BadRequestError` for other operations."""
        path, body = _path_and_body(call)
        return Encoded("POST", path, write_json(body), _HEADERS)

    def decode(self, call: Call, body: bytes) -> Response:
        """A complete answer. Raises `ResponseValidationError` when it is none, the error's class for an error in a 200."""
        model = call.target.model
        if isinstance(call.request, EmbeddingsRequest):
            return decode_embeddings(body, model=model, provider=self.provider)
        if isinstance(call.request, RerankRequest):
            return decode_rerank(body, call.request, model=model, provider=self.provider)
        return decode_response(body, model=model, created=_now_s(call), provider=self.provider)

    def decoder(self, call: Call) -> CohereDecoder:
        """A decoder for one streamed answer."""
        return CohereDecoder(model=call.target.model, created=_now_s(call), provider=self.provider)

    def assemble(self, call: Call, chunks: Sequence[ChatChunk]) -> ChatResponse:  # noqa: ARG002 - the contract of codecs
        """The response that a unary call would have brought."""
        return assemble_chat(chunks)

    def error(self, status_code: int, headers: Mapping[str, str], body: bytes) -> APIStatusError:
        """The error that a status of 400 or more means; the vendor's message is in it, masked and bounded."""
        return status_error(status_code, headers, body, self.provider)


def _path_and_body(call: Call) -> tuple[str, dict[str, Any]]:
    request, model, note = call.request, call.target.model, notes_of(call)
    if isinstance(request, ChatRequest):
        return "/v2/chat", encode_body(request, model, note)
    if isinstance(request, EmbeddingsRequest):
        return "/v2/embed", embeddings_body(request, model, note)
    if isinstance(request, RerankRequest):
        return "/v2/rerank", rerank_body(request, model, note)
    raise BadRequestError(
        f"Expected a request for chat, embeddings or rerank, found {request.operation}: Cohere has no other operation here."
    )


def _now_s(call: Call) -> int:
    return call.clock.wall_ns() // 1_000_000_000


__all__ = ["CohereCodec", "canonical_request"]
