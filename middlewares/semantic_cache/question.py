"""What of a request is compared by meaning, and what must be equal."""

from __future__ import annotations

from typing import NamedTuple

from ...pipeline.types import ChatRequest, Request, TextPart


class Question(NamedTuple):
    """The last message of a conversation, and the request without it."""

    text: str
    rest: Request


def question_of(request: Request, max_chars: int) -> Question | str:
    """The question; or why the request is not one whose answer may be given to a similar one."""
    if not isinstance(request, ChatRequest):
        return f"the operation {request.operation} is not cached by meaning"
    last = request.messages[-1]
    if last.role != "user":
        return "the last message is not the user's"
    content = last.content
    if isinstance(content, tuple) and not all(isinstance(part, TextPart) for part in content):
        return "the question is not text alone"
    text = last.text.strip()
    if not text:
        return "the question is empty"
    if len(text) > max_chars:
        return f"the question is longer than {max_chars} characters"
    return Question(text, request.but(messages=request.messages[:-1]))
