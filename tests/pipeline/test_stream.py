"""What a consumer of a stream may rely on."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from builders import Blocks, read_texts, stream_of, texts, word, words

from glassway.pipeline.errors import APIConnectionError, StageError, StreamInterruptedError
from glassway.pipeline.outcome import Outcome
from glassway.pipeline.stream import Stream, when_done
from glassway.pipeline.types import Response, assemble_chat

pytestmark = pytest.mark.anyio


def noted(stream: Stream) -> list[Outcome]:
    outcomes: list[Outcome] = []
    stream.when_done(outcomes.append)
    return outcomes


async def test_iterating_gives_the_chunks_of_all_blocks() -> None:
    stream = stream_of(words("b", "c"), words("d"), first=words("a"))
    assert await read_texts(stream) == ["a", "b", "c", "d"]
    assert stream.outcome is not None
    assert stream.outcome.ok


async def test_reading_blocks_gives_them_as_they_came_and_then_nothing() -> None:
    stream = stream_of(words("b", "c"), first=words("a"))
    blocks = [texts(await stream.read_block()) for _ in range(4)]
    assert blocks == [["a"], ["b", "c"], [], []]


async def test_a_block_after_single_chunks_is_the_rest() -> None:
    stream = stream_of(words("a", "b", "c"))
    assert (await anext(stream)).text == "a"
    assert texts(await stream.read_block()) == ["b", "c"]


async def test_the_first_block_costs_no_read() -> None:
    source = Blocks([words("b")])
    stream = Stream(source, assemble_chat, first=words("a"))
    await anext(stream)
    assert source.reads == 0


async def test_response_reads_to_the_end_and_may_be_asked_again() -> None:
    stream = stream_of(words("a"), words("b", "c"))
    await anext(stream)
    whole = await stream.response()
    assert isinstance(whole, Response)
    assert whole.text == "abc"
    assert await stream.response() is whole


async def test_every_observer_shares_the_one_response() -> None:
    made: list[Any] = []

    def assemble(chunks: Any) -> Any:
        made.append(assemble_chat(chunks))
        return made[-1]

    stream = Stream(Blocks([words("a")]), assemble)
    outcomes = noted(stream) + noted(stream)
    whole = await stream.response()
    assert len(made) == 1
    assert all(outcome.response is whole for outcome in outcomes)


async def test_nothing_is_assembled_that_nobody_asks_for() -> None:
    def assemble(_: Any) -> Any:
        raise AssertionError

    stream = Stream(Blocks([words("a")]), assemble)
    noted(stream)
    assert await read_texts(stream) == ["a"]


async def test_an_empty_stream_is_complete_without_a_response() -> None:
    stream = stream_of()
    outcomes = noted(stream)
    with pytest.raises(StreamInterruptedError):
        await stream.response()
    assert [(o.end, o.chunks, o.response) for o in outcomes] == [("completed", 0, None)]


async def test_an_error_in_the_middle_brings_the_partial_response_of_the_outcome() -> None:
    error = StreamInterruptedError("cut")
    stream = stream_of(words("a", "b"), error)
    outcomes = noted(stream)
    with pytest.raises(StreamInterruptedError):
        await read_texts(stream)
    assert error.partial is not None
    assert error.partial.text == "ab"
    assert outcomes[0].response is error.partial
    assert (outcomes[0].end, outcomes[0].error, outcomes[0].chunks) == ("interrupted", error, 2)


async def test_response_raises_the_streams_error_each_time() -> None:
    error = APIConnectionError("gone")
    stream = stream_of(words("a"), error)
    for _ in range(2):
        with pytest.raises(APIConnectionError) as caught:
            await stream.response()
        assert caught.value is error


async def test_an_error_before_any_chunk_has_no_partial_response() -> None:
    error = APIConnectionError("gone")
    stream = stream_of(error)
    outcomes = noted(stream)
    with pytest.raises(APIConnectionError):
        await anext(stream)
    assert error.partial is None
    assert outcomes[0].end == "failed"


async def test_after_an_error_the_iteration_is_over() -> None:
    stream = stream_of(words("a"), APIConnectionError("gone"), words("b"))
    with pytest.raises(APIConnectionError):
        await read_texts(stream)
    assert await read_texts(stream) == []


async def test_chunks_that_cannot_be_assembled_neither_hide_the_error_nor_hold_the_source(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def assemble(_: Any) -> Any:
        raise ValueError("no response can be made of this")

    source = Blocks([words("a"), StreamInterruptedError("cut")])
    stream = Stream(source, assemble)
    outcomes = noted(stream)
    with pytest.raises(StreamInterruptedError):
        await read_texts(stream)
    assert (len(outcomes), source.closed) == (1, 1)
    assert "observer raised" in caplog.text


async def test_closing_is_told_once_and_ends_the_iteration() -> None:
    source = Blocks([words("a", "b"), words("c")])
    stream = Stream(source, assemble_chat)
    outcomes = noted(stream)
    async with stream:
        await anext(stream)
        await stream.aclose()
        await stream.aclose()
    assert await read_texts(stream) == []
    assert [(o.end, source.closed) for o in outcomes] == [("closed", 1)]
    assert outcomes[0].response is not None
    assert outcomes[0].response.text == "ab"


async def test_a_closed_stream_has_no_whole_response() -> None:
    stream = stream_of(words("a"), words("b"))
    await anext(stream)
    await stream.aclose()
    with pytest.raises(StreamInterruptedError, match="closed before its end"):
        await stream.response()


async def test_an_observer_that_comes_late_is_told_at_once() -> None:
    stream = stream_of(words("a"))
    await stream.response()
    [outcome] = noted(stream)
    assert outcome is stream.outcome


async def test_two_tasks_cannot_read_one_stream() -> None:
    gate = asyncio.Event()

    class Waiting(Blocks):
        async def read(self) -> Any:
            await gate.wait()
            return await super().read()

    stream = Stream(Waiting([words("a")]), assemble_chat)
    first = asyncio.create_task(stream.response())
    await asyncio.sleep(0)
    with pytest.raises(StageError, match="one task at a time"):
        await anext(stream)
    gate.set()
    assert (await first).text == "a"


async def test_closing_while_another_task_reads_ends_both() -> None:
    gate = asyncio.Event()

    async def held(chunks: Any) -> Any:
        async for chunk in chunks:
            yield chunk

    class Waiting(Blocks):
        async def read(self) -> Any:
            await gate.wait()
            return await super().read()

    source = Waiting([words("a")])
    stream = Stream(source, assemble_chat).through(held)
    reader = asyncio.create_task(read_texts(stream))
    await asyncio.sleep(0)
    await stream.aclose()
    gate.set()
    assert await reader == []
    assert source.closed >= 1
    assert stream.outcome is not None
    assert stream.outcome.end == "closed"


async def test_cancelling_the_reader_is_the_end_and_releases_the_source() -> None:
    class Waiting(Blocks):
        async def read(self) -> Any:
            await asyncio.Event().wait()

    source = Waiting([])
    stream = Stream(source, assemble_chat, first=words("a"))
    outcomes = noted(stream)
    task = asyncio.create_task(stream.response())
    await asyncio.sleep(0.0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [(o.end, source.closed) for o in outcomes] == [("cancelled", 1)]
    assert outcomes[0].response is not None
    assert outcomes[0].response.text == "a"


async def test_a_failure_of_the_release_is_the_consumers_to_see_but_not_a_second_end() -> None:
    class Stuck(Blocks):
        async def aclose(self) -> None:
            raise OSError("cannot close")

    stream = Stream(Stuck([words("a")]), assemble_chat)
    outcomes = noted(stream)
    with pytest.raises(OSError, match="cannot close"):
        await read_texts(stream)
    assert [o.end for o in outcomes] == ["completed"]


async def test_when_done_of_a_response_is_at_once() -> None:
    outcomes: list[Outcome] = []
    response = assemble_chat([word("a")])
    assert when_done(response, outcomes.append) is response
    assert [(o.end, o.response, o.ok) for o in outcomes] == [("completed", response, True)]
