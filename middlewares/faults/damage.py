"""Damage to good answers, whole or in chunks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from ...pipeline.attempts import within
from ...pipeline.call import Call
from ...pipeline.stream import Block, BlockStep, Source
from ...pipeline.types import ChatChunk, ChatResponse, Choice, ChoiceDelta, Message, Response, ToolCall, ToolCallDelta
from .refusals import error_of
from .rules import FaultRule

Struck = Callable[[], None]
"""Told when the fault has done its damage, and not before: an answer that it cannot harm was not struck."""


def broken(rule: FaultRule, struck: Struck) -> BlockStep:
    """The stream raises behind `after_chunks`, at the latest in the place of its finish."""
    seen = 0

    def step(block: Block) -> Iterator[Any]:
        nonlocal seen
        for chunk in block:
            if seen >= rule.after_chunks or getattr(chunk, "finish_reason", None):
                break
            seen += 1
            yield chunk
        else:
            if block:
                return
        struck()
        raise error_of(rule, output=True)

    return step


def doubled(rule: FaultRule, struck: Struck) -> BlockStep:
    """Chunk `after_chunks` twice."""
    seen = 0

    def step(block: Block) -> Iterator[Any]:
        nonlocal seen
        for chunk in block:
            yield chunk
            if seen == rule.after_chunks:
                struck()
                yield chunk
            seen += 1

    return step


def uncounted(_: FaultRule, struck: Struck) -> BlockStep:
    """Chunks without token counts."""

    def step(block: Block) -> Iterator[Any]:
        for chunk in block:
            if chunk.usage is not None:
                struck()
            yield chunk if chunk.usage is None else chunk._replace(usage=None)

    return step


def cut_arguments(_: FaultRule, struck: Struck) -> BlockStep:
    """Of each tool call's arguments, half of the first piece."""
    begun: set[tuple[int, int]] = set()

    def shortened(choice: int, call: ToolCallDelta) -> ToolCallDelta:
        arguments = call.function.arguments
        if not arguments:
            return call
        struck()
        rest = "" if (choice, call.index) in begun else half(arguments)
        begun.add((choice, call.index))
        return call._replace(function=call.function._replace(arguments=rest))

    def each(choice: ChoiceDelta) -> ChoiceDelta:
        calls = tuple(shortened(choice.index, call) for call in choice.delta.tool_calls)
        return choice._replace(delta=choice.delta._replace(tool_calls=calls)) if calls else choice

    return _choices(each)


def replaced(rule: FaultRule, struck: Struck) -> BlockStep:
    """`text` where the answer's text began, nothing where it went on."""
    begun: set[int] = set()

    def each(choice: ChoiceDelta) -> ChoiceDelta:
        if not choice.delta.content:
            return choice
        struck()
        text = "" if choice.index in begun else rule.text
        begun.add(choice.index)
        return choice._replace(delta=choice.delta._replace(content=text))

    return _choices(each)


STEPS: dict[str, Callable[[FaultRule, Struck], BlockStep]] = {
    "cut": broken,
    "malformed_event": broken,
    "error_event": broken,
    "duplicate_chunk": doubled,
    "missing_usage": uncounted,
    "truncated_tool_json": cut_arguments,
    "wrong_content": replaced,
}


def damaged(rule: FaultRule, response: Response, struck: Struck) -> Response:
    """A whole answer with the fault in it; as it is, if the fault cannot harm it."""
    if rule.kind == "missing_usage" and response.usage is not None:
        struck()
        return response.but(usage=None)
    if not isinstance(response, ChatResponse):
        return response
    harmed = response.but(choices=tuple(_harmed(rule, choice) for choice in response.choices))
    if harmed == response:
        return response
    struck()
    return harmed


def half(arguments: str) -> str:
    """The first half, never nothing: no arguments at all are read as an empty object."""
    return arguments[: max(1, len(arguments) // 2)]


def _harmed(rule: FaultRule, choice: Choice) -> Choice:
    message = choice.message
    if rule.kind == "wrong_content" and message.content:
        return choice.but(message=message.but(content=rule.text))
    if rule.kind == "truncated_tool_json" and message.tool_calls:
        return choice.but(message=_with_half_arguments(message, message.tool_calls))
    return choice


def _with_half_arguments(message: Message, calls: tuple[ToolCall, ...]) -> Message:
    return message.but(
        tool_calls=tuple(
            call.but(function=call.function.but(arguments=half(call.function.arguments))) if call.function else call
            for call in calls
        )
    )


def _choices(each: Callable[[ChoiceDelta], ChoiceDelta]) -> BlockStep:
    def step(block: Block) -> Iterator[Any]:
        for chunk in block:
            yield chunk._replace(choices=tuple(map(each, chunk.choices))) if isinstance(chunk, ChatChunk) else chunk

    return step


class Stalled:
    """A source that falls silent once, behind `after_chunks` chunks, within the call's limits."""

    def __init__(self, source: Source, first: Block, rule: FaultRule, call: Call, struck: Struck) -> None:
        self._source = source
        self._seen = len(first)
        self._rule = rule
        self._call = call
        self._struck: Struck | None = struck

    async def read(self) -> Block:
        """The next block."""
        if self._struck is not None and self._seen >= self._rule.after_chunks:
            struck, self._struck = self._struck, None
            struck()
            return await within(self._call, self._call.limits.between_chunks_s, "further chunk", self._late())
        block = await self._source.read()
        self._seen += len(block)
        return block

    async def aclose(self) -> None:
        """Let go of the source."""
        await self._source.aclose()

    async def _late(self) -> Block:
        await self._call.clock.sleep(self._rule.for_s)
        return await self._source.read()
