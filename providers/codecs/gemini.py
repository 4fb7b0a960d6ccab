"""The codec of Google's Gemini, at AI Studio's address; `vertex` puts it behind Vertex AI's.

Source: https://ai.google.dev/api/generate-content
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from ...pipeline.call import Call
from ...pipeline.errors import APIStatusError, BadRequestError
from ...pipeline.types import ChatChunk, ChatRequest, ChatResponse, EmbeddingsRequest, Response, assemble_chat
from ..codec import Encoded
from .counts import count_in
from .gemini_answer import decode_response
from .gemini_embeddings import decode_embeddings, embeddings_body, endpoint_of
from .gemini_errors import status_error
from .gemini_inbound import canonical_request
from .gemini_request import encode_body
from .gemini_stream import GeminiDecoder
from .notes import notes_of
from .plain_json import write_json

_HEADERS: Final = {"content-type": "application/json"}
API_VERSION: Final = "v1beta"
"""What is new stands here first, and stays. Source: https://ai.google.dev/gemini-api/docs/api-versions"""


@dataclass(frozen=True, slots=True)
class GeminiCodec:
    """Chat requests to `generateContent` and `streamGenerateContent`, embeddings to `batchEmbedContents`. The setting `api_version` of a call replaces `v1beta`.

    `provider` names the vendor in errors. Keys are the provider's business. May be shared by any number of calls.
    """

    provider: str = "gemini"

    def encode(self, call: Call) -> Encoded:
        """The request; what the vendor takes differently is noted as `TRANSLATION` facts. Raises `BadRequestError` for other operations."""
        version = call.options.settings.get("api_version") or API_VERSION
        resource = resource_of(call.target.model)
        path = f"/{version}/{resource}:{verb_of(call)}"
        return Encoded("POST", path, encoded_body(call, resource), _HEADERS)

    def encode_count(self, call: Call) -> Encoded:
        """The request to count a prompt's tokens, tools and system instruction included. Source: https://ai.google.dev/api/tokens"""
        version = call.options.settings.get("api_version") or API_VERSION
        resource = resource_of(call.target.model)
        body = {"generateContentRequest": {**chat_body(call), "model": resource}}
        return Encoded("POST", f"/{version}/{resource}:countTokens", write_json(body), _HEADERS)

    def decode_count(self, body: bytes) -> int:
        """The count. Raises `ResponseValidationError` where there is none."""
        return count_in(body, "totalTokens")

    def decode(self, call: Call, body: bytes) -> Response:
        """A complete answer. Raises `ResponseValidationError` when it is none, the error's class for an error in a 200."""
        if isinstance(call.request, EmbeddingsRequest):
            return decode_embeddings(body, model=call.target.model, provider=self.provider)
        return decode_response(body, created=_now_s(call), provider=self.provider)

    def decoder(self, call: Call) -> GeminiDecoder:
        """A decoder for one streamed answer."""
        return GeminiDecoder(created=_now_s(call), provider=self.provider)

    def assemble(self, call: Call, chunks: Sequence[ChatChunk]) -> ChatResponse:  # noqa: ARG002 - the contract of codecs
        """The response that a unary call would have brought."""
        return assemble_chat(chunks)

    def error(self, status_code: int, headers: Mapping[str, str], body: bytes) -> APIStatusError:
        """The error that a status of 400 or more means; the vendor's message is in it, masked and bounded."""
        return status_error(status_code, headers, body, self.provider)


def encoded_body(call: Call, resource: str = "", *, vertex: bool = False) -> bytes:
    """The body of a chat or of embeddings. `resource`: the model's name as the path has it."""
    request = call.request
    if not isinstance(request, EmbeddingsRequest):
        return write_json(chat_body(call))
    endpoint = endpoint_of(request, call.target.model, vertex=vertex)
    return write_json(embeddings_body(request, resource, endpoint, notes_of(call), vertex=vertex))


def chat_body(call: Call) -> dict[str, Any]:
    """The body of a chat, before it is JSON, the same at either address. Raises `BadRequestError` for other operations."""
    request = call.request
    if not isinstance(request, ChatRequest):
        raise BadRequestError(
            f"Expected a request for chat or embeddings, found one for {request.operation}: this codec has no other operation."
        )
    return encode_body(request, call.target.model, notes_of(call))


def resource_of(model: str) -> str:
    """`models/gemini-2.5-flash`; a tuned model's resource name stays. The name cannot leave its place in the path."""
    named = model if model.startswith(("models/", "tunedModels/")) else f"models/{model}"
    return quote(named, safe="/@:.")


def verb_of(call: Call, *, vertex: bool = False) -> str:
    """What is asked of the model. Events, because the array of JSON that is the default cannot be told from a whole answer."""
    if isinstance(call.request, EmbeddingsRequest):
        return endpoint_of(call.request, call.target.model, vertex=vertex)
    return "streamGenerateContent?alt=sse" if call.request.stream else "generateContent"


def _now_s(call: Call) -> int:
    return call.clock.wall_ns() // 1_000_000_000


__all__ = ["API_VERSION", "GeminiCodec", "canonical_request"]
