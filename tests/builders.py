"""Short ways to the things that most tests need."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from glassway.pipeline.call import NO_OPTIONS, Call, CallOptions
from glassway.pipeline.errors import InternalServerError
from glassway.pipeline.outcome import Outcome
from glassway.pipeline.pipeline import Pipeline
from glassway.pipeline.record import Record
from glassway.pipeline.stream import Block, Handler, Reply, Stream
from glassway.pipeline.types import (
    ChatChunk,
    ChatRequest,
    ChatResponse,
    Choice,
    ChoiceDelta,
    Delta,
    Message,
    assemble_chat,
)
from glassway.testing import FakeClock, FakeProvider, Scripted


def ask(text: str = "Hi", *, model: str = "fake-model", **fields: Any) -> ChatRequest:
    """A request with one user message."""
    return ChatRequest(model=model, messages=(Message(role="user", content=text),), **fields)


def answer(text: str = "Hello", **fields: Any) -> ChatResponse:
    """A whole response."""
    message = Message(role="assistant", content=text)
    return ChatResponse(model="fake-model", choices=(Choice(message=message, finish_reason="stop"),), **fields)


def word(text: str) -> ChatChunk:
    """A chunk with text."""
    return ChatChunk(choices=(ChoiceDelta(delta=Delta(content=text)),))


def words(*texts: str) -> list[ChatChunk]:
    """Chunks with text."""
    return [word(text) for text in texts]


def texts(chunks: Iterable[ChatChunk]) -> list[str]:
    """What the chunks say."""
    return [chunk.text for chunk in chunks]


def server_error(**context: Any) -> InternalServerError:
    """A failure that is worth another try."""
    return InternalServerError("The vendor failed.", status_code=500, **context)


@dataclass
class Blocks:
    """A source of given blocks; an exception in the list is raised in its turn."""

    blocks: list[Any]
    clock: FakeClock | None = None
    delay_s: float = 0.0
    closed: int = 0
    reads: int = 0

    async def read(self) -> Block:
        self.reads += 1
        if self.clock is not None and self.delay_s:
            await self.clock.sleep(self.delay_s)
        block = self.blocks.pop(0) if self.blocks else ()
        if isinstance(block, BaseException):
            raise block
        return block

    async def aclose(self) -> None:
        self.closed += 1


def stream_of(*blocks: Any, first: Block = ()) -> Stream:
    """A stream of these blocks."""
    return Stream(Blocks(list(blocks)), assemble_chat, first=first)


async def read_texts(stream: Stream) -> list[str]:
    """Iterate to the end."""
    return [chunk.text async for chunk in stream]


@dataclass
class Ends:
    """A stage that notes how each call ended."""

    def __post_init__(self) -> None:
        self.records: list[Record] = []
        self.outcomes: list[Outcome] = []

    async def __call__(self, call: Call, call_next: Handler) -> Reply:
        call.when_recorded(self._note)
        return await call_next(call)

    def _note(self, record: Record, outcome: Outcome) -> None:
        self.records.append(record)
        self.outcomes.append(outcome)

    @property
    def record(self) -> Record:
        """The only one."""
        [record] = self.records
        return record


@dataclass
class Setup:
    """A pipeline with what it was made of."""

    pipeline: Pipeline
    provider: FakeProvider
    clock: FakeClock
    ends: Ends

    async def send(self, options: CallOptions = NO_OPTIONS, **fields: Any) -> Any:
        """One call; a stream is handed out unread."""
        return await self.pipeline.send(ask(**fields), options)

    async def answer(self, options: CallOptions = NO_OPTIONS, **fields: Any) -> ChatResponse:
        """One call, streams read to their end."""
        reply = await self.send(options, **fields)
        return await reply.response() if isinstance(reply, Stream) else reply

    @property
    def record(self) -> Record:
        """The only call's."""
        return self.ends.record


def make(
    stages: Sequence[Any] = (),
    answers: Sequence[Any] = (Scripted(),),
    *,
    clock: FakeClock | None = None,
    telemetry: Any = None,
    **settings: Any,
) -> Setup:
    """A pipeline of `stages` in front of a scripted provider."""
    clock, provider, ends = clock or FakeClock(), FakeProvider(answers), Ends()
    pipeline = Pipeline([ends, *stages], provider, clock=clock, telemetry=telemetry, **settings)
    return Setup(pipeline, provider, clock, ends)


@asynccontextmanager
async def running(*args: Any, **settings: Any) -> AsyncIterator[Setup]:
    """`make`, closed at the end."""
    setup = make(*args, **settings)
    async with setup.pipeline:
        yield setup


def stage(function: Callable[[Call, Handler], Awaitable[Any]], name: str = "stage") -> Any:
    """A function as a stage of that name."""
    function.__name__ = name
    return function
