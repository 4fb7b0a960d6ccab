"""What answers in OpenAI's form have in common, whole or streamed: finish reasons, token counts, typed content."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic_core import to_json

from ...pipeline.errors import InternalServerError
from ...pipeline.types import FinishReason, Usage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..dialect import Dialect

Json = dict[str, Any]

FINISH_REASONS: Mapping[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "content_filter": "content_filter",
    "function_call": "tool_calls",
    "eos": "stop",
    "stop_sequence": "stop",
    "end_turn": "stop",
    "max_tokens": "length",
    "model_length": "length",
    "tool_use": "tool_calls",
    "safety": "content_filter",
}
"""`eos` is Together's, `model_length` Mistral's; the others come through routers. What is not listed means `stop`.

Source: https://docs.mistral.ai/api/endpoint/chat
"""

BROKEN_OFF = frozenset({"error", "abort", "insufficient_system_resource"})
"""Finish reasons that say: the server broke off. OpenRouter and Mistral, vLLM, DeepSeek.

Source: https://api-docs.deepseek.com/api/create-chat-completion, https://openrouter.ai/docs/api-reference/errors
"""


def normalised(data: Json, dialect: Dialect) -> Json:
    """A complete answer as the canonical response has it; unknown fields stay. Raises `InternalServerError` if the server broke off."""
    if None in data.values():
        for name in ("id", "object", "created", "model"):
            if data.get(name) is None:
                data.pop(name, None)
    if (created := data.get("created")).__class__ is float:
        data["created"] = int(created)
    data["usage"] = _counts(data.get("usage"))
    data["choices"] = [_choice(choice, dialect, place) for place, choice in enumerate(data["choices"])]
    return data


def _choice(choice: Json, dialect: Dialect, place: int) -> Json:
    if choice.get("index") is None:
        choice["index"] = place
    native = choice.get("finish_reason")
    if native in BROKEN_OFF:
        raise InternalServerError(
            f"The vendor broke off its answer (finish reason {native!r}). Try again.", status_code=200
        )
    choice["finish_reason"] = FINISH_REASONS.get(native, "stop") if native else None
    if choice.get("native_finish_reason") is None:
        choice["native_finish_reason"] = native
    choice["message"] = _message(choice["message"], dialect)
    return choice


def _message(message: Json, dialect: Dialect) -> Json:
    message["role"] = message.get("role") or "assistant"
    reasoning = take_reasoning(message)
    if isinstance(content := message.get("content"), list):
        message["content"], thought = split_content(content)
        reasoning = reasoning or thought
    if reasoning is not None:
        message["reasoning_content"] = reasoning
    if details := message.pop("reasoning_details", None):
        message["reasoning_blocks"] = [_block(detail, place, dialect) for place, detail in enumerate(details)]
    for call in message.get("tool_calls") or ():
        call["id"] = call.get("id") or ""
        if isinstance(function := call.get("function"), dict):
            function["arguments"] = argument_text(function.get("arguments")) or ""
    return message


def take_reasoning(fields: Json) -> str | None:
    """Removes the reasoning text, under either of its names, and returns it; vLLM sends both, alike."""
    first = fields.pop("reasoning_content", None)
    second = fields.pop("reasoning", None)
    text = first if first is not None else second
    return text if isinstance(text, str) else None


def split_content(parts: Sequence[Any]) -> tuple[Any, str | None]:
    """Typed content as (text, or the parts that are more than text; thinking).

    Source: https://docs.mistral.ai/capabilities/reasoning
    """
    thinking = [_text(part.get("thinking")) for part in parts if _type(part) == "thinking"]
    rest = [part for part in parts if _type(part) != "thinking"]
    plain = all(_type(part) == "text" for part in rest)
    content = "".join(part.get("text") or "" for part in rest) if plain else rest
    return (content if rest else None), ("".join(thinking) if thinking else None)


def _type(part: Any) -> str | None:
    return part.get("type") if isinstance(part, dict) else None


def _text(thinking: Any) -> str:
    if isinstance(thinking, str):
        return thinking
    return "".join(part.get("text") or "" for part in thinking or () if isinstance(part, dict))


def argument_text(arguments: Any) -> str | None:
    """Arguments as JSON text; some servers send the object itself."""
    return arguments if arguments is None or isinstance(arguments, str) else to_json(arguments).decode()


def _block(detail: Json, place: int, dialect: Dialect) -> Json:
    block = {"index": place, **detail, "provider": dialect.name}
    if "summary" in block:
        block["text"] = block.pop("summary")
    return {name: value for name, value in block.items() if value is not None}


def usage_of(counts: Any) -> Usage | None:
    """Token counts with OpenAI's meaning, whatever the vendor calls them and leaves out of them."""
    usage = _counts(counts)
    return None if usage is None else Usage.model_validate(usage)


def _counts(counts: Any) -> Json | None:
    if not isinstance(counts, dict):
        return None
    usage: Json = {name: value for name, value in counts.items() if value is not None}
    _note_cached(usage)
    _complete_sums(usage)
    return usage


_CACHED = ("prompt_cache_hit_tokens", "num_cached_tokens", "cached_tokens")
"""DeepSeek; Mistral; Together and the Hugging Face router."""


def _note_cached(usage: Json) -> None:
    for name in _CACHED:
        if name in usage:
            details = usage.get("prompt_tokens_details") or {}
            if details.get("cached_tokens") is None:
                usage["prompt_tokens_details"] = {**details, "cached_tokens": usage[name]}
            return


def _complete_sums(usage: Json) -> None:
    """xAI counts reasoning beside the completion, Mistral audio beside the prompt; their totals have it.

    Source: https://docs.x.ai/docs/guides/reasoning; recorded exchanges of both.
    """
    prompt, completion = usage.get("prompt_tokens") or 0, usage.get("completion_tokens") or 0
    missing = (usage.get("total_tokens") or 0) - prompt - completion
    if missing <= 0:
        return
    if missing == (usage.get("completion_tokens_details") or {}).get("reasoning_tokens"):
        usage["completion_tokens"] = completion + missing
    elif missing == (usage.get("prompt_tokens_details") or {}).get("audio_tokens"):
        usage["prompt_tokens"] = prompt + missing
