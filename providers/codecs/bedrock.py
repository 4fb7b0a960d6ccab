"""The codec of AWS Bedrock: Converse and ConverseStream, and the models' own bodies by `invoke`.

Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal
from urllib.parse import quote

from ...pipeline.call import Call
from ...pipeline.errors import APIStatusError, BadRequestError
from ...pipeline.types import ChatChunk, ChatRequest, ChatResponse, EmbeddingsRequest, Response, assemble_chat
from ..codec import Encoded
from .anthropic_format import answers_by_tool as claude_answers_by_tool
from .anthropic_response import decode_response as decode_message
from .anthropic_stream import AnthropicDecoder
from .bedrock_embeddings import decode_embeddings, embeddings_body
from .bedrock_errors import status_error
from .bedrock_format import answers_by_tool
from .bedrock_frames import EventReader, FramedDecoder, require_botocore
from .bedrock_inbound import canonical_request
from .bedrock_invoke import ClaudeReader, NovaReader, invoke_body
from .bedrock_models import Traits, traits_of
from .bedrock_request import encode_body
from .bedrock_response import decode_response
from .bedrock_stream import ConverseReader
from .notes import notes_of
from .plain_json import write_json

Api = Literal["converse", "invoke"]

EVENT_STREAM: Final = "application/vnd.amazon.eventstream"
_PATHS: Final = {
    ("converse", False): "converse",
    ("converse", True): "converse-stream",
    ("invoke", False): "invoke",
    ("invoke", True): "invoke-with-response-stream",
}


@dataclass(frozen=True, slots=True)
class BedrockCodec:
    """Requests for chat and embeddings to Bedrock's runtime. Needs botocore, for the frames of a stream: `MissingExtraError` without it.

    `api`: `converse` for every chat model, or `invoke` for Claude and Nova; a call's setting `api` goes before it. A call's
    setting `base_model` is the id that tells what the model takes, where the model is an ARN that tells nothing.
    `provider` names the vendor in errors. Credentials are the provider's business. May be shared by any number of calls.
    """

    provider: str = "bedrock"
    api: Api = "converse"

    def __post_init__(self) -> None:
        require_botocore()

    def encode(self, call: Call) -> Encoded:
        """The request; what the model takes differently is noted as `TRANSLATION` facts. Raises `BadRequestError` for other operations."""
        if isinstance(call.request, EmbeddingsRequest):
            body = embeddings_body(call.request, embeddings_model(call), notes_of(call))
            return self._encoded(call, "invoke", body, "application/json")
        request, api = _chat(call), self._api(call)
        make = invoke_body if api == "invoke" else encode_body
        body = make(request, _traits(call), notes_of(call))
        accept = EVENT_STREAM if request.stream and api == "converse" else "application/json"
        return self._encoded(call, _PATHS[api, request.stream], body, accept)

    def _encoded(self, call: Call, method: str, body: dict[str, Any], accept: str) -> Encoded:
        path = f"/model/{quote(call.target.model, safe='')}/{method}"
        return Encoded("POST", path, write_json(body), {"content-type": "application/json", "accept": accept})

    def decode(self, call: Call, body: bytes) -> Response:
        """A complete answer. Raises `ResponseValidationError` when it is none."""
        if isinstance(call.request, EmbeddingsRequest):
            return decode_embeddings(body, model=call.target.model, provider=self.provider)
        if self._is_message(call):
            return decode_message(body, **self._message_settings(call))
        return decode_response(body, model=call.target.model, **self._settings(call))

    def decoder(self, call: Call) -> FramedDecoder:
        """A decoder for one streamed answer."""
        return FramedDecoder(self._reader(call), self.provider)

    def assemble(self, call: Call, chunks: Sequence[ChatChunk]) -> ChatResponse:  # noqa: ARG002 - the contract of codecs
        """The response that a unary call would have brought."""
        return assemble_chat(chunks)

    def error(self, status_code: int, headers: Mapping[str, str], body: bytes) -> APIStatusError:
        """The error that a status of 400 or more means; the vendor's message is in it, masked and bounded."""
        return status_error(status_code, headers, body, self.provider)

    def _reader(self, call: Call) -> EventReader:
        if self._is_message(call):
            return ClaudeReader(AnthropicDecoder(**self._message_settings(call)), self.provider)
        reader = ConverseReader(model=call.target.model, **self._settings(call))
        return NovaReader(reader, self.provider) if self._api(call) == "invoke" else reader

    def _api(self, call: Call) -> Api:
        wanted = call.options.settings.get("api", self.api)
        if wanted not in ("converse", "invoke"):
            raise BadRequestError(f"api: expected 'converse' or 'invoke', found {str(wanted)[:40]!r}.")
        return "invoke" if wanted == "invoke" else "converse"

    def _is_message(self, call: Call) -> bool:
        return self._api(call) == "invoke" and _traits(call).is_claude

    def _settings(self, call: Call) -> dict[str, Any]:
        by_tool = answers_by_tool(_chat(call), _traits(call))
        return {"created": _now_s(call), "answer_tool": by_tool, "provider": self.provider}

    def _message_settings(self, call: Call) -> dict[str, Any]:
        by_tool = claude_answers_by_tool(_chat(call), _traits(call).claude)
        return {"created": _now_s(call), "answer_tool": by_tool, "provider": self.provider}


def _chat(call: Call) -> ChatRequest:
    if not isinstance(call.request, ChatRequest):
        raise BadRequestError(
            f"Expected a request for chat or embeddings, found one for {call.request.operation}: Bedrock is asked for no other here."
        )
    return call.request


def embeddings_model(call: Call) -> str:
    """The id that tells what the model takes."""
    return str(call.options.settings.get("base_model") or call.target.model)


def _traits(call: Call) -> Traits:
    return traits_of(str(call.options.settings.get("base_model") or call.target.model))


def _now_s(call: Call) -> int:
    return call.clock.wall_ns() // 1_000_000_000


__all__ = ["EVENT_STREAM", "BedrockCodec", "canonical_request"]
