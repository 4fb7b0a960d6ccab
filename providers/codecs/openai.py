"""OpenAI's protocol, and the dialects of those who speak it too: chat here, the other operations in modules of their own.

Source: https://platform.openai.com/docs/api-reference/chat
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import ValidationError
from pydantic_core import from_json, to_json

from ...pipeline.errors import APIError, ResponseValidationError
from ...pipeline.types import ChatRequest, ChatResponse, assemble_chat
from ..codec import Decoder, Encoded
from ..dialect import OPENAI, Dialect
from .openai_answer import normalised
from .openai_errors import error_in_body, error_of_status
from .openai_request import chat_body
from .openai_stream import ChatDecoder

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ...pipeline.call import Call
    from ...pipeline.types import Response
    from .openai_operations import Wire

_HEADERS = {"content-type": "application/json"}
_read: Callable[[Any], ChatResponse] = ChatResponse.__pydantic_validator__.validate_python
"""What `model_validate` calls, at nine tenths of its time."""


class OpenAICodec:
    """Requests and answers in OpenAI's form, for OpenAI (the default) or another dialect. Stateless; safe to share."""

    def __init__(self, dialect: Dialect = OPENAI) -> None:
        self.dialect = dialect

    def encode(self, call: Call) -> Encoded:
        """The vendor's request for `call.request` to `call.target.model`. Notes what changed as `TRANSLATION` facts."""
        request = call.request
        if not isinstance(request, ChatRequest):
            return _other(call, self.dialect).encode(call, self.dialect)
        return Encoded("POST", "/chat/completions", to_json(chat_body(call, request, self.dialect)), _HEADERS)

    def decode(self, call: Call, body: bytes) -> Response:
        """A complete answer. Raises `ResponseValidationError` when it is not one, `APIError` when it is an error in a 200."""
        if call.request.operation != "chat":
            return _other(call, self.dialect).decode(call, body, self.dialect)
        data = _object(body)
        if "error" in data and (said := error_in_body(data)) is not None:
            raise said
        try:
            return _read(normalised(data, self.dialect))
        except (TypeError, AttributeError, LookupError, ValueError) as error:
            raise _no_answer(f"one that does not fit ({_where(error)})") from error

    def decoder(self, call: Call) -> Decoder:
        """A decoder for one streamed answer."""
        if call.request.operation != "chat" and (decoder := _other(call, self.dialect).decoder) is not None:
            return decoder(call, self.dialect)
        return ChatDecoder(self.dialect)

    def assemble(self, call: Call, chunks: Sequence[Any]) -> Response:
        """Joins a stream's chunks."""
        if call.request.operation != "chat" and (assemble := _other(call, self.dialect).assemble) is not None:
            return assemble(chunks)
        return assemble_chat(chunks)

    def error(self, status_code: int, headers: Mapping[str, str], body: bytes) -> APIError:
        """The error that a status of 400 or more means. `headers` have lower-case names. Never echoes the request."""
        return error_of_status(status_code, headers, body)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.dialect.name})"


def _other(call: Call, dialect: Dialect) -> Wire:
    """Loaded when it is first asked for: most programs only chat."""
    from .openai_operations import wire_of

    return wire_of(call, dialect)


def _object(body: bytes) -> dict[str, Any]:
    try:
        data = from_json(body)
    except ValueError as error:
        raise _no_answer(f"{len(body)} bytes that are no complete JSON") from error
    if not isinstance(data, dict):
        raise _no_answer(f"a JSON {type(data).__name__}")
    if not isinstance(data.get("choices"), list) and not error_in_body(data):
        raise _no_answer("an object without choices")
    return data


def _no_answer(found: str) -> ResponseValidationError:
    return ResponseValidationError(
        f"Expected a chat completion, found {found}. Is base_url right, and does it serve OpenAI's protocol?"
    )


def _where(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors(include_input=False, include_url=False)[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return type(error).__name__
