"""The chat operation: request, response and chunk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, NamedTuple

from pydantic import Field

from .base import Model, Operation, Request, Response, Tagged
from .message import Message, ToolCall
from .usage import Usage

FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]


class FunctionDefinition(Model):
    """`parameters` is a JSON schema."""

    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Tool(Tagged):
    """A tool that the model may call. Types other than `function` keep their fields as they came."""

    type: str = "function"
    function: FunctionDefinition | None = None
    cache_control: dict[str, Any] | None = None


class ResponseFormat(Model):
    """`{"type": "json_schema", "json_schema": {"name", "schema", "strict"}}`, `json_object` or `text`."""

    type: str
    json_schema: dict[str, Any] | None = None


class ChatRequest(Request):
    """A conversation to be continued, in OpenAI's shape; unknown fields are kept and passed on.

    Source: https://platform.openai.com/docs/api-reference/chat/create
    """

    operation: ClassVar[Operation] = "chat"

    messages: tuple[Message, ...] = Field(min_length=1)
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    n: int | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    stop: str | tuple[str, ...] | None = None
    seed: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    logit_bias: dict[str, float] | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    tools: tuple[Tool, ...] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    reasoning_effort: str | None = None
    stream_options: dict[str, Any] | None = None
    user: str | None = None
    metadata: dict[str, str] | None = None
    modalities: tuple[str, ...] | None = None
    audio: dict[str, Any] | None = None
    service_tier: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON-ready data: only what was set, unknown fields included."""
        chosen = self.__pydantic_fields_set__
        if not chosen <= _PLAIN or self.__pydantic_extra__:
            return super().to_dict()
        # pydantic's serializer asks each of the thirty fields whether it was set: three times as long
        fields, plain = self.__dict__, {}
        for name in sorted(chosen, key=_PLACES):
            value = fields[name]
            if value.__class__ not in _AS_THEY_ARE:
                if name != "messages":  # set by `but`, which checks nothing
                    return super().to_dict()
                value = [message.to_dict() for message in value]
            plain[name] = value
        return plain

    @property
    def output_limit(self) -> int | None:
        """The most tokens that the caller wants back, under either of OpenAI's names."""
        fields = self.__dict__
        limit: int | None = fields["max_completion_tokens"]
        return limit if limit is not None else fields["max_tokens"]

    @property
    def stop_sequences(self) -> tuple[str, ...]:
        """`stop` as a tuple."""
        return (self.stop,) if isinstance(self.stop, str) else self.stop or ()


_PLAIN = frozenset({"model", "stream", "messages", "temperature", "top_p", "top_k", "n", "max_tokens", "max_completion_tokens", "stop",
    "seed", "frequency_penalty", "presence_penalty", "logprobs", "top_logprobs", "tool_choice", "parallel_tool_calls", "reasoning_effort",
    "user", "service_tier"})  # fmt: skip
"""Fields that are written as they are, where they hold one of these."""
_AS_THEY_ARE = frozenset({str, int, float, bool, type(None)})
_PLACES = {name: place for place, name in enumerate(ChatRequest.model_fields)}.__getitem__


class Choice(Model):
    """One of the answers. `native_finish_reason` is the vendor's own word."""

    index: int = 0
    message: Message
    finish_reason: FinishReason | None = None
    native_finish_reason: str | None = None
    logprobs: dict[str, Any] | None = None


class ChatResponse(Response):
    """The model's answer, in OpenAI's shape."""

    operation: ClassVar[Operation] = "chat"

    id: str = ""
    object: str = "chat.completion"
    created: int = 0
    model: str = ""
    choices: tuple[Choice, ...] = ()
    system_fingerprint: str | None = None
    service_tier: str | None = None
    parsed: Any = Field(default=None, exclude=True)

    @property
    def message(self) -> Message:
        """The first choice's message: append it to the next request's. Raises `IndexError` if there is no choice."""
        return self.choices[0].message

    @property
    def text(self) -> str:
        """The first choice's text."""
        # what everybody reads; pydantic's attributes cost several times as much
        choices = self.__dict__["choices"]
        return choices[0].__dict__["message"].text if choices else ""

    @property
    def reasoning(self) -> str | None:
        """The first choice's readable reasoning."""
        return self.choices[0].message.reasoning_content if self.choices else None

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The first choice's tool calls."""
        return (self.choices[0].message.tool_calls or ()) if self.choices else ()

    @property
    def finish_reason(self) -> FinishReason | None:
        """Why the first choice ended; None when it was cut."""
        return self.choices[0].finish_reason if self.choices else None


class FunctionDelta(NamedTuple):
    """A piece of a function call; `arguments` is a fragment of JSON text."""

    name: str | None = None
    arguments: str | None = None


class ToolCallDelta(NamedTuple):
    """A piece of a tool call; pieces with the same `index` belong together."""

    index: int  # type: ignore[assignment]  # the field's name wins over tuple.index, which nobody needs here
    id: str | None = None
    type: str | None = None
    function: FunctionDelta = FunctionDelta()
    extra: Mapping[str, Any] | None = None


class ReasoningDelta(NamedTuple):
    """A piece of a signed or encrypted reasoning block; pieces with the same `index` belong together."""

    index: int  # type: ignore[assignment]  # as above
    type: str = "thinking"
    text: str | None = None
    signature: str | None = None
    data: str | None = None
    id: str | None = None
    provider: str | None = None
    extra: Mapping[str, Any] | None = None


class Delta(NamedTuple):
    """What a chunk adds to a message."""

    role: str | None = None
    content: str | None = None
    reasoning_content: str | None = None
    refusal: str | None = None
    tool_calls: Sequence[ToolCallDelta] = ()
    reasoning_blocks: Sequence[ReasoningDelta] = ()
    annotations: Sequence[Mapping[str, Any]] = ()
    audio: Mapping[str, Any] | None = None
    extra: Mapping[str, Any] | None = None


class ChoiceDelta(NamedTuple):
    """What a chunk adds to one choice."""

    index: int = 0  # type: ignore[assignment]  # as above
    delta: Delta = Delta()
    finish_reason: FinishReason | None = None
    native_finish_reason: str | None = None
    logprobs: Mapping[str, Any] | None = None
    extra: Mapping[str, Any] | None = None


class ChatChunk(NamedTuple):
    """One increment of a streamed answer. A tuple, because a stream makes hundreds of them."""

    id: str = ""
    model: str = ""
    created: int = 0
    choices: Sequence[ChoiceDelta] = ()
    usage: Usage | None = None
    extra: Mapping[str, Any] | None = None
    """Fields of the chunk that we do not know by name."""

    @property
    def text(self) -> str:
        """What the first choice's text grows by."""
        return (self.choices[0].delta.content or "") if self.choices else ""

    @property
    def reasoning(self) -> str:
        """What the first choice's reasoning grows by."""
        return (self.choices[0].delta.reasoning_content or "") if self.choices else ""

    @property
    def finish_reason(self) -> FinishReason | None:
        """Set on the last chunk of the first choice."""
        return self.choices[0].finish_reason if self.choices else None

    @property
    def has_content(self) -> bool:
        """Whether output is in it, rather than only a role, a finish or counts."""
        for choice in self.choices:
            delta = choice.delta
            if delta.content or delta.reasoning_content or delta.tool_calls or delta.refusal or delta.reasoning_blocks:
                return True
        return False
