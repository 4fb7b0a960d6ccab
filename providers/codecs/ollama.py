"""The codec of Ollama's own API.

It is what the row `ollama` speaks, because Ollama's OpenAI endpoint cannot say what decides about a local model:
`num_ctx`, `keep_alive`, how long it took to load. A `base_url` that ends in `/v1` asks for that endpoint instead.

Source: https://docs.ollama.com/api
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ...pipeline.call import Call
from ...pipeline.errors import APIStatusError, BadRequestError
from ...pipeline.types import ChatChunk, ChatRequest, ChatResponse, EmbeddingsRequest, Response, assemble_chat
from ..codec import Encoded
from .notes import notes_of
from .ollama_errors import status_error
from .ollama_inbound import canonical_request
from .ollama_request import chat_body, embed_body
from .ollama_response import decode_chat, decode_embeddings
from .ollama_stream import OllamaDecoder
from .plain_json import write_json

_HEADERS: Final = {"content-type": "application/json"}


@dataclass(frozen=True, slots=True)
class OllamaCodec:
    """Chat and embeddings requests to an Ollama server. `provider` names it in errors. May be shared by any number of calls."""

    provider: str = "ollama"

    def encode(self, call: Call) -> Encoded:
        """The request; what the server takes differently is noted as `TRANSLATION` facts. Raises `BadRequestError` for other operations."""
        path, body = _path_and_body(call)
        return Encoded("POST", path, write_json(body), _HEADERS)

    def decode(self, call: Call, body: bytes) -> Response:
        """A complete answer. Raises `ResponseValidationError` when it is none, the error's class for an error in a 200."""
        if isinstance(call.request, EmbeddingsRequest):
            return decode_embeddings(body, call, self.provider)
        return decode_chat(body, call, self.provider)

    def decoder(self, call: Call) -> OllamaDecoder:
        """A decoder for one streamed answer."""
        return OllamaDecoder(call, self.provider)

    def assemble(self, call: Call, chunks: Sequence[ChatChunk]) -> ChatResponse:  # noqa: ARG002 - the contract of codecs
        """The response that a unary call would have brought."""
        return assemble_chat(chunks)

    def error(self, status_code: int, headers: Mapping[str, str], body: bytes) -> APIStatusError:
        """The error that a status of 400 or more means; for a model that is not there it names the command to run."""
        return status_error(status_code, headers, body, self.provider)


def _path_and_body(call: Call) -> tuple[str, dict[str, Any]]:
    request, model, note = call.request, call.target.model, notes_of(call)
    if isinstance(request, ChatRequest):
        return "/api/chat", chat_body(request, model, note)
    if isinstance(request, EmbeddingsRequest):
        return "/api/embed", embed_body(request, model, note)
    raise BadRequestError(
        f"Expected a request for chat or embeddings, found {request.operation}: Ollama has no other operation here."
    )


__all__ = ["OllamaCodec", "canonical_request"]
