"""A chat request as the body of `POST /v2/chat`.

Source: https://docs.cohere.com/reference/chat
"""

from __future__ import annotations

from typing import Any, Final

from ...pipeline.types import ChatRequest
from .cohere_messages import conversation
from .cohere_reasoning import put_thinking
from .cohere_tools import put_tools
from .notes import Note

Json = dict[str, Any]

OWN_PARAMETERS: Final = frozenset(
    {"documents", "citation_options", "safety_mode", "strict_tools", "thinking", "priority", "k", "p"}
)
"""Fields beside OpenAI's that are the vendor's own: passed on here, of no use to any other."""

MOST_STOPS: Final = 5

_RANGES: Final = {
    "frequency_penalty": ("frequency_penalty", 0.0, 1.0),
    "presence_penalty": ("presence_penalty", 0.0, 1.0),
    "top_p": ("p", 0.01, 0.99),
    "top_k": ("k", 0, 500),
}
_NOT_THERE: Final = {"logit_bias": None, "top_logprobs": 0, "user": None, "metadata": None, "audio": None}
"""Parameters that the vendor has not, with the value that asks for nothing."""


def encode_body(request: ChatRequest, model: str, note: Note) -> Json:
    """The body for `model`; everything that it cannot say is noted."""
    body: Json = {"model": model, "messages": conversation(request.messages, note), "stream": request.stream}
    body |= {name: value for name, value in request.extra.items() if name in OWN_PARAMETERS}
    put_tools(body, request, note)
    _put_format(body, request, note)
    _put_sampling(body, request, note)
    _put_limits(body, request, note)
    put_thinking(body, request, model, note)
    _note_missing(request, note)
    return body


def _put_format(body: Json, request: ChatRequest, note: Note) -> None:
    wanted = request.response_format
    if wanted is None or wanted.type == "text":
        return
    if obstacle := next((name for name in ("tools", "documents") if body.get(name)), None):
        note("response_format", "dropped", f"the vendor takes no format beside {obstacle}")
        return
    body["response_format"] = {"type": "json_object"}
    schema = (wanted.json_schema or {}).get("schema")
    if isinstance(schema, dict):
        body["response_format"]["json_schema"] = schema
        note("response_format", "renamed", "sent as a json_object with that schema")


def _put_sampling(body: Json, request: ChatRequest, note: Note) -> None:
    for name in ("temperature", "seed", "logprobs"):
        if (value := getattr(request, name)) is not None:
            body[name] = value
    for name, (theirs, least, most) in _RANGES.items():
        value = getattr(request, name)
        if value is None or (theirs in body and theirs != name):
            continue
        body[theirs] = min(most, max(least, value))
        if body[theirs] != value:
            note(name, "clamped", f"the vendor's range is {least} to {most}")
        elif theirs != name:
            note(name, "renamed", f"the vendor calls it {theirs}")


def _put_limits(body: Json, request: ChatRequest, note: Note) -> None:
    if request.output_limit is not None:
        body["max_tokens"] = request.output_limit
    stops = request.stop_sequences
    if stops:
        body["stop_sequences"] = list(stops[:MOST_STOPS])
    if len(stops) > MOST_STOPS:
        note("stop", "clamped", f"the vendor takes {MOST_STOPS} at most")


def _note_missing(request: ChatRequest, note: Note) -> None:
    for name, nothing in _NOT_THERE.items():
        if getattr(request, name) not in (None, nothing):
            note(name, "dropped", "the vendor has no such parameter")
    if (request.n or 1) > 1:
        note("n", "dropped", "the vendor gives one answer")
    if set(request.modalities or ()) - {"text"}:
        note("modalities", "dropped", "the vendor answers in text")
    if request.service_tier not in (None, "auto", "default"):
        note("service_tier", "dropped", "the vendor has no tiers; it has a `priority`")
    for name in request.extra.keys() - OWN_PARAMETERS:
        note(name[:80], "dropped", "not a parameter of the vendor's")
