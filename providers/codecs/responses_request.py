"""A chat request as the body of `POST /responses`.

Source: https://platform.openai.com/docs/api-reference/responses/create, https://platform.openai.com/docs/guides/migrate-to-responses
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..foreign import RESPONSES
from .responses_content import Item, input_content
from .responses_tools import choice_of, tools_of
from .responses_turn import assistant_items, call_id, layout_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ...pipeline.types import ChatRequest, Message
    from ..dialect import Dialect
    from .notes import Note

INSTRUCTIONS: Final = "instructions"
"""The type of a mark in `provider_blocks`: this system message was the request's `instructions`."""

_SAME: Final = ("temperature", "top_p", "parallel_tool_calls", "user", "metadata", "service_tier")
_LOGPROBS: Final = "message.output_text.logprobs"
_NOT_THERE: Final = {
    "n": 1,
    "stop": None,
    "seed": None,
    "frequency_penalty": 0,
    "presence_penalty": 0,
    "logit_bias": None,
    "top_k": None,
    "audio": None,
}
"""Parameters of a chat that Responses has not, with the value that asks for nothing."""
_OPENROUTERS_REASONING: Final = ("enabled", "exclude", "max_tokens")
"""Source: https://openrouter.ai/docs/use-cases/reasoning-tokens"""
_OF_CHATS: Final = ("prediction", "functions", "function_call")
_READ: Final = frozenset({"text", "reasoning", "include", "verbosity", "web_search_options", *_OF_CHATS})
"""Further fields that are put elsewhere; the others are sent as they came."""


def responses_body(request: ChatRequest, model: str, provider: str, dialect: Dialect, note: Note) -> Item:
    """The body for `model`; what it cannot say, or says elsewhere, is noted."""
    body: Item = {"model": model}
    body |= _own(request, dialect, note)
    body["input"] = list(_Input(request, provider, dialect, note).items(body))
    body |= {name: value for name in _SAME if (value := getattr(request, name)) is not None}
    _limit_output(body, request, dialect, note)
    _put_tools(body, request, dialect, note)
    _put_text(body, request)
    _put_reasoning(body, request)
    _put_include(body, request, note)
    if request.stream:
        body["stream"] = True
        options = {k: v for k, v in (request.stream_options or {}).items() if k != "include_usage"}
        body |= {"stream_options": options} if options else {}
    _note_missing(request, note)
    return body


def _own(request: ChatRequest, dialect: Dialect, note: Note) -> Item:
    """Fields beside OpenAI's, as they came, less those of other protocols."""
    given = {name: value for name, value in request.extra.items() if name not in _READ and value is not None}
    for name in sorted((dialect.foreign - RESPONSES).intersection(given)):
        del given[name]
        note(name, "dropped", "the Responses API has no such parameter")
    return given


class _Input:
    """The conversation as input items."""

    def __init__(self, request: ChatRequest, provider: str, dialect: Dialect, note: Note) -> None:
        self._messages: Sequence[Message] = request.messages
        self._stored = request.extra.get("store") is not False
        self._provider = provider
        self._dialect = dialect
        self._note = note
        calls = (call for message in request.messages for call in message.tool_calls or ())
        self._custom = {call.id for call in calls if call.type == "custom"}

    def items(self, body: Item) -> Iterator[Item]:
        """The items in order; `instructions` go into `body`."""
        for message in self._messages:
            if message.role == "assistant":
                yield from assistant_items(message, self._provider, stored=self._stored, note=self._note)
                continue
            mark = next(iter(layout_for(message, self._provider)), {})
            if mark.get("type") == INSTRUCTIONS and "instructions" not in body:
                body["instructions"] = message.text
            else:
                yield self._item(message) | {name: mark[name] for name in mark if name not in ("provider", "type")}

    def _item(self, message: Message) -> Item:
        content = input_content(message.content, self._dialect, self._note)
        if message.role == "tool":
            kind = "custom_tool_call_output" if message.tool_call_id in self._custom else "function_call_output"
            return {"type": kind, "call_id": call_id(message.tool_call_id or "", self._note), "output": content}
        if message.role == "function":
            self._note("messages.function", "emulated", "results of functions have no id; sent as the user's text")
            return {"role": "user", "content": f"{message.name}: {message.text}"}
        if message.name:
            self._note("messages.name", "dropped", "the Responses API has no names of participants")
        return {"role": message.role, "content": content}


def _limit_output(body: Item, request: ChatRequest, dialect: Dialect, note: Note) -> None:
    limit = request.output_limit
    if limit is None:
        return
    name = "max_tokens" if request.max_completion_tokens is None else "max_completion_tokens"
    if limit < dialect.least_response_tokens:
        limit = dialect.least_response_tokens
        note(name, "clamped", f"sent as max_output_tokens, which is at least {limit}")
    else:
        note(name, "renamed", "the Responses API calls it max_output_tokens")
    body["max_output_tokens"] = limit


def _put_tools(body: Item, request: ChatRequest, dialect: Dialect, note: Note) -> None:
    if tools := tools_of(request, dialect, note):
        body["tools"] = tools
    if request.tool_choice is not None:
        body["tool_choice"] = choice_of(request.tool_choice)


def _put_text(body: Item, request: ChatRequest) -> None:
    text = dict(request.extra.get("text") or {})
    if (form := request.response_format) is not None and "format" not in text:
        text["format"] = {"type": form.type, **(form.json_schema or {})} if form.json_schema else form.to_dict()
    if (verbosity := request.extra.get("verbosity")) is not None:
        text["verbosity"] = verbosity
    if text:
        body["text"] = text


def _put_reasoning(body: Item, request: ChatRequest) -> None:
    given = request.extra.get("reasoning") or {}
    reasoning = {name: value for name, value in given.items() if name not in _OPENROUTERS_REASONING}
    if request.reasoning_effort is not None:
        reasoning["effort"] = request.reasoning_effort
    if reasoning:
        body["reasoning"] = reasoning


def _put_include(body: Item, request: ChatRequest, note: Note) -> None:
    include = list(request.extra.get("include") or ())
    if request.logprobs and _LOGPROBS not in include:
        include.append(_LOGPROBS)
        note("logprobs", "renamed", f"asked for by include: {_LOGPROBS}")
    if request.top_logprobs is not None:
        body["top_logprobs"] = request.top_logprobs
    if include or "include" in request.extra:
        body["include"] = include


def _note_missing(request: ChatRequest, note: Note) -> None:
    for name, nothing in _NOT_THERE.items():
        if getattr(request, name) not in (None, nothing):
            note(name, "dropped", "the Responses API has no such parameter")
    if set(request.modalities or ()) - {"text"}:
        note("modalities", "dropped", "the Responses API answers in text")
    for name in _OF_CHATS:
        if request.extra.get(name) is not None:
            note(name, "dropped", "the Responses API has no such parameter")
