"""Writes OpenAI's chat completions protocol: complete answers, event streams and errors.

Source: https://platform.openai.com/docs/api-reference/chat/object
Source: https://platform.openai.com/docs/api-reference/chat-streaming
"""

from __future__ import annotations

import math
from itertools import chain, zip_longest
from typing import TYPE_CHECKING

from .openai_request import read_chat
from .reading import Json, compact, encoded
from .refusal import Refusal
from .script import Answer, fragments_of, pieces_of
from .wire import Event, Exchange

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .prompt import Prompt
    from .prompt_cache import CacheUse, PromptCache

_REQUEST_LIMIT = 10_000
_TOKEN_LIMIT = 2_000_000
_MODEL_CREATED_S = 1_735_689_600
_FINISH_REASONS = {"stop": "stop", "stop_sequence": "stop", "length": "length", "tool_calls": "tool_calls"}
_NO_KEY = (
    "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth "
    "(i.e. Authorization: Bearer YOUR_KEY)."
)


class OpenAIWire:
    """OpenAI's dialect, with `reasoning_content` as DeepSeek and vLLM send it.

    Source: https://api-docs.deepseek.com/guides/reasoning_model
    """

    def accepts_key(self, headers: Mapping[str, str], keys: frozenset[str] | None) -> None:
        """Raises `Refusal` (401) unless the request carries a good key; `keys=None` takes any."""
        scheme, _, key = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not key.strip():
            raise Refusal(401, _NO_KEY)
        if keys is not None and key.strip() not in keys:
            raise Refusal(401, f"Incorrect API key provided: {_masked(key.strip())}.", code="invalid_api_key")

    def read(self, body: Json, *, model: str, signing_key: str) -> Prompt:  # noqa: ARG002 - nothing is signed here
        """The prompt of a parsed body. Raises `Refusal` (400) for what OpenAI would not take."""
        return read_chat(body, model)

    def cached(self, prompt: Prompt, cache: PromptCache) -> CacheUse:
        """OpenAI caches by itself, without marks."""
        return cache.implicit(prompt.model, prompt.segments)

    def refuse_model(self, model: str) -> Refusal:
        """Source: https://platform.openai.com/docs/guides/error-codes"""
        problem = f"The model `{model}` does not exist or you do not have access to it."
        return Refusal(404, problem, code="model_not_found")

    def refuse_length(self, tokens: int, window: int) -> Refusal:
        """The refusal of a prompt that is longer than the context window."""
        problem = (
            f"This model's maximum context length is {window} tokens. However, your messages resulted in {tokens} "
            "tokens. Please reduce the length of the messages."
        )
        return Refusal(400, problem, "messages", "context_length_exceeded")

    def rate_limited(self, model: str, retry_after_s: float) -> Refusal:
        """Source: https://platform.openai.com/docs/guides/rate-limits#error-mitigation"""
        problem = (
            f"Rate limit reached for {model} in organization org-simulated on requests per min (RPM): Limit "
            f"{_REQUEST_LIMIT}, Used {_REQUEST_LIMIT}, Requested 1. Please try again in {retry_after_s:g}s."
        )
        return Refusal(429, problem, code="rate_limit_exceeded", kind="requests")

    def overloaded(self) -> Refusal:
        """Source: https://platform.openai.com/docs/guides/error-codes"""
        return Refusal(503, "The engine is currently overloaded, please try again later.", kind="server_error")

    def error(self, refusal: Refusal, request_id: str) -> bytes:  # noqa: ARG002 - OpenAI puts it into a header only
        """A refusal as a complete body."""
        return encoded(_error_of(refusal))

    def error_event(self, refusal: Refusal, request_id: str) -> Event:  # noqa: ARG002
        """A refusal inside a stream."""
        return Event(compact(_error_of(refusal)))

    def headers(self, request_id: str, now_s: float, input_tokens: int, *, exhausted: bool) -> dict[str, str]:  # noqa: ARG002
        """Source: https://platform.openai.com/docs/guides/rate-limits#rate-limits-in-headers"""
        return {
            "openai-version": "2020-10-01",
            "openai-processing-ms": "12",
            "x-ratelimit-limit-requests": str(_REQUEST_LIMIT),
            "x-ratelimit-limit-tokens": str(_TOKEN_LIMIT),
            "x-ratelimit-remaining-requests": str(0 if exhausted else _REQUEST_LIMIT - 1),
            "x-ratelimit-remaining-tokens": str(max(_TOKEN_LIMIT - input_tokens, 0)),
            "x-ratelimit-reset-requests": "6ms",
            "x-ratelimit-reset-tokens": f"{math.ceil(input_tokens * 60_000 / _TOKEN_LIMIT)}ms",
            "x-request-id": request_id,
        }

    def models(self, names: Sequence[str]) -> bytes:
        """Source: https://platform.openai.com/docs/api-reference/models/list"""
        rows = [{"id": name, "object": "model", "created": _MODEL_CREATED_S, "owned_by": "simulated"} for name in names]
        return encoded({"object": "list", "data": rows})

    def complete(self, exchange: Exchange) -> bytes:
        """A complete answer."""
        choices = [_choice(index, answer, exchange) for index, answer in enumerate(exchange.answers)]
        body = {**_envelope(exchange, "chat.completion"), "choices": choices}
        return encoded({**body, "usage": _usage(exchange)} if exchange.with_usage else body)

    def events(self, exchange: Exchange) -> list[Event]:
        """The answer as a stream: the choices interleaved, then their finish reasons, then `[DONE]`."""
        answers = list(enumerate(exchange.answers))
        columns = [[(index, delta) for delta in _deltas(index, answer, exchange)] for index, answer in answers]
        rows = chain.from_iterable(zip_longest(*columns))
        events = [_chunk(exchange, *entry) for entry in rows if entry is not None]
        events += [_chunk(exchange, index, {}, _FINISH_REASONS[answer.ending]) for index, answer in answers]
        if exchange.prompt.include_usage and exchange.with_usage:
            usage = {**_envelope(exchange, "chat.completion.chunk"), "choices": [], "usage": _usage(exchange)}
            events.append(Event(compact(usage), closing=True))
        return [*events, Event("[DONE]", closing=True)]


def _masked(key: str) -> str:
    return f"{key[:3]}{'*' * 8}{key[-4:]}" if len(key) > 12 else "*" * 8


def _error_of(refusal: Refusal) -> Json:
    kind = refusal.kind or ("invalid_request_error" if refusal.status < 500 else "server_error")
    return {"error": {"message": refusal.message, "type": kind, "param": refusal.param, "code": refusal.code}}


def _envelope(exchange: Exchange, kind: str) -> dict[str, object]:
    return {
        "id": f"chatcmpl-{exchange.dice.child('id').token(29)}",
        "object": kind,
        "created": exchange.created_s,
        "model": exchange.prompt.model,
        "service_tier": "default",
        "system_fingerprint": "fp_simulated",
    }


def _choice(index: int, answer: Answer, exchange: Exchange) -> Json:
    message: dict[str, object] = {"role": "assistant", "content": None if answer.calls else answer.text}
    if answer.reasoning:
        message["reasoning_content"] = answer.reasoning
    if answer.calls:
        message["tool_calls"] = _tool_calls(index, answer, exchange)
    message |= {"refusal": None, "annotations": []}
    return {"index": index, "message": message, "logprobs": None, "finish_reason": _FINISH_REASONS[answer.ending]}


def _tool_calls(choice: int, answer: Answer, exchange: Exchange) -> list[Json]:
    return [
        {
            "id": _call_id(choice, call_index, exchange),
            "type": "function",
            "function": {"name": call.name, "arguments": compact(call.arguments)},
        }
        for call_index, call in enumerate(answer.calls)
    ]


def _call_id(choice: int, call: int, exchange: Exchange) -> str:
    return f"call_{exchange.dice.child('call', choice, call).token(24)}"


def _chunk(exchange: Exchange, index: int, delta: Json, finish_reason: str | None = None) -> Event:
    choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
    chunk = {**_envelope(exchange, "chat.completion.chunk"), "choices": [choice]}
    if exchange.prompt.include_usage and exchange.with_usage:
        chunk["usage"] = None
    return Event(compact(chunk), closing=finish_reason is not None)


def _deltas(index: int, answer: Answer, exchange: Exchange) -> list[Json]:
    deltas: list[Json] = [{"role": "assistant", "content": None if answer.calls else "", "refusal": None}]
    deltas += [{"reasoning_content": piece} for piece in pieces_of(answer.reasoning)]
    deltas += [{"content": piece} for piece in pieces_of(answer.text)]
    for call_index, call in enumerate(answer.calls):
        start = {"name": call.name, "arguments": ""}
        head = {"index": call_index, "id": _call_id(index, call_index, exchange), "type": "function", "function": start}
        deltas.append({"tool_calls": [head]})
        pieces = fragments_of(compact(call.arguments))
        deltas += [{"tool_calls": [{"index": call_index, "function": {"arguments": piece}}]} for piece in pieces]
    return deltas


def _usage(exchange: Exchange) -> Json:
    prompt, completion = exchange.prompt.tokens, sum(answer.tokens for answer in exchange.answers)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": exchange.cache.read, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": sum(answer.reasoning_tokens for answer in exchange.answers),
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }
