"""The codec of Anthropic's Messages API.

Source: https://platform.claude.com/docs/en/api/messages
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from ...pipeline.call import Call
from ...pipeline.errors import APIStatusError, BadRequestError
from ...pipeline.types import ChatChunk, ChatRequest, ChatResponse, assemble_chat
from ..codec import Encoded
from .anthropic_errors import status_error
from .anthropic_format import answers_by_tool
from .anthropic_inbound import canonical_request
from .anthropic_models import traits_of
from .anthropic_request import betas_of, encode_body
from .anthropic_response import decode_response
from .anthropic_stream import AnthropicDecoder
from .counts import count_in
from .notes import notes_of
from .plain_json import write_json

API_VERSION: Final = "2023-06-01"
"""Source: https://platform.claude.com/docs/en/api/versioning"""

VERTEX_VERSION: Final = "vertex-2023-10-16"
"""Source: https://platform.claude.com/docs/en/build-with-claude/claude-on-vertex-ai"""

_COUNTED = frozenset({"messages", "model", "system", "tools", "tool_choice", "thinking", "output_config"})
"""What is counted; the rest of a request may not be there. Source: https://platform.claude.com/docs/en/api/messages-count-tokens"""

Host = Literal["anthropic", "vertex"]


@dataclass(frozen=True, slots=True)
class AnthropicCodec:
    """Chat requests to the Messages API, at Anthropic's own address or behind Google's Vertex AI.

    `host` decides where model and version go: into the body and a header, or into the path and the body. `provider`
    names the vendor in errors. Keys are the provider's business. May be shared by any number of calls.
    """

    provider: str = "anthropic"
    host: Host = "anthropic"

    def encode(self, call: Call) -> Encoded:
        """The request; what the vendor takes differently is noted as `TRANSLATION` facts. Raises `BadRequestError` for other operations than chat."""
        request = _chat(call)
        body = encode_body(request, call.target.model, notes_of(call))
        headers = {"content-type": "application/json"}
        if betas := betas_of(request, body):
            headers["anthropic-beta"] = ",".join(betas)
        if self.host == "vertex":
            return _on_vertex(body, headers)
        return Encoded("POST", "/v1/messages", write_json(body), headers | {"anthropic-version": API_VERSION})

    def encode_count(self, call: Call) -> Encoded:
        """The request to count a prompt's tokens. Raises `BadRequestError` behind Vertex AI, which has no such address."""
        if self.host == "vertex":
            raise BadRequestError("Expected Anthropic's own address, found Vertex AI: tokens are not counted there.")
        body = encode_body(_chat(call), call.target.model, notes_of(call))
        headers = {"content-type": "application/json", "anthropic-version": API_VERSION}
        return Encoded("POST", "/v1/messages/count_tokens", write_json(_counted(body)), headers)

    def decode_count(self, body: bytes) -> int:
        """The count. Raises `ResponseValidationError` where there is none."""
        return count_in(body, "input_tokens")

    def decode(self, call: Call, body: bytes) -> ChatResponse:
        """A complete answer. Raises `ResponseValidationError` when it is none, the error's class for an error in a 200."""
        return decode_response(body, created=_now_s(call), answer_tool=_answers_by_tool(call), provider=self.provider)

    def decoder(self, call: Call) -> AnthropicDecoder:
        """A decoder for one streamed answer."""
        return AnthropicDecoder(created=_now_s(call), answer_tool=_answers_by_tool(call), provider=self.provider)

    def assemble(self, call: Call, chunks: Sequence[ChatChunk]) -> ChatResponse:  # noqa: ARG002 - the contract of codecs
        """The response that a unary call would have brought."""
        return assemble_chat(chunks)

    def error(self, status_code: int, headers: Mapping[str, str], body: bytes) -> APIStatusError:
        """The error that a status of 400 or more means; the vendor's message is in it, masked and bounded."""
        return status_error(status_code, headers, body, self.provider)


def _counted(body: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name in _COUNTED}


def _on_vertex(body: dict[str, Any], headers: dict[str, str]) -> Encoded:
    model = body.pop("model")
    verb = "streamRawPredict" if body.get("stream") else "rawPredict"
    return Encoded(
        "POST",
        f"/publishers/anthropic/models/{model}:{verb}",
        write_json({"anthropic_version": VERTEX_VERSION} | body),
        headers,
    )


def _chat(call: Call) -> ChatRequest:
    if not isinstance(call.request, ChatRequest):
        raise BadRequestError(
            f"Expected a chat request, found one for {call.request.operation}: the Messages API has no other operation."
        )
    return call.request


def _answers_by_tool(call: Call) -> bool:
    return answers_by_tool(_chat(call), traits_of(call.target.model))


def _now_s(call: Call) -> int:
    return call.clock.wall_ns() // 1_000_000_000


__all__ = ["API_VERSION", "VERTEX_VERSION", "AnthropicCodec", "canonical_request"]
