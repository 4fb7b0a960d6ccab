"""The codec of Vertex AI: Gemini and Claude, each in its own protocol, behind Google Cloud's addresses.

Source: https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/inference,
https://cloud.google.com/vertex-ai/generative-ai/docs/partner-models/claude/use-claude
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple
from urllib.parse import quote

from ...pipeline.call import Call
from ...pipeline.errors import APIStatusError, ConfigError
from ...pipeline.types import ChatChunk, ChatResponse, Response, assemble_chat
from ..codec import Decoder, Encoded
from .anthropic import AnthropicCodec
from .gemini import GeminiCodec, chat_body, encoded_body, verb_of
from .plain_json import json_object, write_json

API_VERSION: Final = "v1"
_PUBLISHERS: Final = "publishers/"
_COUNTED: Final = frozenset({"contents", "systemInstruction", "tools", "generationConfig"})
"""What is counted; the rest of a request may not be there."""


class Place(NamedTuple):
    """Where a call is billed and served. Without a `project` it is express mode, which knows neither."""

    project: str | None
    location: str


@dataclass(frozen=True, slots=True)
class VertexCodec:
    """Chat requests to the models of Google and of Anthropic in a project's location, and embeddings by those of Google.

    `place` says which project and location a call is for. The setting `api_version` of a call replaces `v1`. A model is
    a bare name (`gemini-2.5-flash`, `claude-sonnet-4-5@20250929`) or a resource of Google's (`publishers/google/models/...`,
    `projects/.../endpoints/...`). May be shared by any number of calls.
    """

    place: Callable[[Call], Place]
    provider: str = "vertex"
    _gemini: GeminiCodec = field(default=GeminiCodec(provider="vertex"), repr=False)
    _claude: AnthropicCodec = field(default=AnthropicCodec(provider="vertex", host="vertex"), repr=False)

    def encode(self, call: Call) -> Encoded:
        """The request. Raises `ConfigError` where a model needs a project and none is known, `BadRequestError` for other operations than chat and, of Google's models, embeddings."""
        place = self.place(call)
        version = call.options.settings.get("api_version") or API_VERSION
        if _is_claude(call):
            if place.project is None:
                raise ConfigError(
                    "project: expected project=... or GOOGLE_CLOUD_PROJECT for a model of Anthropic, found neither."
                )
            encoded = self._claude.encode(call)
            return encoded._replace(path=f"/{version}{_parent(place)}{encoded.path}")
        path = f"/{version}{_resource(call.target.model, place)}:{verb_of(call, vertex=True)}"
        return Encoded("POST", path, encoded_body(call, vertex=True), {"content-type": "application/json"})

    def encode_count(self, call: Call) -> Encoded:
        """The request to count a prompt's tokens. Raises `BadRequestError` for models of Anthropic.

        Source: https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/count-tokens
        """
        if _is_claude(call):
            return self._claude.encode_count(call)
        version = call.options.settings.get("api_version") or API_VERSION
        body = {name: value for name, value in chat_body(call).items() if name in _COUNTED}
        path = f"/{version}{_resource(call.target.model, self.place(call))}:countTokens"
        return Encoded("POST", path, write_json(body), {"content-type": "application/json"})

    def decode_count(self, body: bytes) -> int:
        """The count. Raises `ResponseValidationError` where there is none."""
        return self._gemini.decode_count(body)

    def decode(self, call: Call, body: bytes) -> Response:
        """A complete answer. Raises `ResponseValidationError` when it is none, the error's class for an error in a 200."""
        return self._claude.decode(call, body) if _is_claude(call) else self._gemini.decode(call, body)

    def decoder(self, call: Call) -> Decoder:
        """A decoder for one streamed answer."""
        return self._claude.decoder(call) if _is_claude(call) else self._gemini.decoder(call)

    def assemble(self, call: Call, chunks: Sequence[ChatChunk]) -> ChatResponse:  # noqa: ARG002 - the contract of codecs
        """The response that a unary call would have brought."""
        return assemble_chat(chunks)

    def error(self, status_code: int, headers: Mapping[str, str], body: bytes) -> APIStatusError:
        """The error that a status of 400 or more means, whoever of the two wrote it."""
        if (json_object(body) or {}).get("type") == "error":
            return self._claude.error(status_code, headers, body)
        return self._gemini.error(status_code, headers, body)


def _is_claude(call: Call) -> bool:
    return call.target.model.startswith("claude-")


def _parent(place: Place) -> str:
    if place.project is None:
        return ""
    return f"/projects/{quote(place.project, safe=':')}/locations/{quote(place.location, safe='')}"


def _resource(model: str, place: Place) -> str:
    """A tuned model or an endpoint is a resource of its own, under the project or with it in its name."""
    if model.startswith("projects/"):
        return f"/{quote(model, safe='/:@.')}"
    named = model if model.startswith((_PUBLISHERS, "endpoints/")) else f"{_PUBLISHERS}google/models/{model}"
    return f"{_parent(place)}/{quote(named, safe='/:@.')}"
