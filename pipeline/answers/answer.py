"""Answers: whether one may be kept, and the reply that is made of one, whole or in chunks."""

from __future__ import annotations

from ..stream import Block, Reply, Stream
from ..types import (
    ChatChunk,
    ChatResponse,
    Choice,
    ChoiceDelta,
    Delta,
    FunctionDelta,
    Message,
    ReasoningDelta,
    Response,
    ToolCall,
    ToolCallDelta,
    assemble_chat,
)
from .entry import Answer

_COMPLETE = frozenset({"stop", "length", "tool_calls"})
"""`length` is among them: the same request, with the same limit, ends there again. A filtered answer may not."""


def incomplete(answer: Answer) -> str:
    """Why an answer is not one to give again; empty if it is."""
    finishes = _finish_reasons(answer)
    if finishes is None:
        return ""
    for finish in finishes:
        if finish not in _COMPLETE:
            return f"finish reason {finish or 'missing'}"
    return "" if finishes else "it has no choices"


def _finish_reasons(answer: Answer) -> list[str | None] | None:
    if isinstance(answer, ChatResponse):
        return [choice.__dict__["finish_reason"] for choice in answer.__dict__["choices"]]
    if isinstance(answer, Response):
        return None
    by_choice: dict[int, str | None] = {}
    for chunk in answer:
        for choice in chunk.choices:
            by_choice[choice.index] = choice.finish_reason or by_choice.get(choice.index)
    return list(by_choice.values())


def reply_of(answer: Answer, *, stream: bool) -> Reply | None:
    """The answer as a stream or whole; None for one that cannot be had in that form."""
    if not stream:
        return assemble_chat(answer) if isinstance(answer, tuple) else answer
    chunks = _chunks_of(answer) if isinstance(answer, Response) else answer
    return Stream(_Replay(), assemble_chat, first=chunks) if chunks else None


class _Replay:
    """A source with nothing behind the chunks that are there already."""

    async def read(self) -> Block:
        return ()

    async def aclose(self) -> None: ...


def _chunks_of(response: Response) -> tuple[ChatChunk, ...]:
    """Chunks that join to `response`: one with the content, one with the finish and the usage. Empty if that cannot be."""
    if not isinstance(response, ChatResponse):
        return ()
    if any(isinstance(choice.message.content, tuple) for choice in response.choices):
        return ()  # a chunk adds text, never parts
    known = {"system_fingerprint": response.system_fingerprint, "service_tier": response.service_tier}
    extra = {name: value for name, value in known.items() if value is not None} | response.extra
    head = ChatChunk(response.id, response.model, response.created)
    begin = head._replace(
        choices=tuple(ChoiceDelta(choice.index, _delta(choice.message)) for choice in response.choices)
    )
    return begin, head._replace(choices=tuple(map(_end, response.choices)), usage=response.usage, extra=extra or None)


def _end(choice: Choice) -> ChoiceDelta:
    return ChoiceDelta(choice.index, Delta(), choice.finish_reason, choice.native_finish_reason, choice.logprobs)


def _delta(message: Message) -> Delta:
    return Delta(
        role=message.role,
        content=message.content if isinstance(message.content, str) else None,
        reasoning_content=message.reasoning_content,
        refusal=message.refusal,
        tool_calls=tuple(_tool_call(index, call) for index, call in enumerate(message.tool_calls or ())),
        reasoning_blocks=tuple(
            ReasoningDelta(
                block.index if block.index is not None else place,
                block.type,
                block.text,
                block.signature,
                block.data,
                block.id,
                block.provider,
            )
            for place, block in enumerate(message.reasoning_blocks or ())
        ),
        annotations=message.annotations or (),
        audio=message.audio,
        extra=message.extra or None,
    )


def _tool_call(index: int, call: ToolCall) -> ToolCallDelta:
    function = FunctionDelta(call.function.name, call.function.arguments) if call.function else FunctionDelta()
    return ToolCallDelta(index, call.id, call.type, function, call.extra or None)
