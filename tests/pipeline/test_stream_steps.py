"""What stages may do to a stream: map, through, observers, in whatever blocks the chunks arrive."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from typing import Any

import pytest
from builders import Blocks, read_texts, stream_of, texts, word, words
from hypothesis import given, settings
from hypothesis import strategies as st

from glassway.pipeline.errors import StreamInterruptedError
from glassway.pipeline.outcome import Outcome, observer_failures
from glassway.pipeline.stream import Stream
from glassway.pipeline.types import ChatChunk, assemble_chat

Rules = list[tuple[str, int]]


class Refused(Exception):  # noqa: N818 - what the step did
    pass


def step_of(kind: str, number: int) -> Any:
    """A step that keeps, drops, changes or refuses chunks that say `number`."""

    def step(chunk: ChatChunk) -> ChatChunk | None:
        if chunk.text.strip("!") != str(number):
            return chunk
        if kind == "raise":
            raise Refused(number)
        return None if kind == "drop" else word(f"{chunk.text}!")

    return step


def model_of(chunks: list[ChatChunk], steps: list[Any]) -> tuple[list[str], bool]:
    """The same by one plain loop: what comes out, and whether it ends with a refusal."""
    out: list[str] = []
    for chunk in chunks:
        try:
            for step in steps:
                if (chunk := step(chunk)) is None:
                    break
        except Refused:
            return out, True
        if chunk is not None:
            out.append(chunk.text)
    return out, False


def cut(chunks: list[ChatChunk], sizes: list[int]) -> list[list[ChatChunk]]:
    blocks, rest = [], list(chunks)
    for size in sizes:
        blocks.append(rest[:size])
        rest = rest[size:]
    return [block for block in [*blocks, rest] if block]


async def drained(stream: Stream) -> tuple[list[str], bool]:
    out: list[str] = []
    try:
        async for chunk in stream:
            out.append(chunk.text)
    except Refused:
        return out, True
    return out, False


async def as_it_comes(chunks: AsyncIterator[Any]) -> AsyncGenerator[Any, None]:
    async for chunk in chunks:
        yield chunk


rules = st.lists(st.tuples(st.sampled_from(["raise", "drop", "change"]), st.integers(0, 6)), max_size=4)


@settings(max_examples=150, deadline=None)
@given(
    numbers=st.lists(st.integers(0, 6), max_size=12),
    sizes=st.lists(st.integers(1, 5), max_size=6),
    rules=rules,
    held=st.integers(0, 4),
    primed=st.booleans(),
)
def test_any_cut_into_blocks_and_any_layering_says_what_a_plain_loop_says(
    numbers: list[int], sizes: list[int], rules: Rules, held: int, primed: bool
) -> None:
    chunks = words(*map(str, numbers))
    blocks = cut(chunks, sizes)
    steps = [step_of(*rule) for rule in rules]

    async def play() -> tuple[list[str], bool]:
        first = blocks.pop(0) if primed and blocks else ()
        stream = stream_of(*blocks, first=first)
        for position, step in enumerate(steps):
            if position == held:
                stream.through(as_it_comes)
            stream.map(step)
        return await drained(stream)

    assert asyncio.run(play()) == model_of(chunks, steps)


@pytest.mark.anyio
async def test_a_step_that_raises_is_the_streams_error_with_the_part_before_it() -> None:
    stream = stream_of(words("1", "2", "3")).map(step_of("raise", 3))
    outcomes: list[Outcome] = []
    stream.when_done(outcomes.append)
    assert await drained(stream) == (["1", "2"], True)
    assert outcomes[0].end == "interrupted"
    assert outcomes[0].response is not None
    assert outcomes[0].response.text == "12"


@pytest.mark.anyio
async def test_a_step_may_take_a_whole_block_and_what_it_gave_out_before_it_raised_is_heard() -> None:
    blocks: list[list[str]] = []

    def reversed_until_refused(block: Sequence[ChatChunk]) -> Iterator[ChatChunk]:
        blocks.append(texts(list(block)))
        for chunk in reversed(block):
            if chunk.text == "3":
                raise Refused
            yield chunk

    stream = stream_of(words("1", "2"), words("3", "4", "5")).map_blocks(reversed_until_refused)
    assert await drained(stream) == (["2", "1", "5", "4"], True)
    assert blocks == [["1", "2"], ["3", "4", "5"]]


@pytest.mark.anyio
async def test_a_step_for_blocks_gives_out_the_rest_at_the_end() -> None:
    held: list[ChatChunk] = []

    def hold(block: Sequence[ChatChunk]) -> list[ChatChunk]:
        held.extend(block)
        return []

    stream = stream_of(words("1", "2"), words("3")).map_blocks(hold, lambda: held).map(lambda chunk: [word("<"), chunk])
    assert await drained(stream) == (["<", "1", "<", "2", "<", "3"], False)


@pytest.mark.anyio
async def test_a_consumer_that_stops_before_the_bad_chunk_never_hears_of_it() -> None:
    stream = stream_of(words("1", "2")).map(step_of("raise", 2))
    await anext(stream)
    await stream.aclose()
    assert stream.outcome is not None
    assert (stream.outcome.end, stream.outcome.error) == ("closed", None)


@pytest.mark.anyio
async def test_through_may_hold_chunks_back_and_add_its_own() -> None:
    async def whole(chunks: AsyncIterator[Any]) -> AsyncGenerator[Any, None]:
        held = [chunk async for chunk in chunks]
        yield word("<")
        for chunk in held:
            yield chunk
        yield word(">")

    source = Blocks([words("a"), words("b", "c")])
    stream = Stream(source, assemble_chat).through(whole)
    assert (await anext(stream)).text == "<"
    assert source.reads == 3
    assert await read_texts(stream) == ["a", "b", "c", ">"]
    assert (await stream.response()).text == "<abc>"


@pytest.mark.anyio
async def test_a_generator_that_stops_early_completes_the_stream_and_releases_the_source() -> None:
    async def one(chunks: AsyncIterator[Any]) -> AsyncGenerator[Any, None]:
        yield await anext(chunks)

    source = Blocks([words("a", "b")])
    stream = Stream(source, assemble_chat).through(one)
    assert await read_texts(stream) == ["a"]
    assert source.closed >= 1


@pytest.mark.anyio
async def test_an_error_below_passes_through_a_generator_that_may_clean_up() -> None:
    cleaned: list[str] = []

    async def tidy(chunks: AsyncIterator[Any]) -> AsyncGenerator[Any, None]:
        try:
            async for chunk in chunks:
                yield chunk
        finally:
            cleaned.append("done")

    error = StreamInterruptedError("cut")
    stream = stream_of(words("a"), error).through(tidy)
    with pytest.raises(StreamInterruptedError) as caught:
        await read_texts(stream)
    assert caught.value is error
    assert cleaned == ["done"]


@pytest.mark.anyio
async def test_closing_runs_the_generators_clean_up_before_the_source_is_closed() -> None:
    order: list[str] = []

    class Telling(Blocks):
        async def aclose(self) -> None:
            order.append("source")

    async def tidy(chunks: AsyncIterator[Any]) -> AsyncGenerator[Any, None]:
        try:
            async for chunk in chunks:
                yield chunk
        finally:
            order.append("generator")

    stream = Stream(Telling([words("a", "b")]), assemble_chat).through(tidy)
    await anext(stream)
    await stream.aclose()
    assert order == ["generator", "source"]


@pytest.mark.anyio
async def test_observers_run_inner_first_and_one_that_raises_breaks_nothing(caplog: pytest.LogCaptureFixture) -> None:
    told: list[str] = []

    def bad_observer(_: Outcome) -> None:
        told.append("bad")
        raise ValueError("an observer's own trouble")

    before = observer_failures()
    stream = (
        stream_of(words("a"))
        .when_done(lambda _: told.append("inner"))
        .when_done(bad_observer)
        .when_done(lambda _: told.append("outer"))
    )
    assert texts([await anext(stream)]) == ["a"]
    assert await read_texts(stream) == []
    assert told == ["inner", "bad", "outer"]
    assert observer_failures() == before + 1
    assert "bad_observer" in caplog.text
