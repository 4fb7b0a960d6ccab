"""Callbacks: told exactly once, off the call's path, and never a danger to it."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from builders import make, running, server_error

from glassway.middlewares import Callbacks, CallEvent, Retry
from glassway.pipeline.errors import ConfigError
from glassway.pipeline.stream import Stream
from glassway.testing import Scripted
from glassway.testing.finalizers import ENDINGS, Ending, run_ending

pytestmark = pytest.mark.anyio


class Told:
    """A callback of either kind that remembers."""

    def __init__(self) -> None:
        self.events: list[CallEvent] = []
        self.threads: set[int] = set()

    def plain(self, event: CallEvent) -> None:
        self.events.append(event)
        self.threads.add(threading.get_ident())

    async def awaited(self, event: CallEvent) -> None:
        await asyncio.sleep(0)
        self.plain(event)

    @property
    def names(self) -> Counter[str]:
        return Counter(event.event for event in self.events)


@pytest.fixture(params=["plain", "awaited"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def everything(told: Told, kind: str = "plain", **settings: Any) -> Callbacks:
    sink: Callable[[Any], Any] = getattr(told, kind)
    return Callbacks(on_start=[sink], on_chunk=[sink], on_success=[sink], on_failure=[sink], **settings)


@pytest.mark.parametrize("ending", ENDINGS)
async def test_every_ending_is_told_exactly_once(ending: Ending, kind: str) -> None:
    told = Told()
    report = await run_ending(ending, lambda: [everything(told, kind)])
    report.assert_clean()
    name = "success" if report.record.end == "completed" else "failure"
    assert told.names["start"] == 1
    assert (told.names["success"], told.names["failure"]) == ((1, 0) if name == "success" else (0, 1))
    last = told.events[-1]
    assert (last.event, last.record) == (name, report.record)
    assert (last.error is None) == (report.record.error is None)


async def test_an_event_has_the_request_the_answer_and_the_complete_record(kind: str) -> None:
    told = Told()
    async with running([everything(told, kind)]) as setup:
        reply = await setup.answer()
    start, success = told.events
    assert start.request is success.request
    assert start.call_id == success.call_id == setup.record.call_id
    assert success.response is reply
    assert success.record is reply.record
    assert success.record is not None
    assert success.record.duration_s == reply.latency_s


async def test_chunks_are_told_in_order_and_unchanged(kind: str) -> None:
    told = Told()
    async with running([everything(told, kind)], [Scripted(text="a b", chunks_per_block=2)]) as setup:
        chunks = [chunk async for chunk in await setup.send(stream=True)]
    assert [event.chunk for event in told.events if event.event == "chunk"] == chunks


async def test_plain_functions_run_in_another_thread_and_async_ones_on_the_calls_loop() -> None:
    plain, awaited = Told(), Told()
    async with running([everything(plain), everything(awaited, "awaited")]) as setup:
        await setup.send()
    assert threading.get_ident() not in plain.threads
    assert awaited.threads == {threading.get_ident()}


async def test_one_that_raises_is_logged_and_stops_neither_the_call_nor_the_others(
    kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    told = Told()

    def bad(event: CallEvent) -> None:
        raise SystemExit(3)

    async def bad_awaited(event: CallEvent) -> None:
        raise asyncio.CancelledError

    sinks = [bad if kind == "plain" else bad_awaited, getattr(told, kind)]
    async with running([Callbacks(on_success=sinks)]) as setup:
        await setup.send()
        await setup.send()
    assert told.names["success"] == 2
    assert caplog.text.count("A callback raised") == 2


async def test_a_plain_function_that_hides_an_async_one_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    told = Told()
    async with running([Callbacks(on_success=[lambda event: told.awaited(event)])]) as setup:
        await setup.send()
    assert told.events == []
    assert "Declare it with `async def`" in caplog.text


async def test_an_object_with_an_async_call_is_async() -> None:
    told = Told()

    class Sink:
        async def __call__(self, event: CallEvent) -> None:
            await told.awaited(event)

    async with running([Callbacks(on_success=[Sink()])]) as setup:
        await setup.send()
    assert told.threads == {threading.get_ident()}


async def test_the_end_is_told_once_even_from_inside_retry() -> None:
    told = Told()
    async with running(
        [Retry(strategy="exponential"), everything(told)], [server_error(), server_error(), Scripted()]
    ) as setup:
        await setup.send()
    assert told.names == {"start": 3, "success": 1}


async def test_two_stages_are_told_each() -> None:
    one, two = Told(), Told()
    async with running([everything(one), everything(two)]) as setup:
        await setup.send()
    assert one.names == two.names == {"start": 1, "success": 1}


async def test_a_failed_stream_is_told_with_the_part_that_had_arrived() -> None:
    told = Told()
    async with running([Callbacks(on_failure=[told.plain])], [Scripted(text="a b c", after_chunks=3)]) as setup:
        reply = await setup.send(stream=True)
        assert isinstance(reply, Stream)
        with pytest.raises(Exception, match="cut"):
            await reply.response()
    [event] = told.events
    assert event.response is not None
    assert event.response.text == "a b "
    assert event.response.record is event.record


async def test_nothing_to_tell_makes_no_thread() -> None:
    before = threading.active_count()
    setup = make([Callbacks()])
    await setup.send()
    assert threading.active_count() == before


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"queue_size": 0}, "queue_size: expected at least 1"),
        ({"on_start": print}, "on_start: expected a list of functions"),
        ({"on_failure": ["langfuse"]}, "on_failure: expected a list of functions"),
        ({"on_chunk": "print"}, "on_chunk: expected a list of functions"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_is_no_list_of_functions_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Callbacks(**settings)
