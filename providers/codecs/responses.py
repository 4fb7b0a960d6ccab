"""The codec of OpenAI's Responses API: chats by another protocol, with the same replies.

Source: https://platform.openai.com/docs/api-reference/responses
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ...pipeline.errors import APIStatusError, BadRequestError
from ...pipeline.types import ChatChunk, ChatRequest, ChatResponse, assemble_chat
from ..codec import Encoded
from ..dialect import OPENAI, Dialect
from .counts import count_in
from .notes import notes_of
from .openai_errors import error_of_status
from .plain_json import write_json
from .responses_answer import decode_response
from .responses_request import responses_body
from .responses_stream import ResponsesDecoder

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ...pipeline.call import Call
    from .responses_content import Item

_COUNTED: Final = frozenset(
    {"model", "input", "instructions", "tools", "tool_choice", "text", "reasoning", "parallel_tool_calls"}
    | {"previous_response_id", "conversation", "truncation"}
)
"""What is counted; the rest of a request may not be there."""
_HEADERS: Final = {"content-type": "application/json"}


@dataclass(frozen=True, slots=True)
class ResponsesCodec:
    """Chat requests to the Responses API, of OpenAI or of another vendor that has one.

    `provider` names the vendor in what is kept for the next turn: reasoning that one has encrypted, no other can read.
    May be shared by any number of calls.
    """

    provider: str = "openai"
    dialect: Dialect = OPENAI

    def encode(self, call: Call) -> Encoded:
        """The request; what is said differently is noted as `TRANSLATION` facts. Raises `BadRequestError` for other operations than chat."""
        return Encoded("POST", "/responses", write_json(self._body(call)), _HEADERS)

    def encode_count(self, call: Call) -> Encoded:
        """The request to count a prompt's tokens. Source: https://platform.openai.com/docs/api-reference/responses/input-tokens"""
        if not self.dialect.counts_tokens:
            raise BadRequestError(
                f"Expected a vendor that counts tokens, found {self.provider}. Estimate them: estimate_tokens()."
            )
        body = self._body(call)
        counted = {name: value for name, value in body.items() if name in _COUNTED}
        return Encoded("POST", "/responses/input_tokens", write_json(counted), _HEADERS)

    def decode_count(self, body: bytes) -> int:
        """The count. Raises `ResponseValidationError` where there is none."""
        return count_in(body, "input_tokens")

    def _body(self, call: Call) -> Item:
        if not isinstance(request := call.request, ChatRequest):
            raise BadRequestError(f"Expected a chat request, found {request.operation}; Responses has only chats.")
        return responses_body(request, call.target.model, self.provider, self.dialect, notes_of(call))

    def decode(self, call: Call, body: bytes) -> ChatResponse:  # noqa: ARG002 - the contract of codecs
        """A complete answer. Raises `ResponseValidationError` when it is none, the error's class for one that failed."""
        return decode_response(body, self.provider)

    def decoder(self, call: Call) -> ResponsesDecoder:  # noqa: ARG002 - as above
        """A decoder for one streamed answer."""
        return ResponsesDecoder(self.provider)

    def assemble(self, call: Call, chunks: Sequence[ChatChunk]) -> ChatResponse:  # noqa: ARG002 - as above
        """The response that a unary call would have brought."""
        return assemble_chat(chunks)

    def error(self, status_code: int, headers: Mapping[str, str], body: bytes) -> APIStatusError:
        """The error that a status of 400 or more means: the same as in a chat."""
        return error_of_status(status_code, headers, body)
