"""A batch at work."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Iterator, Sequence
from contextlib import aclosing, nullcontext
from dataclasses import dataclass
from decimal import Decimal
from types import TracebackType
from typing import Any, Literal, Self, get_args

from ..call import CallOptions
from ..clock import SYSTEM_CLOCK, Clock
from ..errors import ConfigError, GlasswayError
from ..portal import portal, run_sync
from ..stream import Reply, Stream
from ..types import Request, Response
from .gate import FOR_ALL, Gate, wait_for
from .journal import Journal
from .lines import BatchRequest, BatchResult
from .progress import BatchProgress, OnProgress, bar

Order = Literal["completed", "given"]
Send = Callable[[Request, CallOptions], Awaitable[Reply]]

_AHEAD = 8
"""Results that may wait to be read, for each request that may be under way."""

logger = logging.getLogger("glassway")


@dataclass(frozen=True, slots=True)
class BatchSettings:
    """How a batch is run."""

    concurrency: int = 16
    """Requests under way at once."""
    order: Order = "completed"
    """Results as they come, or in the order of the requests: then those that are early wait, and the output is sorted at the end."""
    tries: int = 5
    """How often a request goes through the pipeline while its failures may pass: limits, overload, timeouts. What `Retry` does is inside each of them."""
    longest_pause_s: float = 600.0
    """A limit that asks for a longer wait is a failure."""
    max_failures: int | None = None
    """After so many no further request is begun; those that are left are asked by the next run."""
    progress: bool | OnProgress = False
    """True shows a bar on standard error; or a function that gets a `BatchProgress` after every result."""

    def __post_init__(self) -> None:
        for name in ("concurrency", "tries", "max_failures"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                raise ConfigError(f"batch: {name}: expected a whole number from 1, found {value!r}.")
        if self.order not in get_args(Order):
            raise ConfigError(f"batch: order: expected completed or given, found {self.order!r}.")
        if not self.longest_pause_s >= 0:
            raise ConfigError(f"batch: longest_pause_s: expected seconds from 0, found {self.longest_pause_s!r}.")


class Batch:
    """Many requests, run when it is iterated (`for`, `async for`) or waited for (`wait()`, `await`): each result once, as `BatchResult`.

    Breaking off, in a `with` block or by cancellation, ends the requests under way. With an output, everything that was
    answered by then is kept, and the same batch goes on from there. A batch is run once.
    """

    def __init__(
        self,
        send: Send,
        requests: Sequence[BatchRequest],
        output: Journal | None = None,
        settings: BatchSettings = BatchSettings(),
        *,
        resume: bool = True,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._send = send
        self._requests = requests
        self._journal = output
        self._resume = resume
        self._settings = settings
        self._clock = clock
        self._gate = Gate(clock)
        self._run: AsyncGenerator[BatchResult, None] | None = None
        self._closing = asyncio.Lock()
        self._tell: OnProgress | None = None
        self._progress = BatchProgress(len(requests))
        self.stopped = False
        """Whether `max_failures` ended it."""

    @property
    def progress(self) -> BatchProgress:
        """How far it is."""
        return self._progress._replace(paused_s=self._gate.closed_s)

    # -- ways to run it

    def __aiter__(self) -> AsyncIterator[BatchResult]:
        return self._begin()

    def __iter__(self) -> Iterator[BatchResult]:
        run = self._begin()
        try:
            while (result := run_sync(_next, run)) is not None:
                yield result
        except GeneratorExit:  # also by the garbage collector, on any thread: nobody may wait here
            portal().start_task_soon(self.aclose)
            raise

    def wait(self) -> BatchProgress:
        """Run it to its end; what it came to."""
        return run_sync(self._to_the_end)

    def __await__(self) -> Generator[Any, None, BatchProgress]:
        return self._to_the_end().__await__()

    async def aclose(self) -> None:
        """Break off: cancel what is under way and let the output go."""
        async with self._closing:  # whoever left a loop over it may have begun to
            if self._run is not None:
                await self._run.aclose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        run_sync(self.aclose)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def _to_the_end(self) -> BatchProgress:
        async with aclosing(self._begin()) as run:
            async for _ in run:
                pass
        return self.progress

    def _begin(self) -> AsyncGenerator[BatchResult, None]:
        if self._run is not None:
            raise ConfigError(
                "A batch is run once. Make another; with the same output it goes on where this one ended."
            )
        self._run = self._results()
        return self._run

    # -- inside

    async def _results(self) -> AsyncGenerator[BatchResult, None]:
        shown = self._settings.progress
        with bar(len(self._requests)) if shown is True else nullcontext(shown or None) as self._tell:
            try:
                left = self._left()
                self._told()
                async with aclosing(_Workers(self, left).results()) as results:
                    async for result in results:
                        yield result
                if self._journal is not None and self._settings.order == "given":
                    self._journal.sort(self._requests)
            finally:
                if self._journal is not None:
                    self._journal.close()

    def _left(self) -> list[int]:
        """The places of the requests that have no answer yet."""
        done: frozenset[str] = frozenset()
        if self._journal is not None:
            done = self._journal.open(self._requests, resume=self._resume)
        self._progress = self._progress._replace(succeeded=len(done), resumed=len(done))
        return [place for place, request in enumerate(self._requests) if request.custom_id not in done]

    def _told(self) -> None:
        if self._tell is not None:
            self._tell(self.progress)

    async def _ask(self, place: int) -> BatchResult:
        request = self._requests[place]
        self._moved(+1)
        spent: Decimal | None = Decimal(0)
        number = 0
        try:
            while True:
                number += 1
                await self._gate.passed()
                response, error = await _outcome(self._send, request)
                spent = _sum(spent, response, error)
                if error is None or not await self._waited(error, number):
                    return BatchResult(request.custom_id, place, response, error, number, spent, request.digest)
        finally:
            self._moved(-1)

    async def _waited(self, error: GlasswayError, number: int) -> bool:
        """Whether another try may follow, which it does when this returns."""
        wait_s = wait_for(error, number)
        if wait_s is None or number >= self._settings.tries or wait_s > self._settings.longest_pause_s:
            return False
        if error.kind in FOR_ALL:
            self._gate.close(wait_s)
            self._told()
        else:
            await self._clock.sleep(wait_s)
        return True

    def _moved(self, by: int) -> None:
        self._progress = self._progress._replace(in_flight=self._progress.in_flight + by)

    def _keep(self, result: BatchResult) -> None:
        """A result is on disk before anybody hears of it."""
        if self._journal is not None:
            self._journal.write(result)
        self._progress = self._progress.after(result)
        most = self._settings.max_failures
        self.stopped = most is not None and self._progress.failed >= most
        self._told()


class _Workers:
    """Tasks that take one request after the other."""

    def __init__(self, batch: Batch, places: Sequence[int]) -> None:
        self._batch = batch
        self._places = iter(places)
        self._order = list(places)
        settings = batch._settings  # noqa: SLF001 - one thing in two classes
        self._given = settings.order == "given"
        self._number = min(settings.concurrency, len(places))
        self._room = asyncio.Semaphore(settings.concurrency * _AHEAD)
        self._done: asyncio.Queue[BatchResult | BaseException | None] = asyncio.Queue()

    async def results(self) -> AsyncGenerator[BatchResult, None]:
        """In the order that was asked for. Ends all tasks when it ends."""
        tasks = [asyncio.create_task(self._work()) for _ in range(self._number)]
        try:
            async for result in self._sorted() if self._given else self._arriving():
                yield result
                self._room.release()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _work(self) -> None:
        try:
            while await self._room.acquire() and not self._batch.stopped:
                place = next(self._places, None)
                if place is None:
                    break
                result = await self._batch._ask(place)  # noqa: SLF001 - as above
                self._batch._keep(result)  # noqa: SLF001 - as above
                self._done.put_nowait(result)
        except Exception as error:  # noqa: BLE001 - a full disk, a mistake of ours: raised where the results are read
            self._done.put_nowait(error)
        self._room.release()
        self._done.put_nowait(None)

    async def _arriving(self) -> AsyncGenerator[BatchResult, None]:
        at_work = self._number
        while at_work:
            found = await self._done.get()
            if isinstance(found, BaseException):
                raise found
            if found is None:
                at_work -= 1
            else:
                yield found

    async def _sorted(self) -> AsyncGenerator[BatchResult, None]:
        order, early = iter(self._order), dict[int, BatchResult]()
        due = next(order, None)
        async for result in self._arriving():
            early[result.index] = result
            while due in early:
                yield early.pop(due)
                due = next(order, None)
        for place in sorted(early):  # of a batch that was stopped: some before them were never asked
            yield early[place]


async def _next(run: AsyncGenerator[BatchResult, None]) -> BatchResult | None:
    return await anext(run, None)


async def _outcome(send: Send, request: BatchRequest) -> tuple[Response | None, GlasswayError | None]:
    try:
        reply = await send(request.request, request.options)
        return (await reply.response() if isinstance(reply, Stream) else reply), None
    except GlasswayError as error:
        return None, error
    except Exception as error:
        logger.exception("A request of a batch raised (%s); the others go on.", request.custom_id)
        return None, GlasswayError(f"A stage or a provider raised {type(error).__name__}. The log has its traceback.")


def _sum(spent: Decimal | None, response: Response | None, error: GlasswayError | None) -> Decimal | None:
    """None stays None: what is unknown in part is unknown."""
    record = response.record if response is not None else error.record if error is not None else None
    cost = record.cost_usd if record is not None else None
    return None if spent is None or cost is None else spent + cost
