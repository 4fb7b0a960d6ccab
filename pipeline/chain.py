"""The compiled chain: stages linked into closures once, in two forms, one of which each call takes.

`bare` is the stages alone. `metered` opens a frame around each stage, which gives self times and, for traces that are
kept, spans. In a traced call the frames also take the facts written inside them (`Call._note`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import NamedTuple

from .call import Call
from .errors import StageError
from .stream import Handler, Middleware, Reply, Stream
from .trace import Frame
from .types import ChatResponse, Response

_WHOLE = frozenset({ChatResponse})
"""Replies that are told by their class alone: nearly all that are no streams."""


class Chain(NamedTuple):
    """The entry of each form of the chain."""

    bare: Handler
    metered: Handler


def compile_chain(
    stages: Sequence[tuple[str, Middleware]], terminal: Handler, terminal_name: str = "provider"
) -> Chain:
    """Link `stages` (name and function, outermost first) in front of `terminal`."""
    bare = _checked(terminal_name, terminal)
    metered = _metered_terminal(len(stages), terminal_name, terminal)
    for index in range(len(stages) - 1, -1, -1):
        name, stage = stages[index]
        bare = _bare(name, stage, bare)
        metered = _metered(index, name, stage, metered)
    return Chain(bare, metered)


def _bare(name: str, stage: Middleware, call_next: Handler) -> Handler:
    async def link(call: Call) -> Reply:
        reply = await stage(call, call_next)
        if reply.__class__ not in _WHOLE and not isinstance(reply, (Response, Stream)):
            raise _no_reply(name, reply)
        return reply

    return link


def _checked(name: str, terminal: Handler) -> Handler:
    async def link(call: Call) -> Reply:
        if call.state.finished:
            raise _too_late(name)
        reply = await terminal(call)
        if not isinstance(reply, (Response, Stream)):
            raise _no_reply(name, reply)
        return reply

    return link


def _metered(index: int, name: str, stage: Middleware, call_next: Handler) -> Handler:
    async def link(call: Call) -> Reply:
        trace, outer = call.state.trace, call.frame
        if trace is None or outer is None or outer.end_ns:
            raise _too_late(name)
        view = call.inside(index, trace)
        frame: Frame = view.frame  # type: ignore[assignment]  # it has one now
        try:
            reply = await stage(view, call_next)
        except BaseException as error:
            frame.error = error
            raise
        finally:
            frame.end_ns = trace.now_ns()
        if reply.__class__ in _WHOLE:  # a metaclass of pydantic's takes three times as long to say so
            return reply
        if isinstance(reply, Stream):
            reply.claim(frame)
        elif not isinstance(reply, Response):
            raise _no_reply(name, reply)
        return reply

    return link


def _metered_terminal(index: int, name: str, terminal: Handler) -> Handler:
    def ignore_next(call: Call, _: Handler) -> Awaitable[Reply]:
        return terminal(call)

    return _metered(index, name, ignore_next, terminal)


def _no_reply(name: str, reply: object) -> StageError:
    return StageError(
        f"The stage {name!r} returned {type(reply).__name__}; a stage returns a Response or a Stream. "
        "Usually a `return await call_next(call)` is missing."
    )


def _too_late(name: str) -> StageError:
    return StageError(
        f"The stage outside {name!r} called call_next after it had returned or after the call had ended. "
        "Await call_next before returning; work that outlives the call needs a call of its own."
    )
