"""Streams: blocks of chunks in, chunks out, and exactly one end whatever happens."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

from .errors import APIError, StageError, StreamInterruptedError
from .outcome import End, Observer, Outcome, completed, notify, outcome_of
from .trace import Frame, Stopwatch
from .types import Assemble, Response

if TYPE_CHECKING:
    from .call import Call

logger = logging.getLogger("glassway")

Block = Sequence[Any]
"""Chunks that arrived together: one await a block, not one a chunk."""

Step = Callable[[Any], Any]
"""`Chunk -> Chunk | list[Chunk] | None`; None takes the chunk out, a list puts several in its place."""

BlockStep = Callable[[Block], Iterable[Any]]
"""All that goes out for a block. A generator that raises has given out what it yielded before."""

Flush = Callable[[], Sequence[Any]]
"""What a step had held back, when no more chunks come."""

ChunkGenerator = Callable[[AsyncIterator[Any]], AsyncGenerator[Any, None]]


class Source(Protocol):
    """Where blocks come from. Read by one task at a time."""

    async def read(self) -> Block:
        """The next block; an empty one is the complete end. Raises what went wrong."""
        ...

    async def aclose(self) -> None:
        """Let go of everything, now. May be called more than once, and before the end."""
        ...


class Stream:
    """A reply that arrives in chunks. Iterate it (once), use it as a context manager, or take the whole `response()`.

    However it ends - completed, failed, closed early, cancelled, dropped and garbage-collected - each observer runs
    exactly once, and what the stream held is released.
    """

    __slots__ = ("__weakref__", "_assemble", "_blocks", "_buffer", "_ended", "_failure", "_first", "_held", "_loop", "_meter", "_observers", "_outcome",
                 "_reading", "_source", "_source_frame", "_steps", "_suspend")  # fmt: skip

    def __init__(self, source: Source, assemble: Assemble, *, first: Block = (), meter: Meter | None = None) -> None:
        """`first` is a block that was read already: priming turns failures before output into ordinary exceptions.

        `meter` is shared with a source that reads other streams.
        """
        self._source = source
        self._assemble = assemble
        self._first = first
        self._buffer: deque[Any] = deque()
        self._blocks: list[Block] = []
        self._steps: list[list[Any]] = []  # [block step, frame | None, flush | None], outermost last
        self._observers: list[list[Any]] = []  # [observer, frame | None], inner stage first
        self._source_frame: Frame | None = None
        self._meter = meter or Meter()
        self._suspend: Callable[[Awaitable[Block]], Awaitable[Block]] | None = None
        self._failure: BaseException | None = None
        self._outcome: Outcome | None = None
        self._reading = False
        self._ended = False
        self._held = False
        self._loop = asyncio.get_running_loop()

    # -- for stages

    def map(self, step: Step, flush: Flush | None = None) -> Self:
        """Pass every chunk through `step` on its way out. Not for waiting: `through` does that.

        A step may hold chunks back (by None) and let them go later (in a list); `flush` gives out the rest when the stream
        has completed. It is not called when the stream ends in another way.
        """
        return self.map_blocks(_each(step), flush)

    def map_blocks(self, step: BlockStep, flush: Flush | None = None) -> Self:
        """Like `map`, for a step that is cheaper for chunks that have arrived together. The last block is empty."""
        self._steps.append([step, None, flush])
        return self

    def through(self, generator: ChunkGenerator) -> Self:
        """Pass the chunks through an async generator that may hold some back, add some, or wait."""
        self._source = _Through(self._meter, self._source, self._steps, self._source_frame, self._first, generator)
        self._source_frame = None
        self._first = ()
        self._steps = []
        return self

    def when_done(self, observer: Observer) -> Self:
        """Run `observer(outcome)` exactly once, at the end. Observers run inner stage first; one that raises is reported."""
        if self._outcome is not None:
            notify(observer, self._outcome)
        else:
            self._observers.append([observer, None])
        return self

    # -- for the chain

    def attend(self, wrap: Callable[[Source, Block], Source]) -> None:
        """Read the source through another one from now on; `wrap` also sees the block that was read already."""
        self._source = wrap(self._source, self._first)

    def claim(self, frame: Frame) -> None:
        """What was added since the last claim belongs to this stage."""
        if self._source_frame is None:
            self._source_frame = frame
        if isinstance(self._source, _Through):
            self._source.claim(frame)
        _claim((*self._steps, *self._observers), frame)

    def meter(self, watch: Stopwatch) -> None:
        """Book the time of the stream from now on."""
        self._meter.watch = watch

    def suspend(self, around: Callable[[Awaitable[Block]], Awaitable[Block]]) -> None:
        """Run every read inside `around`, which sets a context for that one awaited step."""
        self._suspend = around

    def end(self, outcome: Outcome) -> None:
        """End as the stream did that is read in the place of this one: the observers are told, `aclose` lets go."""
        if self._settle(outcome.end, outcome.error):
            self._held = True

    @property
    def assemble(self) -> Assemble:
        """How its chunks are joined."""
        return self._assemble

    # -- for the consumer

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        if self._buffer:
            return self._buffer.popleft()
        return await self._next_of_block()

    async def read_block(self) -> Block:
        """The chunks that have arrived together; empty at the end. The same chunks as by iterating, with fewer waits."""
        await self._fill()
        block = tuple(self._buffer)
        self._buffer.clear()
        return block

    async def response(self) -> Response:
        """Read to the end and return the whole response. May be called after iterating, and more than once.

        Raises what the stream failed with; `StreamInterruptedError.partial` has what had arrived.
        """
        while await self.read_block():
            pass
        outcome = self._outcome
        if outcome is not None and outcome.error is not None:
            raise outcome.error
        if outcome is None or outcome.response is None or not outcome.ok:
            raise StreamInterruptedError(
                "The stream was closed before its end: there is no whole response.", retryable=False
            )
        return outcome.response

    @property
    def outcome(self) -> Outcome | None:
        """How it ended; None while it runs."""
        return self._outcome

    async def aclose(self) -> None:
        """Stop reading and release the connection. Safe at any time, and more than once."""
        self._buffer.clear()
        if self._settle("closed") or self._held:
            self._held = False
            await self._source.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def __del__(self) -> None:
        if getattr(self, "_outcome", True) is None and self._settle("abandoned"):
            _release_later(self._loop, self._source)

    # -- inside

    async def _next_of_block(self) -> Any:
        if not await self._fill():
            raise StopAsyncIteration
        return self._buffer.popleft()

    async def _fill(self) -> bool:
        """Read until there are chunks to hand out; false at the end. Raises what went wrong, once the chunks before it are out."""
        if self._reading:
            raise StageError("A stream is read by one task at a time; two are reading this one.")
        if self._outcome is not None:
            return bool(self._buffer)
        self._reading = True
        try:
            while not self._buffer:
                if self._failure is not None:
                    raise self._failure
                block = () if self._ended else await self._read()
                if self._ended or self._outcome is not None:  # the latter: closed meanwhile by another task
                    self._settle("completed")
                    await self._source.aclose()
                    return False
                self._ended = not block
                self._take(*(_stepped if block else _flushed)(block, self._steps, self._meter.watch))
        except BaseException as error:
            await self._fail(error)
            raise
        finally:
            self._reading = False
        return True

    async def _read(self) -> Block:
        if self._first:
            block, self._first = self._first, ()
            return block
        watch = self._meter.watch
        before = watch.switch(self._source_frame) if watch is not None else None
        try:
            return await (self._source.read() if self._suspend is None else self._suspend(self._source.read()))
        finally:
            if watch is not None:
                watch.switch(before)

    def _take(self, block: Block, failure: BaseException | None) -> None:
        self._failure = failure
        if block:
            self._blocks.append(block)
            self._buffer.extend(block)

    async def _fail(self, error: BaseException) -> None:
        if self._settle(outcome_of(error, mid_stream=bool(self._blocks)), error):
            await self._source.aclose()

    def _partial(self) -> Response | None:
        return self._assemble([chunk for block in self._blocks for chunk in block]) if self._blocks else None

    def _settle(self, end: End, error: BaseException | None = None) -> bool:
        """Make the outcome and tell the observers; false if that was done before."""
        if self._outcome is not None:
            return False
        count = sum(map(len, self._blocks))
        outcome = self._outcome = Outcome(end, make=self._partial, error=error, chunks=count)
        watch = self._meter.watch
        notify(_give_partial, outcome)
        for observer, frame in self._observers:
            if watch is not None:
                watch.switch(frame)
            notify(observer, outcome)
        self._observers.clear()
        return True


def _give_partial(outcome: Outcome) -> None:
    if isinstance(outcome.error, APIError) and outcome.error.partial is None:
        outcome.error.partial = outcome.response


def _claim(layers: Iterable[list[Any]], frame: Frame) -> None:
    for layer in layers:
        if layer[1] is None:
            layer[1] = frame


class Meter:
    """The stopwatch of a stream, once there is one; shared by its layers."""

    __slots__ = ("watch",)

    def __init__(self) -> None:
        self.watch: Stopwatch | None = None


class _Through:
    """A source made of another source and a generator."""

    def __init__(
        self,
        meter: Meter,
        inner: Source,
        steps: list[list[Any]],
        frame: Frame | None,
        first: Block,
        generator: ChunkGenerator,
    ) -> None:
        self._meter = meter
        self._inner = inner
        self._steps = steps
        self._frame = frame
        self._first = first
        self._reading = False
        self._generator = generator(self._chunks())

    def claim(self, frame: Frame) -> None:
        """What the stage put below this layer is the stage's too."""
        if self._frame is None:
            self._frame = frame
            if isinstance(self._inner, _Through):
                self._inner.claim(frame)
        _claim(self._steps, frame)

    async def read(self) -> Block:
        self._reading = True
        try:
            async for chunk in self._generator:
                return (chunk,)
            return ()
        finally:
            self._reading = False

    async def aclose(self) -> None:
        try:
            if not self._reading:  # else another task reads it, and closes it when the inner source is gone
                await self._generator.aclose()
        finally:
            await self._inner.aclose()

    async def _chunks(self) -> AsyncIterator[Any]:
        more = True
        while more:
            block = await self._pull()
            more = bool(block)
            block, failure = (_stepped if more else _flushed)(block, self._steps, self._meter.watch)
            for chunk in block:
                yield chunk
            if failure is not None:
                raise failure

    async def _pull(self) -> Block:
        if self._first:
            block, self._first = self._first, ()
            return block
        watch = self._meter.watch
        before = watch.switch(self._frame) if watch is not None else None
        try:
            return await self._inner.read()
        finally:
            if watch is not None:
                watch.switch(before)


def _stepped(block: Block, steps: list[list[Any]], watch: Stopwatch | None) -> tuple[Block, BaseException | None]:
    """The block after all steps. A step that raises ends the stream behind the chunks before it, however they were cut into blocks."""
    failure: BaseException | None = None
    for layer in steps:
        if not block:
            break
        block, raised = _step(block, layer, watch)
        failure = raised or failure
    return block, failure


def _flushed(block: Block, steps: list[list[Any]], watch: Stopwatch | None) -> tuple[Block, BaseException | None]:
    """The last, empty block, with what the steps had held back: each one's passed through those outside it."""
    for layer in steps:
        block, failure = _step(block, layer, watch)
        if failure is None and layer[2] is not None:
            rest, failure = _step((), [lambda _, flush=layer[2]: flush(), layer[1]], watch)
            block = [*block, *rest]
        if failure is not None:
            return block, failure
    return block, None


def _each(step: Step) -> BlockStep:
    def stepped(block: Block) -> Iterator[Any]:
        for chunk in block:
            after = step(chunk)
            if after.__class__ is list:
                yield from after
            elif after is not None:
                yield after

    return stepped


def _step(block: Block, layer: list[Any], watch: Stopwatch | None) -> tuple[list[Any], BaseException | None]:
    step = layer[0]
    before = watch.switch(layer[1]) if watch is not None else None
    kept: list[Any] = []
    failure: BaseException | None = None
    try:
        for chunk in step(block):
            kept.append(chunk)  # noqa: PERF402 - one by one: what came before a failure stays
    except Exception as error:  # noqa: BLE001 - kept, and raised when the chunks before it are out
        failure = error
    if watch is not None:
        watch.switch(before)
    return kept, failure


def _release_later(loop: asyncio.AbstractEventLoop, source: Source) -> None:
    """Close a source from a finaliser, which may run in any thread and cannot wait."""
    if loop.is_closed():
        return
    loop.call_soon_threadsafe(_close, loop, source)


def _close(loop: asyncio.AbstractEventLoop, source: Source) -> None:
    task = loop.create_task(_release(source))
    _closing.add(task)
    task.add_done_callback(_closing.discard)


async def _release(source: Source) -> None:
    try:
        await source.aclose()
    except Exception:
        logger.exception("A dropped stream could not be released; its connection may stay open.")


_closing: set[asyncio.Task[None]] = set()
"""A task that nobody holds may be collected before it is done."""


Reply = Response | Stream

Handler = Callable[["Call"], Awaitable[Reply]]
"""The rest of the chain, as a stage sees it."""

Middleware = Callable[["Call", Handler], Awaitable[Reply]]
"""A stage: an async function of the call and the rest of the chain. One that has nothing to do with the reply may be a plain function
that returns what `call_next` gave it: its frame is not kept while the call waits.
"""


def when_done(reply: Reply, observer: Observer) -> Reply:
    """Run `observer(outcome)` exactly once: now for a response, at its end for a stream. Returns the reply."""
    if isinstance(reply, Stream):
        return reply.when_done(observer)
    notify(observer, completed(reply))
    return reply


async def observed(call: Call, call_next: Handler, observer: Observer) -> Reply:
    """`await call_next(call)`, with `observer(outcome)` run exactly once however it ends, an exception before output included."""
    try:
        reply = await call_next(call)
    except BaseException as error:
        notify(observer, Outcome(outcome_of(error), error=error))
        raise
    if isinstance(reply, Stream):
        return reply.when_done(observer)
    notify(observer, completed(reply))
    return reply
