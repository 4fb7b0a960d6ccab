"""Calls beside a call: work that may outlive it, with deadline, attempts, facts and trace of its own.

Nothing of such a call is counted as the caller's: not in flight, not in statistics, not in the metrics of calls. Its trace is
one of its own, linked to that of the call it belongs to.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextvars import Context
from dataclasses import replace
from typing import Any, Protocol

from .call import Call, CallOptions
from .outcome import Outcome
from .record import Record
from .types import Request


class Host(Protocol):
    """The pipeline, as far as calls beside others need it."""

    def begin_beside(
        self, name: str, request: Request, options: CallOptions, *, timeout_s: float, attempts: int
    ) -> Call:
        """A call that its pipeline counts nowhere."""
        ...

    def end_beside(self, beside: Call, outcome: Outcome) -> Record:
        """Close it: its record, and its trace if that is kept."""
        ...


def begin_beside(
    call: Call, name: str, request: Request, options: CallOptions, *, timeout_s: float, attempts: int
) -> Call:
    """A call beside `call`, for what `name` says. It may be given to the rest of the chain, once or more; then `end_beside`.

    It has its own deadline, `timeout_s` from now, and its own budget of `attempts`.
    """
    host = call.state.host
    if host is None:
        raise ValueError("A call beside another needs that one to come from a pipeline.")
    options = replace(options, timeout_s=timeout_s, traceparent=_traceparent(call), ran=())
    return host.begin_beside(name, request, options, timeout_s=timeout_s, attempts=attempts)


def end_beside(beside: Call, outcome: Outcome) -> Record:
    """Its record, complete. Once for each call that `begin_beside` gave."""
    host = beside.state.host
    assert host is not None  # noqa: S101 - `begin_beside` made it
    return host.end_beside(beside, outcome)


def _traceparent(call: Call) -> str | None:
    """What its own trace is linked to."""
    trace = call.state.trace
    if trace is None or not trace.trace_id:
        return None
    return f"00-{trace.trace_id:032x}-{trace.span_id:016x}-{trace.flags:02x}"


class BesideTasks:
    """Work beside calls: tasks of their own, at most `limit` at once. Event loops may share it."""

    def __init__(self, name: str, limit: int) -> None:
        self._name = name
        self._limit = limit
        self._running: dict[asyncio.Task[None], asyncio.AbstractEventLoop] = {}

    @property
    def running(self) -> int:
        """How many are under way."""
        return len(self._running)

    @property
    def full(self) -> bool:
        """Whether no further one may run now."""
        if len(self._running) >= self._limit:
            self._forget_closed()
        return len(self._running) >= self._limit

    def run(self, work: Coroutine[Any, Any, None], loop: asyncio.AbstractEventLoop) -> None:
        """Start it on the loop that runs now. Its context is empty: no span and no variable of the call is current in it."""
        task = loop.create_task(work, name=f"glassway-beside-{self._name}", context=Context())
        self._running[task] = loop
        task.add_done_callback(self._forget)

    async def aclose(self, flush_s: float) -> None:
        """Wait for what is under way, at most `flush_s` of real time; then end it."""
        here = asyncio.get_running_loop()
        if mine := [task for task, loop in self._running.items() if loop is here]:
            _, late = await asyncio.wait(mine, timeout=flush_s)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)
        for task, loop in tuple(self._running.items()):
            if loop is not here and not loop.is_closed():
                loop.call_soon_threadsafe(task.cancel)

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._running.pop(task, None)

    def _forget_closed(self) -> None:
        for task, loop in tuple(self._running.items()):
            if loop.is_closed():
                self._forget(task)
