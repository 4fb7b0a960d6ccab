"""Requests that are too large for their vendor, sent in parts and joined: each part is an attempt of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple, cast

from .attempts import attempt
from .call import Call
from .facts import Slot
from .stream import Handler, Reply
from .tokens import estimate_tokens
from .types import EmbeddingsRequest, EmbeddingsResponse, join_embeddings

_AT_ONCE = 4
"""Parts under way at the same time."""

_MARGIN = 0.7
"""Tokens are estimated, and estimates are off: a part is filled so far."""


class PartLimits(NamedTuple):
    """What one request may hold at most; None: no limit is known."""

    inputs: int | None = None
    tokens: int | None = None


class Divided(NamedTuple):
    """That a request was sent in parts. `sent` is how many parts this dispatch sent: a retry sends what is missing."""

    parts: int
    sent: int
    inputs: int


DIVIDED: Slot[Divided] = Slot("divided", "A request that was too large for the vendor, sent in parts.")


def parts_of(request: EmbeddingsRequest, limits: PartLimits) -> list[EmbeddingsRequest]:
    """The request in parts within the limits, in order; itself alone where it is small enough."""
    inputs = request.inputs
    if len(inputs) < 2 or not (limits.inputs or limits.tokens):
        return [request]
    groups = _groups(inputs, limits)
    return [request] if len(groups) == 1 else [request.but(input=tuple(group)) for group in groups]


async def send_parts(call: Call, parts: Sequence[EmbeddingsRequest], name: str, provider: Handler) -> Reply:
    """Send the parts, a few at a time, and join the answers. The first failure ends it; answers so far are kept for a retry.

    The parts of one dispatch count as one against the call's attempt budget, however many they are.
    """
    done = _answers_so_far(call, len(parts))
    missing = [place for place, answer in enumerate(done) if answer is None]
    call.set(DIVIDED, Divided(len(parts), len(missing), sum(len(part.inputs) for part in parts)))
    state, left, whole = call.state, call.state.attempts_left, call.state.request

    async def send(place: int) -> None:
        done[place] = await attempt(call.with_request(parts[place]), name, provider)

    state.attempts_left = left + (len(missing) - 1 if left > 0 else 0)
    try:
        await _few_at_once([_job(send, place) for place in missing])
    finally:
        state.attempts_left = max(0, left - 1)
        state.request = whole
    return join_embeddings([cast("EmbeddingsResponse", answer) for answer in done])


def _answers_so_far(call: Call, count: int) -> list[Any]:
    """Kept on the call, for the request and the target that they answer."""
    kept = call.state.parts
    if kept is None or kept[0] is not call.request or kept[1] != call.target:
        kept = call.state.parts = (call.request, call.target, [None] * count)
    return kept[2]


def _job(send: Callable[[int], Awaitable[None]], place: int) -> Callable[[], Awaitable[None]]:
    return lambda: send(place)


async def _few_at_once(jobs: Sequence[Callable[[], Awaitable[None]]]) -> None:
    """Run the jobs, `_AT_ONCE` at a time. The first to fail cancels the others, and its error is raised as it is."""
    waiting = iter(jobs)

    async def work() -> None:
        for job in waiting:
            await job()

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(_AT_ONCE, len(jobs))):
                group.create_task(work())
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None


def _groups(inputs: Sequence[Any], limits: PartLimits) -> list[list[Any]]:
    sizes = _sizes(inputs, limits.tokens)
    most_tokens = limits.tokens * _MARGIN if limits.tokens and sizes else None
    groups: list[list[Any]] = [[]]
    filled = 0.0
    for place, item in enumerate(inputs):
        size = sizes[place] if sizes else 0
        full = len(groups[-1]) == limits.inputs or (most_tokens is not None and filled + size > most_tokens)
        if full and groups[-1]:
            groups.append([])
            filled = 0.0
        groups[-1].append(item)
        filled += size
    return groups


def _sizes(inputs: Sequence[Any], most_tokens: int | None) -> list[int]:
    """Tokens of each input; empty where all together are certain to be few: no text has more tokens than bytes."""
    if most_tokens is None or sum(4 * len(item) for item in inputs) <= most_tokens:
        return []
    return [estimate_tokens(item) if isinstance(item, str) else len(item) for item in inputs]
