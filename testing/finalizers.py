"""Every way in which a call can end, for any stage: what must happen exactly once, and what must not be left behind."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Literal

from ..pipeline.call import CallOptions
from ..pipeline.errors import GlasswayError, InternalServerError
from ..pipeline.outcome import Outcome
from ..pipeline.pipeline import Pipeline
from ..pipeline.record import Record
from ..pipeline.stream import Middleware, Stream
from ..pipeline.types import ChatRequest, Message
from .clock import FakeClock
from .provider import FakeProvider, Scripted

Ending = Literal[
    "completed",
    "unary_completed",
    "vendor_error_before_output",
    "unary_vendor_error",
    "vendor_error_mid_stream",
    "cut_stream",
    "consumer_breaks_off",
    "aclose",
    "task_cancelled",
    "task_cancelled_before_output",
    "deadline",
    "deadline_mid_stream",
    "abandoned_and_collected",
    "never_iterated",
]

ENDINGS: tuple[Ending, ...] = Ending.__args__  # type: ignore[attr-defined]  # a Literal's arguments

_SLOW = Scripted(text="one two three four five six", delay_s=1.0, gap_s=1.0)


@dataclass(frozen=True, slots=True)
class EndingReport:
    """What was seen of one call. `assert_clean` is the whole point."""

    ending: Ending
    records: tuple[Record, ...]
    outcomes: tuple[Outcome, ...]
    open_streams: int
    in_flight: int
    leaked_tasks: tuple[str, ...]

    def assert_clean(self) -> None:
        """One terminal outcome, one record, nothing held."""
        assert len(self.records) == 1, f"{self.ending}: {len(self.records)} records instead of one"
        assert len(self.outcomes) == 1, f"{self.ending}: {len(self.outcomes)} terminal outcomes instead of one"
        assert self.open_streams == 0, f"{self.ending}: {self.open_streams} upstream streams are still open"
        assert self.in_flight == 0, f"{self.ending}: {self.in_flight} calls are still counted as in flight"
        assert not self.leaked_tasks, f"{self.ending}: tasks were left behind: {self.leaked_tasks}"

    @property
    def record(self) -> Record:
        """The call's record."""
        return self.records[0]


async def run_ending(
    ending: Ending, stages: Callable[[], Sequence[Middleware]], *, telemetry: object = None
) -> EndingReport:
    """Build a pipeline of `stages()` around a fake provider, let one call end like `ending`, and report.

    Raises nothing of the call's own errors: the report tells.
    """
    clock = FakeClock(tick_ns=10)
    provider = FakeProvider([_script(ending)])
    seen = _Seen()
    before = asyncio.all_tasks()
    with young_heap():
        pipeline = Pipeline([seen, *stages()], provider, clock=clock, telemetry=telemetry)  # type: ignore[arg-type]  # a Telemetry or None
        async with _closing(pipeline):
            await pipeline.open()  # some stages open in a thread, which a clock that stands still does not wait for
            await _play(ending, pipeline, clock)
            await _settle()
            held = (provider.open_streams, pipeline.in_flight)
        await _settle()
    leaked = tuple(task.get_name() for task in asyncio.all_tasks() - before if task is not asyncio.current_task())
    return EndingReport(ending, tuple(seen.records), tuple(seen.outcomes), *held, leaked)


@contextmanager
def young_heap() -> Iterator[None]:
    """Let the garbage collector look only at what is made inside: a collection takes a millisecond instead of half a second."""
    if gc.get_freeze_count():  # somebody's, who will thaw it
        yield
        return
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


class _Seen:
    """The outermost stage: notes what the call came to."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.outcomes: list[Outcome] = []

    async def __call__(self, call, call_next):  # type: ignore[no-untyped-def]  # a Middleware
        call.when_recorded(self._note)
        return await call_next(call)

    def _note(self, record: Record, outcome: Outcome) -> None:
        self.records.append(record)
        self.outcomes.append(outcome)


def _script(ending: Ending) -> Scripted:
    error = InternalServerError("The vendor failed.", status_code=500, retryable=False)
    scripts: dict[Ending, Scripted] = {
        "completed": Scripted(),
        "unary_completed": Scripted(),
        "vendor_error_before_output": Scripted(error=error),
        "unary_vendor_error": Scripted(error=error),
        "vendor_error_mid_stream": Scripted(error=error, after_chunks=3),
        "cut_stream": Scripted(after_chunks=3),
    }
    return scripts.get(ending, _SLOW)


async def _play(ending: Ending, pipeline: Pipeline, clock: FakeClock) -> None:
    request = ChatRequest(
        model="fake-model", messages=(Message(role="user", content="Hi"),), stream=not ending.startswith("unary")
    )
    limit_s = {"deadline": 0.5, "deadline_mid_stream": 3.5}.get(ending)
    task = asyncio.get_running_loop().create_task(_consume(ending, pipeline, request, CallOptions(timeout_s=limit_s)))
    if ending.startswith("task_cancelled"):
        await clock.sleep(0.5 if ending == "task_cancelled_before_output" else 2.5)
        task.cancel()
    await asyncio.wait([task])
    if not task.cancelled() and (error := task.exception()) and not isinstance(error, GlasswayError):
        raise error


async def _consume(ending: Ending, pipeline: Pipeline, request: ChatRequest, options: CallOptions) -> None:
    reply = await pipeline.send(request, options)
    if not isinstance(reply, Stream) or ending == "never_iterated":
        return
    if ending == "aclose":
        await anext(reply)
        await reply.aclose()
        await reply.aclose()
        return
    async for _ in reply:
        if ending in ("consumer_breaks_off", "abandoned_and_collected"):
            break
    if ending == "consumer_breaks_off":
        await reply.aclose()


@asynccontextmanager
async def _closing(pipeline: Pipeline) -> AsyncIterator[None]:
    try:
        yield
    finally:
        await pipeline.aclose()


async def _settle() -> None:
    gc.collect()
    for _ in range(30):
        await asyncio.sleep(0)
