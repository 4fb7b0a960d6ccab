"""Which of OpenAI's two protocols a chat is spoken in: Chat Completions, or Responses where the call asks for it."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from ...pipeline.errors import BadRequestError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ...pipeline.call import Call
    from ...pipeline.errors import APIError
    from ...pipeline.types import Response
    from ..codec import Codec, Decoder, Encoded
    from .openai import OpenAICodec
    from .responses import ResponsesCodec

APIS: Final = ("chat", "responses")


class WithResponses:
    """OpenAI's protocol with both ways to chat: the call's `api` setting decides, else `api`. Other operations have one way.

    `provider` is the catalogue's name of the vendor: its encrypted reasoning goes back to it alone. Safe to share.
    """

    def __init__(self, codec: OpenAICodec, provider: str, api: str = "chat") -> None:
        self.dialect = codec.dialect
        self._codec = codec
        self._provider = provider
        self._api = api

    def encode(self, call: Call) -> Encoded:
        """The vendor's request. Raises `BadRequestError` for an `api` that is neither `chat` nor `responses`."""
        return self._of(call).encode(call)

    def encode_count(self, call: Call) -> Encoded:
        """The request to count a prompt's tokens, which only Responses has an endpoint for: the same prompt has as many in a chat."""
        return self._responses.encode_count(call)

    def decode_count(self, body: bytes) -> int:
        """The count. Raises `ResponseValidationError` where there is none."""
        return self._responses.decode_count(body)

    def decode(self, call: Call, body: bytes) -> Response:
        """A complete answer; see the codecs."""
        return self._of(call).decode(call, body)

    def decoder(self, call: Call) -> Decoder:
        """A decoder for one streamed answer."""
        return self._of(call).decoder(call)

    def assemble(self, call: Call, chunks: Sequence[Any]) -> Response:
        """Joins a stream's chunks."""
        return self._of(call).assemble(call, chunks)

    def error(self, status_code: int, headers: Mapping[str, str], body: bytes) -> APIError:
        """The error that a status of 400 or more means: the same in both."""
        return self._codec.error(status_code, headers, body)

    def _of(self, call: Call) -> Codec:
        api = call.state.options.settings.get("api", self._api)
        if api == "chat" or call.request.operation != "chat":
            return self._codec
        if api not in APIS:
            raise BadRequestError(f"api: expected 'chat' or 'responses', found {api!r}.")
        return self._responses

    @cached_property
    def _responses(self) -> ResponsesCodec:
        from .responses import ResponsesCodec

        return ResponsesCodec(self._provider, self.dialect)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._codec!r}, api={self._api!r})"
