"""Telling others: functions on start, chunk, success and failure."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar, Literal, NamedTuple

from ..pipeline.call import Call
from ..pipeline.delivery import Deliverer, Recipient, Sink
from ..pipeline.errors import ConfigError
from ..pipeline.outcome import Outcome
from ..pipeline.plan import Rule
from ..pipeline.record import Record
from ..pipeline.stream import Block, Handler, Reply, Stream
from ..pipeline.types import Request, Response


class CallEvent(NamedTuple):
    """What a callback is told.

    `request` is what this stage was handed, `response` what the caller got (of a failed stream, the part that had
    arrived). `record` has everything else: times, attempts, cost. It comes with success and failure.
    """

    event: Literal["start", "chunk", "success", "failure"]
    call_id: str
    request: Request
    response: Response | None = None
    error: BaseException | None = None
    chunk: Any = None
    record: Record | None = None


@dataclass(frozen=True, slots=True)
class Callbacks:
    """Runs functions, plain or async, on the events of each call, off its path.

    Exactly one of success (the call completed) and failure (it did not: `record.end` says how) is delivered for each
    call, after it has ended, with its complete record. A
    callback that is slow or raises delays and breaks nothing: it is logged and counted. Plain functions run in a
    background thread, async ones on the call's event loop. Closing the pipeline waits for what is queued.
    """

    rule: ClassVar[Rule] = Rule(
        better_outside={
            "Retry": "callbacks tell of calls, not of tries: inside Retry, on_start and on_chunk are told once a try",
            "Fallback": "callbacks tell of calls, not of tries: inside Fallback, on_start and on_chunk are told once a target",
            "Cache": "inside Cache, the callbacks are not told of hits",
        }
    )

    on_start: Sequence[Sink] = ()
    on_chunk: Sequence[Sink] = ()
    on_success: Sequence[Sink] = ()
    on_failure: Sequence[Sink] = ()
    queue_size: int = 1000
    """Events that wait at most, plain and async each; further ones are dropped and counted."""
    flush_s: float = 5.0
    """How long closing waits for what is queued."""
    _deliverer: Deliverer = field(init=False, repr=False, compare=False)
    _recipients: Mapping[str, tuple[Recipient, ...]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.queue_size < 1:
            raise ConfigError(f"Callbacks.queue_size: expected at least 1, found {self.queue_size}.")
        sinks = {"start": self.on_start, "chunk": self.on_chunk, "success": self.on_success, "failure": self.on_failure}
        object.__setattr__(self, "_deliverer", Deliverer(self.queue_size))
        object.__setattr__(self, "_recipients", {event: _recipients(event, given) for event, given in sinks.items()})

    def __call__(self, call: Call, call_next: Handler) -> Awaitable[Reply]:
        """The reply as it is."""
        if call.dry_run:
            return call_next(call)
        loop = asyncio.get_running_loop()
        if self.on_start:
            self._offer(CallEvent("start", call.id, call.request), loop)
        if (self.on_success or self.on_failure) and not self._listens(call):
            call.when_recorded(partial(self._ended, call, loop))
        return self._with_chunks(call, call_next, loop) if self.on_chunk else call_next(call)

    async def aclose(self) -> None:
        """Wait for what is queued, then stop."""
        await self._deliverer.flush(self.flush_s)
        self._deliverer.close()

    async def _with_chunks(self, call: Call, call_next: Handler, loop: asyncio.AbstractEventLoop) -> Reply:
        reply = await call_next(call)
        if isinstance(reply, Stream):
            reply.map_blocks(lambda block: self._pass(call, block, loop))
        return reply

    def _listens(self, call: Call) -> bool:
        """Whether an earlier try of the same call brought us here: a call ends once."""
        recorded = call.state.recorded
        return bool(recorded) and self._ended in [getattr(observer, "func", None) for observer in recorded]

    def _pass(self, call: Call, block: Block, loop: asyncio.AbstractEventLoop) -> Block:
        for chunk in block:
            self._offer(CallEvent("chunk", call.id, call.request, chunk=chunk), loop)
        return block

    def _ended(self, call: Call, loop: asyncio.AbstractEventLoop, record: Record, outcome: Outcome) -> None:
        """Tell how the call has ended."""
        name: Literal["success", "failure"] = "success" if outcome.ok else "failure"
        if self._recipients[name]:
            self._offer(
                CallEvent(name, record.call_id, call.request, outcome.response, outcome.error, None, record), loop
            )

    def _offer(self, event: CallEvent, loop: asyncio.AbstractEventLoop) -> None:
        for recipient in self._recipients[event.event]:
            self._deliverer.offer(recipient, event, loop)


def _recipients(event: str, sinks: object) -> tuple[Recipient, ...]:
    if not isinstance(sinks, Sequence) or isinstance(sinks, str) or not all(callable(sink) for sink in sinks):
        raise ConfigError(f"Callbacks.on_{event}: expected a list of functions, found {sinks!r}.")
    return tuple(Recipient.of(sink) for sink in sinks)
