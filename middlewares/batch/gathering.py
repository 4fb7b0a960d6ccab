"""Requests that wait to go out together. Everything here happens on one event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from ...pipeline.call import Call
from ...pipeline.clock import Timer
from ...pipeline.types import Embedding, EmbeddingsRequest, EmbeddingsResponse, Usage


class Sent(NamedTuple):
    """What came back for one request: its part of the answer; and who sent it."""

    response: EmbeddingsResponse
    by: str
    requests: int


Word = Sent | Literal["send", "alone"] | BaseException
"""What a request that waits hears: its answer; that it is to send for all; that it is to ask for itself; the error of all."""


@dataclass(eq=False, slots=True)
class Item:
    """One request on its way."""

    call: Call
    request: EmbeddingsRequest
    word: asyncio.Future[Word]


@dataclass(eq=False, slots=True)
class Gathering:
    """Requests that are alike but for their inputs."""

    loop: asyncio.AbstractEventLoop
    items: list[Item] = field(default_factory=list)
    inputs: int = 0
    timer: Timer | None = None
    sealed: bool = False
    """Whether it goes out: who comes now begins another."""

    def join(self, call: Call, request: EmbeddingsRequest) -> Item:
        """One more."""
        item = Item(call, request, self.loop.create_future())
        self.items.append(item)
        self.inputs += len(request.inputs)
        return item

    def leave(self, item: Item) -> None:
        """It went away. If it was to send, the next one is."""
        self.items.remove(item)
        self.inputs -= len(item.request.inputs)
        was_told = item.word.done() and not item.word.cancelled() and item.word.result() == "send"
        if was_told and self.sealed:
            self.appoint()

    def appoint(self) -> None:
        """The first who waits sends for all."""
        for item in self.items:
            if not item.word.done():
                item.word.set_result("send")
                return

    def others(self, sender: Item) -> list[Item]:
        """Those who still wait."""
        return [item for item in self.items if item is not sender and not item.word.done()]


def merged(items: Sequence[Item]) -> EmbeddingsRequest:
    """One request with the inputs of all, in their order."""
    inputs: list[Any] = [one for item in items for one in item.request.inputs]
    return items[0].request.but(input=tuple(inputs))


def divided(response: EmbeddingsResponse, items: Sequence[Item]) -> list[EmbeddingsResponse] | None:
    """Each request's part of the answer; None if the vendor did not answer every input once.

    Tokens are shared out by the lengths of inputs, whole and with nothing left over: the shares add up to the count of all.
    """
    data = sorted(response.data, key=lambda each: each.index)
    sizes = [len(item.request.inputs) for item in items]
    if [each.index for each in data] != list(range(sum(sizes))):
        return None
    weights = [sum(_length(one) for one in item.request.inputs) for item in items]
    usages = _usages(response.usage, weights)
    parts, start = [], 0
    for size, usage in zip(sizes, usages, strict=True):
        own: list[Embedding] = [each.but(index=place) for place, each in enumerate(data[start : start + size])]
        parts.append(response.but(data=tuple(own), usage=usage))
        start += size
    return parts


def shares(whole: int, weights: Sequence[int]) -> list[int]:
    """Whole numbers by weight that add up to `whole`: those with the largest remainders get what is left."""
    total = sum(weights) or 1
    exact = [divmod(whole * weight, total) for weight in weights]
    found = [quotient for quotient, _ in exact]
    order = sorted(range(len(exact)), key=lambda place: -exact[place][1])
    for place in order[: whole - sum(found)]:
        found[place] += 1
    return found


def _usages(usage: Usage | None, weights: Sequence[int]) -> list[Usage | None]:
    if usage is None:
        return [None] * len(weights)
    prompts, totals = shares(usage.prompt_tokens, weights), shares(usage.total_tokens, weights)
    return [
        Usage(prompt_tokens=prompt, completion_tokens=0, total_tokens=total)
        for prompt, total in zip(prompts, totals, strict=True)
    ]


def _length(one: object) -> int:
    return max(1, len(one)) if isinstance(one, (str, tuple, list)) else 1


@dataclass(eq=False, slots=True)
class Start:
    """Chats to one target that are let go at the same moment."""

    loop: asyncio.AbstractEventLoop
    waiting: dict[asyncio.Future[int], None] = field(default_factory=dict)
    timer: Timer | None = None

    def line_up(self) -> asyncio.Future[int]:
        """One more; it hears how many go."""
        ticket: asyncio.Future[int] = self.loop.create_future()
        self.waiting[ticket] = None
        return ticket

    def go(self) -> None:
        """All of them."""
        if self.timer is not None:
            self.timer.cancel()
        for ticket in self.waiting:
            if not ticket.done():
                ticket.set_result(len(self.waiting))
