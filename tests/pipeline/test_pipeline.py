"""One pipeline: what it accepts, what it hands out, and its life."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pytest
from builders import answer, ask, make, read_texts, running, server_error, stage

from glassway import CallOptions, Pipeline
from glassway.pipeline.call import Call
from glassway.pipeline.errors import APITimeoutError, ConfigError, PlanError, StageError
from glassway.pipeline.facts import Slot, Trail
from glassway.pipeline.stream import Handler, Reply, Stream
from glassway.pipeline.types import ChatResponse, Usage
from glassway.testing import FakeClock, FakeProvider, Scripted

pytestmark = pytest.mark.anyio

METERING = [pytest.param(None, id="metered"), pytest.param(False, id="bare")]


@pytest.mark.parametrize("telemetry", METERING)
async def test_the_answer_carries_its_record(telemetry: Any) -> None:
    async with running(telemetry=telemetry) as setup:
        reply = await setup.answer()
        assert reply.record is setup.record
        assert setup.ends.outcomes[0].response is reply
        assert (reply.provider, reply.request_id) == ("fake", "req-1")
        assert setup.record.usage == Usage(prompt_tokens=10, completion_tokens=5, total_tokens=15)


@pytest.mark.parametrize("telemetry", METERING)
async def test_a_streams_response_carries_it_too(telemetry: Any) -> None:
    async with running(telemetry=telemetry) as setup:
        reply = await setup.send(stream=True)
        assert setup.pipeline.in_flight == 1
        whole = await reply.response()
        assert whole.record is setup.record
        assert setup.pipeline.in_flight == 0


async def test_an_answer_that_serves_two_calls_carries_each_calls_record() -> None:
    shared = answer()

    async def keep(call: Any, call_next: Any) -> Any:
        return shared

    setup = make([keep])
    first, second = await setup.answer(), await setup.answer()
    assert [first.record, second.record] == setup.ends.records
    assert [outcome.response for outcome in setup.ends.outcomes] == [first, second]
    assert setup.ends.outcomes[1].response is second


async def test_a_partial_response_of_an_error_carries_the_record() -> None:
    setup = make([], [Scripted(after_chunks=3)])
    with pytest.raises(Exception, match="cut") as caught:
        await setup.answer(stream=True)
    assert caught.value.partial.record is setup.record  # type: ignore[attr-defined]


@pytest.mark.parametrize("telemetry", METERING)
async def test_a_stage_that_returns_no_reply_is_named(telemetry: Any) -> None:
    async def forgetful(call: Any, call_next: Any) -> Any:
        await call_next(call)

    setup = make([stage(forgetful, "forgetful")], telemetry=telemetry)
    with pytest.raises(StageError, match=r"'forgetful' returned NoneType.*`return await call_next"):
        await setup.send()


@pytest.mark.parametrize("telemetry", METERING)
async def test_a_provider_that_returns_no_reply_is_named(telemetry: Any) -> None:
    async def silent(call: Any) -> Any:
        return None

    with pytest.raises(StageError, match="'provider' returned NoneType"):
        await Pipeline([], silent, telemetry=telemetry).send(ask())


@pytest.mark.parametrize("telemetry", METERING)
@pytest.mark.parametrize("inner", [False, True], ids=["innermost", "with a stage inside"])
async def test_a_stage_that_goes_on_after_the_call_is_stopped(telemetry: Any, inner: bool) -> None:
    async def passing(call: Any, call_next: Any) -> Any:
        return await call_next(call)

    later: list[Any] = []

    async def hasty(call: Any, call_next: Any) -> Any:
        later.append(lambda: call_next(call))
        return await call_next(call)

    setup = make([hasty, *([passing] if inner else [])], telemetry=telemetry)
    await setup.send()
    with pytest.raises(StageError, match="after it had returned or after the call had ended"):
        await later[0]()
    assert len(setup.provider.calls) == 1


async def test_bare_model_names_go_to_the_first_provider_and_prefixes_choose() -> None:
    one, two = FakeProvider(name="one"), FakeProvider(name="two")
    pipeline = Pipeline([], providers=[one, two])
    for model in ("m", "two/m", "meta/m"):
        await pipeline.send(ask(model=model))
    assert [call.target for call in one.calls] == [("one", "m"), ("one", "meta/m")]
    assert [call.target for call in two.calls] == [("two", "m")]
    assert list(pipeline.providers) == ["one", "two"]


async def test_a_provider_that_is_not_there_is_named() -> None:
    async def astray(call: Any, call_next: Any) -> Any:
        return await call_next(call.with_target(type(call.target)("nowhere", "m")))

    with pytest.raises(PlanError, match="No provider 'nowhere' in this pipeline; it has fake"):
        await make([astray]).send()


async def test_without_providers_the_first_call_says_so() -> None:
    with pytest.raises(PlanError, match="has no provider"):
        await Pipeline([]).send(ask())


async def test_facts_are_shared_by_all_views_and_end_in_the_record() -> None:
    colour, steps = Slot[str]("colour", ""), Trail[int]("steps", "")

    async def outer(call: Any, call_next: Any) -> Any:
        call.add(steps, 1)
        reply = await call_next(call.with_request(call.request.but(user="u")).within(5))
        assert (call.get(colour), call.trail(steps)) == ("blue", (1, 2))
        return reply

    async def inner(call: Any, call_next: Any) -> Any:
        assert call.get(colour) is None
        call.set(colour, "red")
        call.set(colour, "blue")
        call.add(steps, 2)
        return await call_next(call)

    setup = make([outer, inner])
    await setup.send()
    assert (setup.record.get(colour), setup.record.get(steps), setup.record.get(Trail("none", ""))) == (
        "blue",
        (1, 2),
        (),
    )
    assert setup.record.to_dict()["facts"]["steps"] == [1, 2]
    assert setup.provider.calls[0].request.user == "u"  # type: ignore[attr-defined]
    assert repr(colour) == "Slot('colour')"


async def test_a_deadline_only_moves_nearer() -> None:
    seen: list[float | None] = []

    async def look(call: Any, call_next: Any) -> Any:
        seen.extend(view.remaining_s() for view in (call, call.within(500), call.within(5), call.within(5).within(50)))
        return await call_next(call)

    setup = make([look])
    await setup.send(CallOptions(timeout_s=10))
    assert seen == [10, 10, 5, 5]


async def test_a_call_without_a_deadline_has_all_the_time() -> None:
    setup = make([], [Scripted(delay_s=10**6)], timeout_s=None)
    await setup.send()
    assert setup.clock.slept_s == 10**6
    assert setup.provider.calls[0].remaining_s() is None


async def test_past_the_deadline_nothing_is_sent() -> None:
    async def dawdle(call: Any, call_next: Any) -> Any:
        await call.clock.sleep(99)
        return await call_next(call)

    setup = make([dawdle])
    with pytest.raises(APITimeoutError, match="deadline passed"):
        await setup.send(CallOptions(timeout_s=1))
    assert setup.provider.calls == []


async def test_what_telemetry_or_a_listener_does_wrong_is_not_the_callers(caplog: pytest.LogCaptureFixture) -> None:
    async def listening(call: Any, call_next: Any) -> Any:
        call.when_recorded(broken_listener)
        return await call_next(call)

    def broken_listener(record: Any, outcome: Any) -> None:
        raise ValueError

    assert (await make([listening]).answer()).text
    assert "broken_listener" in caplog.text


@dataclass
class Part:
    """A stage or provider with a life."""

    log: list[str]
    name: str = "part"
    fails: str = ""
    answers: Any = field(default_factory=answer)

    async def __call__(self, call: Any, call_next: Any = None) -> Any:
        return await call_next(call) if call_next else self.answers

    async def open(self) -> None:
        self.log.append(f"open {self.name}")
        if self.fails == "open":
            raise OSError(self.name)

    async def aclose(self) -> None:
        self.log.append(f"close {self.name}")
        if self.fails == "close":
            raise OSError(self.name)


async def test_parts_are_opened_once_and_closed_stages_first() -> None:
    log: list[str] = []
    pipeline = Pipeline([Part(log, "outer"), Part(log, "inner")], Part(log, "vendor"))
    async with pipeline:
        await asyncio.gather(pipeline.send(ask()), pipeline.send(ask()))
    await pipeline.aclose()
    assert log == ["open vendor", "open outer", "open inner", "close inner", "close outer", "close vendor"]


async def test_the_first_calls_open_it_once() -> None:
    log: list[str] = []
    pipeline = Pipeline([], Part(log))
    await asyncio.gather(pipeline.send(ask()), pipeline.send(ask()))
    assert log == ["open part"]


async def test_what_was_opened_is_closed_when_a_later_part_cannot_be() -> None:
    log: list[str] = []
    pipeline = Pipeline([Part(log, "stage", fails="open")], Part(log, "vendor"))
    with pytest.raises(OSError, match="stage"):
        await pipeline.open()
    assert log == ["open vendor", "open stage", "close stage", "close vendor"]


async def test_one_part_that_cannot_be_closed_does_not_keep_the_others_open() -> None:
    log: list[str] = []
    pipeline = Pipeline([Part(log, "stage", fails="close")], Part(log, "vendor"))
    await pipeline.open()
    with pytest.raises(OSError, match="stage"):
        await pipeline.aclose()
    assert log[-1] == "close vendor"


async def test_a_closed_pipeline_takes_no_calls() -> None:
    setup = make()
    await setup.pipeline.aclose()
    for use in (setup.send(), setup.pipeline.open(), setup.pipeline.aexplain(ask())):
        with pytest.raises(ConfigError, match="This pipeline is closed"):
            await use


async def test_many_calls_at_once_keep_apart() -> None:
    setup = make([], [Scripted(delay_s=1)], clock=FakeClock())
    replies = await asyncio.gather(*(setup.answer(text=str(number), stream=number % 2 == 0) for number in range(20)))
    assert len({reply.record.call_id for reply in replies if reply.record}) == 20
    assert setup.pipeline.in_flight == 0


async def test_a_failed_call_is_no_longer_in_flight() -> None:
    setup = make([], [server_error()])
    with pytest.raises(Exception, match="failed"):
        await setup.send()
    assert setup.pipeline.in_flight == 0


async def test_a_stream_gives_the_same_as_the_unary_answer() -> None:
    setup = make([], [Scripted(text="one two three")])
    unary, reply = await setup.answer(), await setup.send(stream=True)
    assert isinstance(reply, Stream)
    assert "".join(await read_texts(reply)) == unary.text
    assert (await reply.response()).to_dict() == unary.to_dict()


class SlowToOpen:
    """A stage that takes its time to open, and counts."""

    def __init__(self, error: Exception | None = None) -> None:
        self.opened = 0
        self._error = error

    async def open(self) -> None:
        self.opened += 1
        await asyncio.sleep(0.05)
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    async def aclose(self) -> None: ...

    async def __call__(self, call: Call, call_next: Handler) -> Reply:
        return await call_next(call)


def on_loops_of_their_own(pipeline: Pipeline, loops: int, tasks: int) -> list[object]:
    """What so many calls come to that begin at once, on each of so many event loops."""
    begin = threading.Barrier(loops)

    async def several() -> list[object]:
        begin.wait()
        return list(await asyncio.gather(*(pipeline.send(ask()) for _ in range(tasks)), return_exceptions=True))

    with ThreadPoolExecutor(loops) as threads:
        return [one for each in threads.map(lambda _: asyncio.run(several()), range(loops)) for one in each]


def test_first_calls_on_several_event_loops_open_it_once() -> None:
    stage = SlowToOpen()
    pipeline = Pipeline([stage], FakeProvider([Scripted()]))
    assert [type(one) for one in on_loops_of_their_own(pipeline, 4, 8)] == [ChatResponse] * 32
    assert stage.opened == 1


def test_where_opening_fails_the_next_of_them_tries() -> None:
    stage = SlowToOpen(ConfigError("not this time"))
    pipeline = Pipeline([stage], FakeProvider([Scripted()]))
    ends = on_loops_of_their_own(pipeline, 4, 2)
    assert sorted(type(one).__name__ for one in ends) == ["ChatResponse"] * 7 + ["ConfigError"]
    assert stage.opened == 2


async def test_a_call_that_is_cancelled_while_another_opens_passes_its_turn_on() -> None:
    stage = SlowToOpen(ConfigError("not this time"))
    pipeline = Pipeline([stage], FakeProvider([Scripted()]))
    calls = [asyncio.ensure_future(pipeline.send(ask())) for _ in range(4)]
    await asyncio.sleep(0.02)
    calls[1].cancel()  # next in line
    ends = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(one).__name__ for one in ends] == ["ConfigError", "CancelledError", "ChatResponse", "ChatResponse"]
    assert stage.opened == 2
