"""Every text of a request or an answer, and the same request or answer with other texts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from ...pipeline.types import ChatRequest, ChatResponse, Choice, Message, Request, Response, TranscriptionResponse


class Text(NamedTuple):
    """`kind` is the field it stands in: `content`, `reasoning`, `refusal`, `arguments`, or another operation's field."""

    kind: str
    value: str


Change = Callable[[Text], str]
"""What stands in the place of a text; the text itself if nothing does."""

_FIELDS = ("input", "prompt", "query", "documents", "instructions", "text")
"""Where requests and answers of other operations than chat have their texts."""


def texts_of(value: Request | Response) -> list[Text]:
    """All texts, in a fixed order."""
    found: list[Text] = []
    if isinstance(value, ChatRequest):
        for message in value.messages:
            _message(message, _noting(found))
    elif isinstance(value, ChatResponse):
        for choice in value.choices:
            _message(choice.message, _noting(found))
    else:
        _changed(value, _noting(found))
    return found


def strings_of(value: Request | Response) -> list[str]:
    """The same texts without their kinds. Chats of plain text, which most are, are read without asking for all that may be in one."""
    fields = value.__dict__  # pydantic's attributes cost several times as much
    if value.__class__ is ChatRequest:
        messages = fields["messages"]
    elif value.__class__ is ChatResponse:
        messages = [choice.__dict__["message"] for choice in fields["choices"]]
    else:
        return [text.value for text in texts_of(value)]
    found: list[str] = []
    for message in messages:
        fields = message.__dict__
        content = fields["content"]
        if (
            content.__class__ is not str
            or fields["reasoning_content"] is not None
            or fields["refusal"] is not None
            or fields["tool_calls"]
            or fields["reasoning_blocks"]
        ):
            return [text.value for text in texts_of(value)]
        found.append(content)
    return found


def with_texts(value: Any, texts: list[str]) -> Any:
    """The same with these texts, in the order of `texts_of`."""
    left: Iterator[str] = iter(texts)
    return _changed(value, lambda _: next(left))


def _changed(value: Any, change: Change) -> Any:
    changes: dict[str, Any] = {}
    if isinstance(value, ChatRequest):
        _note(changes, "messages", value.messages, tuple([_message(message, change) for message in value.messages]))
    elif isinstance(value, ChatResponse):
        _note(changes, "choices", value.choices, tuple([_choice(choice, change) for choice in value.choices]))
    elif isinstance(value, TranscriptionResponse):
        _note(changes, "transcript", value.transcript, change(Text("text", value.transcript)))
        if changes:  # they repeat the text, piece by piece
            changes |= dict.fromkeys(("segments", "words", "logprobs"))
    else:
        for name in _FIELDS:
            if name in type(value).model_fields and (before := getattr(value, name)) is not None:
                _note(changes, name, before, _any(name, before, change))
    return value.but(**changes) if changes else value


def _any(kind: str, value: Any, change: Change) -> Any:
    if isinstance(value, str):
        return change(Text(kind, value))
    if isinstance(value, (list, tuple)):
        return type(value)(_any(kind, item, change) for item in value)
    if isinstance(value, dict):
        return {name: _any(kind, item, change) if name == "text" else item for name, item in value.items()}
    return value


def _choice(choice: Choice, change: Change) -> Choice:
    message = _message(choice.message, change)
    if message is choice.message:
        return choice
    return choice.but(message=message, logprobs=None)  # they repeat the text, token by token


def _noting(found: list[Text]) -> Change:
    def note(text: Text) -> str:
        found.append(text)
        return text.value

    return note


def _message(message: Message, change: Change) -> Message:
    changes: dict[str, Any] = {}
    for name, kind in (("reasoning_content", "reasoning"), ("content", "content"), ("refusal", "refusal")):
        before = getattr(message, name)
        if isinstance(before, str) and (after := change(Text(kind, before))) != before:
            changes[name] = after
    if isinstance(message.content, tuple):
        _note(changes, "content", message.content, tuple(_part(part, change) for part in message.content))
    if message.tool_calls:
        _note(changes, "tool_calls", message.tool_calls, tuple(_tool_call(call, change) for call in message.tool_calls))
    if message.reasoning_blocks:
        blocks = tuple(_block(block, change) for block in message.reasoning_blocks)
        _note(
            changes, "reasoning_blocks", message.reasoning_blocks, tuple(block for block in blocks if block is not None)
        )
    return message.but(**changes) if changes else message


def _part(part: Any, change: Change) -> Any:
    for name in ("text", "refusal"):
        before = getattr(part, name, None)
        if isinstance(before, str):
            after = change(Text("content" if name == "text" else name, before))
            return part if after == before else part.but(**{name: after})
    return part


def _tool_call(call: Any, change: Change) -> Any:
    if call.function is None:
        return call
    after = change(Text("arguments", call.function.arguments))
    return call if after == call.function.arguments else call.but(function=call.function.but(arguments=after))


def _block(block: Any, change: Change) -> Any:
    """None for a block whose text had to change: its signature would no longer hold, and the vendor would refuse it."""
    if block.text is None:
        return block
    return block if change(Text("reasoning", block.text)) == block.text else None


def _note(changes: dict[str, Any], name: str, before: object, after: object) -> None:
    if after != before:
        changes[name] = after
