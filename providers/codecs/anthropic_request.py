"""A chat request as the body of `POST /v1/messages`.

Source: https://platform.claude.com/docs/en/api/messages/create
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from ...pipeline.types import ChatRequest
from .anthropic_format import put_format
from .anthropic_messages import conversation
from .anthropic_models import Traits, traits_of
from .anthropic_reasoning import reason, sample
from .anthropic_tools import tool_choice_of, tools_of
from .notes import Note

OWN_PARAMETERS: Final = frozenset(
    {"thinking", "output_config", "output_format", "container", "mcp_servers", "context_management", "cache_control"}
    | {"inference_geo", "speed", "diagnostics", "user_profile_id", "workspace_id", "compaction", "fallbacks", "thread"}
    | {"fallback_credit_token", "billing_policy", "betas"}
)
"""Fields beside OpenAI's that are Anthropic's own: passed on here, and of no use to any other vendor."""

FILES_BETA: Final = "files-api-2025-04-14"
"""Source: https://platform.claude.com/docs/en/build-with-claude/files"""

_NOT_THERE: Final = {
    "seed": None,
    "frequency_penalty": 0,
    "presence_penalty": 0,
    "logit_bias": None,
    "logprobs": False,
    "top_logprobs": 0,
    "audio": None,
}
"""Parameters that the vendor has not, with the value that asks for nothing."""

_TIERS: Final = {"auto": "auto", "default": "standard_only", "standard_only": "standard_only"}


def encode_body(request: ChatRequest, model: str, note: Note) -> dict[str, Any]:
    """The body for `model`; everything that it cannot say is noted."""
    traits = traits_of(model)
    talk = conversation(request.messages, traits, note)
    body: dict[str, Any] = {"model": model, "max_tokens": _max_tokens(request, traits, note)}
    if talk.system:
        body["system"] = talk.system
    body["messages"] = talk.turns
    body |= {name: value for name, value in request.extra.items() if name in OWN_PARAMETERS and name != "betas"}
    _put_tools(body, request, traits, note)
    put_format(body, request, traits, note)
    reason(body, request, traits, note)
    sample(body, request, traits, note)
    _put_rest(body, request, note)
    _note_missing(request, note)
    return body


def betas_of(request: ChatRequest, body: dict[str, Any]) -> list[str]:
    """What belongs into the `anthropic-beta` header."""
    named = request.extra.get("betas") or ()
    betas = [named] if isinstance(named, str) else [str(beta) for beta in named]
    if FILES_BETA not in betas and any(source.get("type") == "file" for source in _sources(body["messages"])):
        betas.append(FILES_BETA)
    return betas


def _sources(turns: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for turn in turns:
        for block in turn["content"] if isinstance(turn["content"], list) else ():
            inner = block.get("content") if block["type"] == "tool_result" else None
            for one in (block, *(inner if isinstance(inner, list) else ())):
                if isinstance(source := one.get("source"), dict):
                    yield source


def _max_tokens(request: ChatRequest, traits: Traits, note: Note) -> int:
    if request.output_limit is not None:
        return request.output_limit
    thinking = request.extra.get("thinking")
    budget = (thinking.get("budget_tokens") or 0) if isinstance(thinking, dict) else 0
    limit = traits.default_max_tokens + (budget if budget >= traits.default_max_tokens else 0)
    note("max_tokens", "emulated", f"the vendor demands it; {limit} where the caller names none")
    return limit


def _put_tools(body: dict[str, Any], request: ChatRequest, traits: Traits, note: Note) -> None:
    tools = tools_of(request, traits, note)
    if tools:
        body["tools"] = tools
    choice = tool_choice_of(request, tools or body.get("mcp_servers") or [], note)
    if choice is not None:
        body["tool_choice"] = choice


def _put_rest(body: dict[str, Any], request: ChatRequest, note: Note) -> None:
    stops = [stop for stop in request.stop_sequences if stop.strip()]
    if len(stops) < len(request.stop_sequences):
        note("stop", "dropped", "the vendor takes no stop sequence of white space only")
    if stops:
        body["stop_sequences"] = stops
    if user := request.user or (request.metadata or {}).get("user_id"):
        body["metadata"] = {"user_id": user}
    if request.service_tier in _TIERS:
        body["service_tier"] = _TIERS[request.service_tier]
    elif request.service_tier is not None:
        note("service_tier", "dropped", "expected auto or standard_only")
    if request.stream:
        body["stream"] = True


def _note_missing(request: ChatRequest, note: Note) -> None:
    for name, nothing in _NOT_THERE.items():
        if getattr(request, name) not in (None, nothing):
            note(name, "dropped", "the Messages API has no such parameter")
    if (request.n or 1) > 1:
        note("n", "dropped", "the Messages API gives one answer")
    if set(request.modalities or ()) - {"text"}:
        note("modalities", "dropped", "the Messages API answers in text")
    if set(request.metadata or ()) - {"user_id"}:
        note("metadata", "dropped", "the Messages API takes user_id only")
    for name in request.extra.keys() - OWN_PARAMETERS:
        note(name[:80], "dropped", "not a parameter of the Messages API")
