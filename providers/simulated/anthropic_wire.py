"""Writes Anthropic's Messages protocol: complete answers, event streams and errors.

Source: https://docs.claude.com/en/api/messages
Source: https://docs.claude.com/en/docs/build-with-claude/streaming
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from .anthropic_request import read_messages
from .reading import Json, compact, encoded
from .refusal import Refusal
from .script import fragments_of, pieces_of
from .signatures import sign
from .wire import Event, Exchange

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .prompt import Prompt
    from .prompt_cache import CacheUse, PromptCache

_REQUEST_LIMIT = 4_000
_TOKEN_LIMIT = 2_000_000
_STOP_REASONS = {"stop": "end_turn", "stop_sequence": "stop_sequence", "length": "max_tokens", "tool_calls": "tool_use"}
_ERROR_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}


class AnthropicWire:
    """Anthropic's dialect, with thinking blocks and explicit cache marks."""

    def accepts_key(self, headers: Mapping[str, str], keys: frozenset[str] | None) -> None:
        """Raises `Refusal` unless the request carries a good key (401) and a version (400)."""
        bearer = headers.get("authorization", "").removeprefix("Bearer ").strip()
        key = headers.get("x-api-key", "").strip() or bearer
        if not key:
            raise Refusal(401, "x-api-key header is required")
        if keys is not None and key not in keys:
            raise Refusal(401, "invalid x-api-key")
        if not headers.get("anthropic-version"):
            raise Refusal(400, "anthropic-version: header is required")

    def read(self, body: Json, *, model: str, signing_key: str) -> Prompt:
        """The prompt of a parsed body. Raises `Refusal` (400) for what Anthropic would not take."""
        return read_messages(body, model, signing_key)

    def cached(self, prompt: Prompt, cache: PromptCache) -> CacheUse:
        """Anthropic caches where the caller put marks."""
        return cache.explicit(prompt.model, prompt.segments)

    def refuse_model(self, model: str) -> Refusal:
        """The refusal of a model that does not exist."""
        return Refusal(404, f"model: {model}")

    def refuse_length(self, tokens: int, window: int) -> Refusal:
        """The refusal of a prompt that is longer than the context window."""
        return Refusal(400, f"prompt is too long: {tokens} tokens > {window} maximum")

    def rate_limited(self, model: str, retry_after_s: float) -> Refusal:  # noqa: ARG002 - Anthropic names neither
        """Source: https://docs.claude.com/en/api/rate-limits"""
        return Refusal(
            429, f"This request would exceed your organization's rate limit of {_REQUEST_LIMIT} requests per minute."
        )

    def overloaded(self) -> Refusal:
        """Source: https://docs.claude.com/en/api/errors#http-errors"""
        return Refusal(529, "Overloaded")

    def error(self, refusal: Refusal, request_id: str) -> bytes:
        """Source: https://docs.claude.com/en/api/errors#error-shapes"""
        return encoded(_error_of(refusal, request_id))

    def error_event(self, refusal: Refusal, request_id: str) -> Event:
        """Source: https://docs.claude.com/en/docs/build-with-claude/streaming#error-events"""
        return Event(compact(_error_of(refusal, request_id)), "error")

    def headers(self, request_id: str, now_s: float, input_tokens: int, *, exhausted: bool) -> dict[str, str]:
        """Source: https://docs.claude.com/en/api/rate-limits#response-headers"""
        reset = (datetime.fromtimestamp(int(now_s), UTC) + timedelta(seconds=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
        return {
            "anthropic-ratelimit-requests-limit": str(_REQUEST_LIMIT),
            "anthropic-ratelimit-requests-remaining": str(0 if exhausted else _REQUEST_LIMIT - 1),
            "anthropic-ratelimit-requests-reset": reset,
            "anthropic-ratelimit-tokens-limit": str(_TOKEN_LIMIT),
            "anthropic-ratelimit-tokens-remaining": str(max(_TOKEN_LIMIT - input_tokens, 0)),
            "anthropic-ratelimit-tokens-reset": reset,
            "request-id": request_id,
        }

    def models(self, names: Sequence[str]) -> bytes:
        """Source: https://docs.claude.com/en/api/models-list"""
        created = "2025-01-01T00:00:00Z"
        rows = [{"type": "model", "id": name, "display_name": name, "created_at": created} for name in names]
        ends = {"has_more": False, "first_id": min(names[:1], default=None), "last_id": min(names[-1:], default=None)}
        return encoded({"data": rows, **ends})

    def complete(self, exchange: Exchange) -> bytes:
        """A complete answer."""
        answer = exchange.answers[0]
        ending = {"stop_reason": _STOP_REASONS[answer.ending], "stop_sequence": answer.stop_sequence}
        message = {**_envelope(exchange), "content": _content(exchange), **ending}
        return encoded({**message, "usage": _usage(exchange)} if exchange.with_usage else message)

    def events(self, exchange: Exchange) -> list[Event]:
        """The answer as a stream."""
        answer = exchange.answers[0]
        message = {**_envelope(exchange), "content": [], "stop_reason": None, "stop_sequence": None}
        end: dict[str, object] = {
            "delta": {"stop_reason": _STOP_REASONS[answer.ending], "stop_sequence": answer.stop_sequence}
        }
        if exchange.with_usage:
            message["usage"] = {**_usage(exchange), "output_tokens": 1}
            end["usage"] = _final_usage(exchange)
        events = [_event("message_start", {"message": message})]
        for index, block in enumerate(_content(exchange)):
            events += _block_events(index, block)
        events.insert(2, _event("ping", {}))
        return [*events, _event("message_delta", end, closing=True), _event("message_stop", {}, closing=True)]


def _error_of(refusal: Refusal, request_id: str) -> Json:
    kind = _ERROR_TYPES.get(refusal.status, "invalid_request_error" if refusal.status < 500 else "api_error")
    return {"type": "error", "error": {"type": kind, "message": refusal.message}, "request_id": request_id}


def _envelope(exchange: Exchange) -> dict[str, object]:
    identifier = f"msg_01{exchange.dice.child('id').token(22)}"
    return {"model": exchange.prompt.model, "id": identifier, "type": "message", "role": "assistant"}


def _content(exchange: Exchange) -> list[Json]:
    answer, blocks = exchange.answers[0], list[Json]()
    if answer.reasoning:
        shown = answer.reasoning if exchange.prompt.show_reasoning else ""
        blocks.append({"type": "thinking", "thinking": shown, "signature": sign(shown, exchange.signing_key)})
    if answer.text:
        blocks.append({"type": "text", "text": answer.text})
    for index, call in enumerate(answer.calls):
        identifier = f"toolu_01{exchange.dice.child('call', index).token(22)}"
        blocks.append({"type": "tool_use", "id": identifier, "name": call.name, "input": call.arguments})
    return blocks


def _event(kind: str, fields: Json, *, closing: bool = False) -> Event:
    return Event(compact({"type": kind, **fields}), kind, closing)


def _block_events(index: int, block: Json) -> list[Event]:
    start, deltas = _opened(block)
    return [
        _event("content_block_start", {"index": index, "content_block": start}),
        *(_event("content_block_delta", {"index": index, "delta": delta}) for delta in deltas),
        _event("content_block_stop", {"index": index}),
    ]


def _opened(block: Json) -> tuple[Json, list[Json]]:
    match block["type"]:
        case "thinking":
            pieces = pieces_of(str(block["thinking"]))
            deltas: list[Json] = [{"type": "thinking_delta", "thinking": piece} for piece in pieces]
            signature: Json = {"type": "signature_delta", "signature": block["signature"]}
            return {"type": "thinking", "thinking": "", "signature": ""}, [*deltas, signature]
        case "tool_use":
            pieces = ["", *fragments_of(compact(block["input"]))]
            return {**block, "input": {}}, [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]
        case _:
            return {"type": "text", "text": ""}, [
                {"type": "text_delta", "text": piece} for piece in pieces_of(str(block["text"]))
            ]


def _counts(exchange: Exchange) -> dict[str, object]:
    # Unlike OpenAI's prompt_tokens, input_tokens leaves out what was cached.
    cache = exchange.cache
    return {
        "input_tokens": exchange.prompt.tokens - cache.read - cache.written,
        "cache_creation_input_tokens": cache.written,
        "cache_read_input_tokens": cache.read,
    }


def _usage(exchange: Exchange) -> dict[str, object]:
    written = {
        f"ephemeral_{ttl}_input_tokens": exchange.cache.written * (ttl == exchange.cache.ttl) for ttl in ("5m", "1h")
    }
    spent = {"output_tokens": exchange.answers[0].tokens, "service_tier": "standard"}
    return {**_counts(exchange), "cache_creation": written, **spent}


def _final_usage(exchange: Exchange) -> Json:
    return {**_counts(exchange), "output_tokens": exchange.answers[0].tokens}
