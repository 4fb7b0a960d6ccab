"""Streams that nobody closes: dropped, and collected in whatever thread."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
from typing import Any

import pytest
from builders import Blocks, words

from glassway.pipeline.outcome import Outcome
from glassway.pipeline.stream import Stream
from glassway.pipeline.types import assemble_chat

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("small_heap")]


def dropped(source: Blocks, outcomes: list[Outcome]) -> list[Stream]:
    stream = Stream(source, assemble_chat, first=words("a"))
    stream.when_done(outcomes.append)
    return [stream]


async def turn_around() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_dropped_stream_is_abandoned_and_its_source_closed() -> None:
    source, outcomes = Blocks([]), []
    holder = dropped(source, outcomes)
    holder.clear()
    gc.collect()
    await turn_around()
    assert ([o.end for o in outcomes], source.closed) == (["abandoned"], 1)


async def test_a_stream_that_ended_is_not_abandoned_afterwards() -> None:
    source, outcomes = Blocks([]), []
    holder = dropped(source, outcomes)
    await holder[0].response()
    holder.clear()
    gc.collect()
    await turn_around()
    assert ([o.end for o in outcomes], source.closed) == (["completed"], 1)


async def test_a_stream_dropped_in_another_thread_closes_its_source_on_its_own_loop() -> None:
    loops: list[Any] = []

    class Telling(Blocks):
        async def aclose(self) -> None:
            loops.append(asyncio.get_running_loop())

    outcomes: list[Outcome] = []
    holder = dropped(Telling([]), outcomes)
    thread = threading.Thread(target=holder.clear)
    thread.start()
    await asyncio.to_thread(thread.join)
    await turn_around()
    assert loops == [asyncio.get_running_loop()]
    assert [o.end for o in outcomes] == ["abandoned"]


async def test_a_release_that_fails_after_a_drop_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    class Stuck(Blocks):
        async def aclose(self) -> None:
            raise OSError("cannot close")

    holder = dropped(Stuck([]), [])
    with caplog.at_level(logging.ERROR):
        holder.clear()
        await turn_around()
        gc.collect()
    assert "never retrieved" not in caplog.text
    assert "could not be released" in caplog.text


def test_a_stream_that_outlives_its_loop_is_abandoned_in_silence(caplog: pytest.LogCaptureFixture) -> None:
    outcomes: list[Outcome] = []

    async def make() -> list[Stream]:
        return dropped(Blocks([]), outcomes)

    holder = asyncio.run(make())
    holder.clear()
    gc.collect()
    assert [o.end for o in outcomes] == ["abandoned"]
    assert caplog.text == ""
