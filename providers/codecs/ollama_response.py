"""Complete answers of the server: chats, which `/api/generate` gives in a shorter form, and embeddings.

Source: https://docs.ollama.com/api/chat, https://docs.ollama.com/api/generate, https://docs.ollama.com/api/embed
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import ValidationError

from ...pipeline.call import Call
from ...pipeline.errors import ResponseValidationError
from ...pipeline.types import ChatResponse, EmbeddingsResponse, FinishReason
from .ollama_errors import body_error
from .ollama_tools import call_fields
from .ollama_usage import durations_of, usage_of
from .plain_json import json_object

Json = dict[str, Any]


def decode_chat(body: bytes, call: Call, provider: str) -> ChatResponse:
    """Raises `ResponseValidationError` for what is no whole answer, the error's own class for an error in a 200."""
    data = _object(body, provider)
    if data.get("done") is not True:
        raise no_answer(provider, "a complete answer")
    try:
        return ChatResponse.model_validate(_fields(data, call))
    except (ValidationError, KeyError, TypeError, AttributeError) as error:
        raise no_answer(provider, "a complete answer") from error


def _fields(data: Json, call: Call) -> Json:
    said = message_of(data)
    made = str(data.get("created_at") or "")
    calls = [call_fields(one, number, made) for number, one in enumerate(said.get("tool_calls") or ())]
    message: Json = {"role": "assistant", "content": said.get("content")}
    message |= {"reasoning_content": said["thinking"]} if said.get("thinking") else {}
    message |= {"tool_calls": calls} if calls else {}
    native = data.get("done_reason")
    choice: Json = {"index": 0, "message": message, "native_finish_reason": native}
    choice["finish_reason"] = finish_of(native, has_tools=bool(calls))
    if data.get("logprobs"):
        choice["logprobs"] = {"content": data["logprobs"]}
    head = {"model": data.get("model") or call.target.model, "created": created_s(made, call)}
    return {**head, "choices": (choice,), "usage": usage_of(data, call), **durations_of(data)}


def message_of(data: Json) -> Json:
    """The message of a chat; or one made of the `response` and `thinking` of `/api/generate`."""
    if isinstance(message := data.get("message"), dict):
        return message
    return {"content": data["response"], "thinking": data.get("thinking")}


def finish_of(native: str | None, *, has_tools: bool) -> FinishReason:
    """The server's word in OpenAI's terms. `load` and `unload` answer a request that asked for nothing."""
    if native == "length":
        return "length"
    return "tool_calls" if has_tools else "stop"


def created_s(made: str, call: Call) -> int:
    """Seconds since 1970; now, where the server does not say it."""
    try:
        return int(datetime.fromisoformat(made).timestamp())
    except ValueError:
        return call.clock.wall_ns() // 1_000_000_000


def decode_embeddings(body: bytes, call: Call, provider: str) -> EmbeddingsResponse:
    """The vectors in the order of the inputs."""
    data = _object(body, provider)
    if not isinstance(data.get("embeddings"), list):
        raise no_answer(provider, "embeddings")
    vectors = [{"index": index, "embedding": vector} for index, vector in enumerate(data["embeddings"])]
    fields = {"model": data.get("model") or call.target.model, "data": vectors, "usage": usage_of(data, call)}
    try:
        return EmbeddingsResponse.model_validate(fields | durations_of(data))
    except ValidationError as error:
        raise no_answer(provider, "embeddings") from error


def _object(body: bytes, provider: str) -> Json:
    data = json_object(body)
    if data is None:
        raise no_answer(provider, "a JSON object")
    if "error" in data:
        raise body_error(data, provider)
    return data


def no_answer(provider: str, expected: str) -> ResponseValidationError:
    """What arrived is not the server's."""
    return ResponseValidationError(
        f"Expected {expected} of Ollama's own API, found something else. Is base_url the server's root?",
        provider=provider,
    )
