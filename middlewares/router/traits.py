"""What routing may go by: a view of a call, worked out as far as somebody asks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...pipeline.call import Call
from ...pipeline.tokens import estimate_request_tokens
from ...pipeline.types import ChatRequest, ImagePart, Request

_FRAME = 200
"""Tokens that a chat template may add by itself."""


class Traits:
    """A call as a routing function and rules see it. What a request does not have is None, empty or False."""

    __slots__ = ("_length", "_metadata", "_prompt_tokens", "call")

    def __init__(self, call: Call) -> None:
        self.call = call
        self._length: int | None = None
        self._metadata: Mapping[str, str] | None = None
        self._prompt_tokens: int | None = None

    @property
    def request(self) -> Request:
        """All of it."""
        return self.call.request

    @property
    def model(self) -> str:
        """The model as it was asked for: a name, or `vendor/model`."""
        return self.call.request.model

    @property
    def operation(self) -> str:
        """`chat`, `embeddings` ..."""
        return self.call.request.operation

    @property
    def tenant(self) -> str | None:
        """Whose call it is."""
        return self.call.options.tenant

    @property
    def tags(self) -> tuple[str, ...]:
        """The call's tags."""
        return self.call.options.tags

    @property
    def metadata(self) -> Mapping[str, str]:
        """The caller's own keys: the request's `metadata` and the call's, which wins."""
        if self._metadata is None:
            of_request, of_call = self._field("metadata"), self.call.options.metadata
            self._metadata = {**of_request, **of_call} if isinstance(of_request, Mapping) else of_call
        return self._metadata

    @property
    def priority(self) -> str | None:
        """`metadata["priority"]`."""
        return self.metadata.get("priority")

    @property
    def tier(self) -> str | None:
        """`metadata["tier"]`."""
        return self.metadata.get("tier")

    @property
    def task(self) -> str | None:
        """`metadata["task"]`."""
        return self.metadata.get("task")

    @property
    def user(self) -> str | None:
        """The request's end user."""
        return self._text("user")

    @property
    def stream(self) -> bool:
        """Whether a stream is asked for."""
        return self.call.request.stream

    @property
    def temperature(self) -> float | None:
        """As requested."""
        value = self._field("temperature")
        return value if isinstance(value, (int, float)) else None

    @property
    def max_tokens(self) -> int | None:
        """The most tokens that the caller wants back, under either of OpenAI's names."""
        request = self.call.request
        return request.output_limit if isinstance(request, ChatRequest) else None

    @property
    def messages(self) -> int:
        """How many messages the conversation has."""
        return len(self._field("messages") or ())

    @property
    def has_tools(self) -> bool:
        """Whether the model may call tools."""
        return bool(self._field("tools"))

    @property
    def has_images(self) -> bool:
        """Whether a message shows a picture."""
        request = self.call.request
        return isinstance(request, ChatRequest) and any(
            isinstance(part, ImagePart)
            for message in request.messages
            if not isinstance(message.content, str)
            for part in message.content or ()
        )

    @property
    def prompt_tokens(self) -> int:
        """About how many tokens the prompt has; 0 where text does not tell. Estimated once, when it is first asked for."""
        if self._prompt_tokens is None:
            self._prompt_tokens = estimate_request_tokens(self.call.request) or 0
        return self._prompt_tokens

    @property
    def length(self) -> int | None:
        """Characters of a plain conversation; None where there is more in it than texts."""
        if self._length is None:
            self._length = _length(self.call.request)
        return None if self._length < 0 else self._length

    @property
    def about_tokens(self) -> int:
        """As `prompt_tokens`, at once for texts in Latin letters: a quarter of their length. Good enough for comparing prices."""
        if self._prompt_tokens is None and (length := self.length) is not None and self._latin:
            return length // 4 + 4
        return self.prompt_tokens

    def surely_below(self, tokens: int) -> bool:
        """Whether prompt and output are certain to have fewer tokens, by a look at lengths alone. False says nothing."""
        length = self.length
        return length is not None and length + _FRAME + (self.max_tokens or 0) < tokens

    @property
    def _latin(self) -> bool:
        request = self.call.request
        if not isinstance(request, ChatRequest):
            return False
        for message in request.__dict__["messages"]:
            content = message.__dict__["content"]
            if content.__class__ is not str or not content.isascii():
                return False
        return True

    def _field(self, name: str) -> Any:
        return getattr(self.call.request, name, None)

    def _text(self, name: str) -> str | None:
        value = self._field(name)
        return value if isinstance(value, str) else None


def _length(request: Request) -> int:
    """-1 where a conversation holds more than texts, or is none."""
    fields = request.__dict__  # pydantic's attributes cost several times as much
    if not isinstance(request, ChatRequest) or fields["tools"] or fields["response_format"] is not None:
        return -1
    length = 0
    for message in fields["messages"]:
        said = message.__dict__
        content = said["content"]
        if content.__class__ is not str or said["tool_calls"]:
            return -1
        length += len(content) + 8
    return length
