"""`invoke`: the model's own body instead of Converse's, for Claude (Anthropic's Messages) and Nova (nearly Converse's).

Source: https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-anthropic-claude-messages.html,
https://docs.aws.amazon.com/nova/latest/userguide/complete-request-schema.html
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Any, Final

from ...pipeline.errors import BadRequestError, ResponseValidationError
from ...pipeline.types import ChatChunk, ChatRequest
from .anthropic_request import betas_of
from .anthropic_request import encode_body as encode_messages
from .anthropic_stream import AnthropicDecoder
from .bedrock_models import Traits
from .bedrock_request import encode_body as encode_converse
from .bedrock_stream import ConverseReader
from .notes import Note
from .plain_json import json_object

ANTHROPIC_VERSION: Final = "bedrock-2023-05-31"
NOVA_SCHEMA: Final = "messages-v1"

_NOVA_FIELDS: Final = frozenset({"messages", "system", "inferenceConfig", "toolConfig"})


def invoke_body(request: ChatRequest, traits: Traits, note: Note) -> dict[str, Any]:
    """The model's own body. Raises `BadRequestError` for models whose bodies are not spoken here."""
    if traits.is_claude:
        return _for_claude(request, traits, note)
    if traits.is_nova:
        return _for_nova(request, traits, note)
    raise BadRequestError(
        "Expected a Claude or Nova model for api='invoke', found another. Leave api out: Converse serves every chat model."
    )


def _for_claude(request: ChatRequest, traits: Traits, note: Note) -> dict[str, Any]:
    body = encode_messages(request, traits.model, note)
    betas = betas_of(request, body)
    for name in ("model", "stream"):
        body.pop(name, None)
    return {"anthropic_version": ANTHROPIC_VERSION, **({"anthropic_beta": betas} if betas else {}), **body}


def _for_nova(request: ChatRequest, traits: Traits, note: Note) -> dict[str, Any]:
    body = encode_converse(request, traits, note)
    own = body.pop("additionalModelRequestFields", {})
    config = {**body.get("inferenceConfig", {}), **own.pop("inferenceConfig", {}), **own}
    for name in sorted(body.keys() - _NOVA_FIELDS):
        note(name, "dropped", "not part of the model's own body; Converse takes it")
    kept = {name: value for name, value in body.items() if name in _NOVA_FIELDS}
    return {"schemaVersion": NOVA_SCHEMA, **kept, **({"inferenceConfig": config} if config else {})}


class ClaudeReader:
    """Reads frames that hold events of Anthropic's Messages API."""

    def __init__(self, decoder: AnthropicDecoder, provider: str) -> None:
        self._decoder = decoder
        self._provider = provider

    def read(self, name: str, payload: bytes) -> Sequence[ChatChunk]:
        """The chunks of one frame; frames that are no `chunk` are passed over."""
        if name != "chunk":
            return ()
        return self._decoder.feed(b"data: " + _inner(payload, self._provider) + b"\n\n")

    def end(self) -> Sequence[ChatChunk]:
        """Raises `StreamInterruptedError` when no reason to stop had come."""
        return self._decoder.finish()


class NovaReader:
    """Reads frames that hold events of Converse, by name: `{"contentBlockDelta": {...}}`."""

    def __init__(self, reader: ConverseReader, provider: str) -> None:
        self._reader = reader
        self._provider = provider

    def read(self, name: str, payload: bytes) -> Sequence[ChatChunk]:
        """The chunks of one frame; frames that are no `chunk` are passed over."""
        if name != "chunk":
            return ()
        events = json_object(_inner(payload, self._provider)) or {}
        return [
            chunk
            for event, data in events.items()
            if isinstance(data, dict)
            for chunk in self._reader.read_event(event, data)
        ]

    def end(self) -> Sequence[ChatChunk]:
        """Raises `StreamInterruptedError` when no reason to stop had come."""
        return self._reader.end()


def _inner(payload: bytes, provider: str) -> bytes:
    try:
        return base64.b64decode((json_object(payload) or {})["bytes"], validate=True)
    except (KeyError, TypeError, binascii.Error) as error:
        raise ResponseValidationError(
            "Expected a chunk with the model's own event, found something else in the stream.", provider=provider
        ) from error
