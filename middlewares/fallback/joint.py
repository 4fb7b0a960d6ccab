"""The second half of a mended stream, made to look like the rest of the first: no role again, no text twice, one id, one count."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ...pipeline.types import SPLICE, ChatChunk, ChatResponse, ChoiceDelta, Delta, Usage
from .trim import Overlap, Repeat


class Begun(NamedTuple):
    """What had been handed out when a stream broke."""

    response: ChatResponse
    text: str
    reasoning: bool
    """Whether it had said what it thinks."""
    usage: Usage
    """What was counted of it, by estimate where the vendor had not counted yet."""


class Continued:
    """Chunks of an answer that goes on where another broke."""

    def __init__(self, begun: Begun, mark: Mapping[str, Any]) -> None:
        """`mark` goes out with the first chunk."""
        self._begun = begun
        self._mark: Mapping[str, Any] | None = mark
        self._overlap = Overlap(begun.text)
        self._silent = begun.reasoning or bool(begun.text)
        self._last = ChatChunk(begun.response.id, begun.response.model, begun.response.created)

    supersedes = False
    """Whether what was before is void."""

    def step(self, chunk: ChatChunk) -> ChatChunk | None:
        """The chunk as it goes out; None for one of which nothing is left."""
        choices = tuple(after for choice in chunk.choices if (after := self._choice(choice)) is not None)
        usage = _together(self._begun.usage, chunk.usage) if chunk.usage is not None else None
        if not choices and usage is None and not chunk.extra:
            return None
        return self._out(choices, usage, chunk.extra)

    def flush(self) -> Sequence[ChatChunk]:
        """What was held back."""
        rest = self._overlap.flush()
        return [self._out((ChoiceDelta(0, Delta(content=rest)),), None, None)] if rest else []

    def _choice(self, choice: ChoiceDelta) -> ChoiceDelta | None:
        delta = choice.delta
        text = self._overlap.feed(delta.content) if delta.content else ""
        if choice.finish_reason is not None or delta.tool_calls or delta.refusal:
            text += self._overlap.flush()
        delta = delta._replace(role=None, content=text or None)
        if self._silent:
            delta = delta._replace(reasoning_content=None, reasoning_blocks=())
        after = choice._replace(delta=delta)
        return after if after != ChoiceDelta(choice.index) else None

    def _out(self, choices: Sequence[ChoiceDelta], usage: Usage | None, extra: Mapping[str, Any] | None) -> ChatChunk:
        if self._mark is not None:
            extra, self._mark = {**(extra or {}), SPLICE: self._mark}, None
        return self._last._replace(choices=choices, usage=usage, extra=extra)


class Restarted:
    """Chunks of an answer that begins anew. If it says again what had been handed out, only the rest of it goes out; else the first
    chunk says that everything before it is void.
    """

    def __init__(self, begun: Begun, mark: Mapping[str, Any], *, only_text: bool) -> None:
        """`only_text`: whether nothing but text had been handed out; else nothing can be said again."""
        self._mark = mark
        self._head = ChatChunk(begun.response.id, begun.response.model, begun.response.created)
        self._repeat = Repeat(begun.text)
        if not only_text:
            self._repeat.repeats = False
        self._held: list[ChatChunk] = []
        self._marked = False

    @property
    def supersedes(self) -> bool:
        """Whether what was before is void, and the consumer knows."""
        return self._marked and not self._repeat.repeats

    def step(self, chunk: ChatChunk) -> list[ChatChunk]:
        """What goes out: nothing until it is known whether the beginning is the same."""
        repeat = self._repeat
        if self._marked:
            return [self._renamed(chunk) if repeat.repeats else chunk]
        self._held.append(chunk)
        rest = repeat.feed(chunk.text)
        if repeat.repeats is None and chunk.finish_reason is None:
            return []
        return self._decide(rest)

    def flush(self) -> Sequence[ChatChunk]:
        """What was held back."""
        return self._decide("") if self._held else []

    def _decide(self, rest: str) -> list[ChatChunk]:
        held, self._held, self._marked = self._held, [], True
        if not self._repeat.repeats:
            self._repeat.repeats = False
            first = held[0]._replace(extra={**(held[0].extra or {}), SPLICE: {**self._mark, "supersedes": True}})
            return [first, *held[1:]]
        last = self._renamed(held[-1])
        if rest != held[-1].text:
            choice = last.choices[0]
            last = last._replace(choices=(choice._replace(delta=choice.delta._replace(content=rest or None)),))
        return [last._replace(extra={**(last.extra or {}), SPLICE: self._mark})]

    def _renamed(self, chunk: ChatChunk) -> ChatChunk:
        choices = tuple(choice._replace(delta=choice.delta._replace(role=None)) for choice in chunk.choices)
        return self._head._replace(choices=choices, usage=chunk.usage, extra=chunk.extra)


def _together(first: Usage, second: Usage) -> Usage:
    """What the caller got: the prompt as it was asked, and the output of both."""
    completion = first.completion_tokens + second.completion_tokens
    changes: dict[str, Any] = {"prompt_tokens": first.prompt_tokens, "completion_tokens": completion, "estimated": True}
    changes |= {"total_tokens": first.prompt_tokens + completion, "prompt_tokens_details": first.prompt_tokens_details}
    return second.model_copy(update=changes)
