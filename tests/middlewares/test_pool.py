"""Pools of places: never more calls at once, first come first served, nothing leaks."""

from __future__ import annotations

import asyncio
import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from builders import Setup, ask, make, server_error
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from glassway import CallOptions, Client, Pipeline
from glassway.middlewares import Cache, Fallback, Pool, PoolOf, PoolStats, Retry
from glassway.pipeline.config import Config
from glassway.pipeline.errors import ConfigError, QueueFull
from glassway.pipeline.facts import POOLS
from glassway.testing import FakeClock, FakeProvider, Scripted
from glassway.testing.telemetry import assert_conformant, record_telemetry

pytestmark = pytest.mark.anyio

SLOW = (Scripted(delay_s=1),)


def pooled(answers: Any = SLOW, **given: Any) -> Setup:
    return make([Pool(**{"size": 2, **given})], answers, telemetry=False, timeout_s=None)


def view(setup: Setup, name: str = "all") -> Any:
    return setup.pipeline.stages["Pool"].views[name]  # type: ignore[attr-defined]


async def outcome(setup: Setup, **fields: Any) -> str:
    try:
        await setup.answer(**fields)
    except QueueFull:
        return "full"
    return "ok"


async def settled() -> None:
    """Everything that can happen now has happened, and the clock has not moved."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_no_more_are_under_way_than_there_are_places() -> None:
    setup = pooled()
    tasks = [asyncio.create_task(setup.answer(text=str(number))) for number in range(6)]
    await settled()
    assert (len(setup.provider.calls), view(setup).stats().waiting) == (2, 4)
    await asyncio.gather(*tasks)
    assert setup.clock.slept_s == 3
    assert [call.request.messages[0].text for call in setup.provider.calls] == list("012345")  # type: ignore[attr-defined]
    assert [record.get(POOLS)[0].waited_s for record in setup.ends.records] == [0, 0, 1, 1, 2, 2]


async def test_a_stream_keeps_its_place_to_its_end() -> None:
    setup = pooled([Scripted()], size=1)
    stream = await setup.send(stream=True)
    task = asyncio.create_task(setup.answer())
    await settled()
    assert not task.done()
    await stream.response()
    assert (await task).text


@pytest.mark.parametrize("ending", ["closed", "dropped", "failed", "cut", "cancelled"])
async def test_however_it_ends_its_place_is_given_back_once(ending: str) -> None:
    answers = {"failed": [server_error()], "cut": [Scripted(after_chunks=1)]}.get(ending, [Scripted(gap_s=5)])
    setup = pooled([*answers, Scripted()], size=1)
    if ending == "failed":
        with pytest.raises(Exception, match="failed"):
            await setup.answer()
    else:
        stream = await setup.send(stream=True)
        if ending == "closed":
            await stream.aclose()
        elif ending == "cut":
            with pytest.raises(Exception, match="cut"):
                await stream.response()
        elif ending == "cancelled":
            task = asyncio.create_task(stream.response())
            await settled()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        del stream
        await settled()
    assert view(setup).stats()[:4] == ("all", 1, 0, 0)
    assert await outcome(setup) == "ok"
    assert view(setup).stats().served == 2


async def test_a_full_queue_refuses_at_once() -> None:
    setup = pooled(size=1, queue=2)
    assert sorted(await asyncio.gather(*(outcome(setup) for _ in range(5)))) == ["full"] * 2 + ["ok"] * 3
    assert view(setup).stats().refused == 2


async def test_nobody_waits_longer_than_allowed() -> None:
    setup = pooled([Scripted(delay_s=100)], size=1, queue_timeout_s=7)
    first = asyncio.create_task(setup.answer())
    await settled()
    with pytest.raises(QueueFull, match="had no place within 7 s") as caught:
        await setup.answer()
    assert caught.value.retryable
    assert view(setup).stats().timed_out == 1
    await first


async def test_nor_beyond_the_deadline() -> None:
    setup = pooled([Scripted(delay_s=100)], size=1)
    first = asyncio.create_task(setup.answer())
    await settled()
    began_ns = setup.clock.now_ns()
    with pytest.raises(QueueFull):
        await setup.answer(CallOptions(timeout_s=3))
    assert (setup.clock.now_ns() - began_ns) / 1e9 == 3
    await first


async def test_who_goes_away_leaves_the_queue_and_the_next_one_has_the_place() -> None:
    setup = pooled(size=1)
    tasks = [asyncio.create_task(setup.answer(text=str(number))) for number in range(4)]
    await settled()
    tasks[1].cancel()
    await settled()
    assert view(setup).stats().waiting == 2
    await asyncio.gather(*tasks, return_exceptions=True)
    assert [call.request.messages[0].text for call in setup.provider.calls] == ["0", "2", "3"]  # type: ignore[attr-defined]
    assert view(setup).stats().in_use == 0


async def test_a_place_that_is_on_its_way_to_one_who_goes_away_is_not_lost() -> None:
    setup = pooled([Scripted()], size=1)
    stream = await setup.send(stream=True)
    waiting, next_one = [asyncio.create_task(setup.answer()) for _ in range(2)]
    await settled()
    await stream.response()
    waiting.cancel()  # the place has been handed on, and not yet arrived
    assert (await next_one).text
    await asyncio.gather(waiting, return_exceptions=True)
    assert view(setup).stats().in_use == 0


# -- whose


async def test_each_has_a_pool_of_its_own() -> None:
    setup = pooled(size=1, per="tenant")
    calls = [setup.answer(CallOptions(tenant=name)) for name in "aabb"]
    await asyncio.gather(*calls)
    assert setup.clock.slept_s == 2
    assert set(setup.pipeline.stages["Pool"].views) == {"tenant/a", "tenant/b"}  # type: ignore[attr-defined]


async def test_the_first_pool_that_is_about_a_call_holds() -> None:
    pools = [PoolOf(size=1, tenant="slow-*", name="slow"), PoolOf(size=10, model="fake/big", name="big")]
    setup = make([Pool(pools=pools)], SLOW, telemetry=False)
    for options, model in (
        (CallOptions(tenant="slow-a"), "fake/big"),
        (CallOptions(), "fake/big"),
        (CallOptions(), "fake/m"),
    ):
        await setup.answer(options, model=model)
    assert [[fact.pool for fact in record.get(POOLS) or ()] for record in setup.ends.records] == [["slow"], ["big"], []]


def test_names_that_callers_make_up_fill_nothing() -> None:
    stage = Pool(size=1, per="tenant")
    for number in range(1500):
        stage._of(stage._pools[0], str(number))
    assert len(stage.views) == 1000


# -- while it runs


async def test_it_can_be_made_larger_and_smaller() -> None:
    setup = pooled(size=1)
    tasks = [asyncio.create_task(setup.answer()) for _ in range(6)]
    await settled()
    view(setup).resize(3)
    await settled()
    assert len(setup.provider.calls) == 3
    view(setup).resize(1)
    assert view(setup).stats().utilisation == 3
    await asyncio.gather(*tasks)
    assert setup.clock.slept_s == 4
    assert view(setup).stats()[:4] == ("all", 1, 0, 0)
    with pytest.raises(ConfigError, match="resize: expected a whole number from 1"):
        view(setup).resize(0)


async def test_it_can_be_drained_and_opened_again() -> None:
    setup = pooled([Scripted(gap_s=0.01)], size=1)
    stream = await setup.send(stream=True)
    assert not await view(setup).adrain(0.02)
    with pytest.raises(QueueFull, match="is drained"):
        await setup.answer()
    await stream.response()
    assert await view(setup).adrain(5)
    view(setup).reopen()
    assert await outcome(setup) == "ok"


async def test_it_says_how_it_is_and_how_it_has_done() -> None:
    setup = pooled(size=2, queue=10)
    tasks = [asyncio.create_task(setup.answer()) for _ in range(7)]
    await settled()
    stats = view(setup).stats()
    assert (stats.utilisation, stats.pressure) == (1.0, 0.75)
    state = await setup.pipeline.stages["Pool"].state()  # type: ignore[attr-defined]
    assert (state["condition"], state["pools"]["all"]["waiting"]) == ("degraded", 5)
    await asyncio.gather(*tasks)
    report = view(setup).report()
    assert (report.wait_p50_s, report.wait_p95_s, report.service_p50_s) == (1, 3, 1)
    assert report.calls_per_s == pytest.approx(7 / 4)
    assert "all: 0 of 2 in use, 0 waiting, pressure 0%; 7 served (1.8/s)" in str(report)
    assert view(setup).stats().pressure == 0


async def test_whoever_listens_is_told_now_and_then(caplog: pytest.LogCaptureFixture) -> None:
    heard: list[PoolStats] = []
    setup = pooled(monitor=heard.append, monitor_every_s=1.5)
    for _ in range(4):
        await setup.answer()
    assert len(heard) == 3

    def raises(stats: PoolStats) -> None:
        raise ValueError

    assert await outcome(pooled(monitor=raises)) == "ok"
    assert "Pool.monitor raised" in caplog.text


async def test_a_dry_run_says_what_would_be_and_takes_nothing() -> None:
    setup = pooled([Scripted()], size=1)
    assert (await setup.pipeline.aexplain(ask())).facts["pools"][0].verdict == "entered"
    stream = await setup.send(stream=True)
    assert (await setup.pipeline.aexplain(ask())).facts["pools"][0].verdict == "would_wait"
    await stream.response()


@pytest.mark.parametrize("stream", [False, True])
async def test_telemetry_says_what_pools_did(stream: bool) -> None:
    name = f"telemetry {stream}"
    with record_telemetry() as recorded:
        stages = [Pool(size=1, queue=0, name=name)]
        stack = Pipeline(stages, FakeProvider(), telemetry=recorded.telemetry, clock=FakeClock())
        held = await stack.send(ask(stream=True))
        with pytest.raises(QueueFull):
            await stack.send(ask(stream=stream))
        assert recorded.metrics[f'glassway_pool_in_use{{pool="{name}"}}'] == 1
        await held.response()  # type: ignore[union-attr]
        metrics = recorded.metrics
        assert metrics[f'glassway_pool_verdicts_total{{pool="{name}",verdict="entered"}}'] == 1
        assert metrics[f'glassway_pool_verdicts_total{{pool="{name}",verdict="refused"}}'] == 1
        assert (metrics[f'glassway_pool_in_use{{pool="{name}"}}'], metrics[f'glassway_pool_size{{pool="{name}"}}']) == (
            0,
            1,
        )
        assert_conformant(recorded.spans, metrics)


# -- threads and loops


class Counted:
    """A vendor that knows how many are with it at once."""

    def __init__(self) -> None:
        self.lock, self.now, self.most = threading.Lock(), 0, 0
        self.__name__ = "fake"

    async def __call__(self, call: Any) -> Any:
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
        try:
            await asyncio.sleep(0.002)
            return Scripted().response()
        finally:
            with self.lock:
                self.now -= 1


def test_event_loops_of_one_process_share_it() -> None:
    vendor = Counted()
    stack = Pipeline([Pool(size=3)], vendor, telemetry=False)

    async def many() -> None:
        await asyncio.gather(*(stack.send(ask()) for _ in range(50)))

    with ThreadPoolExecutor(4) as threads:
        for each in [threads.submit(asyncio.run, many()) for _ in range(4)]:
            each.result(30)
    assert vendor.most == 3
    assert stack.stages["Pool"].views["all"].stats()[2:4] == (0, 0)  # type: ignore[attr-defined]


def test_the_client_has_its_pools() -> None:
    with Client(Pipeline([Pool(size=2, name="vendors")], FakeProvider(), telemetry=False)) as client:
        client.chat("fake-model", "Hi")
        pool = client.pools["vendors"]
        pool.resize(5)
        assert (pool.name, pool.stats().size, pool.stats().served) == ("vendors", 5, 1)
        assert client.health().stages["Pool"]["pools"]["vendors"]["size"] == 5
        assert pool.drain(1)
        with pytest.raises(QueueFull):
            client.chat("fake-model", "Hi", stream=True)
    assert Client(Pipeline([], FakeProvider(), telemetry=False)).pools == {}


# -- against a reference


class Machine(RuleBasedStateMachine):
    """Calls that come, end and go away, and a pool whose size changes."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.setup = make([Pool(size=2, queue=3)], [Scripted()], telemetry=False, timeout_s=None)
        self.size = 2
        self.inside: list[Any] = []
        self.waiting: list[asyncio.Task[Any]] = []

    def run(self, work: Any) -> Any:
        return self.loop.run_until_complete(work)

    async def _begin(self) -> asyncio.Task[Any]:
        task = asyncio.create_task(self.setup.send(stream=True))
        await settled()
        return task

    def take_in(self) -> None:
        """As many as have places now."""
        self.run(settled())
        while len(self.inside) < self.size and self.waiting:
            self.inside.append(self.waiting.pop(0).result())

    @rule()
    def come(self) -> None:
        task = self.run(self._begin())
        if len(self.inside) < self.size and not self.waiting:
            self.inside.append(task.result())
        elif len(self.waiting) < 3:
            assert not task.done()
            self.waiting.append(task)
        else:
            assert isinstance(task.exception(), QueueFull)

    @precondition(lambda self: self.inside)
    @rule(which=st.integers(0, 20), whole=st.booleans())
    def end(self, which: int, whole: bool) -> None:
        stream = self.inside.pop(which % len(self.inside))
        self.run(stream.response() if whole else stream.aclose())
        self.take_in()

    @precondition(lambda self: self.waiting)
    @rule(which=st.integers(0, 20))
    def go_away(self, which: int) -> None:
        task = self.waiting.pop(which % len(self.waiting))
        task.cancel()
        self.run(asyncio.gather(task, return_exceptions=True))

    @rule(size=st.integers(1, 5))
    def resize(self, size: int) -> None:
        self.size = size
        view(self.setup).resize(size)
        self.take_in()

    @invariant()
    def they_agree(self) -> None:
        stats = view(self.setup).stats()
        assert (stats.size, stats.in_use, stats.waiting) == (self.size, len(self.inside), len(self.waiting))

    def teardown(self) -> None:
        for task in self.waiting:
            task.cancel()
        if self.waiting:
            self.run(asyncio.gather(*self.waiting, return_exceptions=True))
        for stream in self.inside:
            self.run(stream.aclose())
        assert view(self.setup).stats()[2:4] == (0, 0)
        self.loop.close()


Machine.TestCase.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)
TestModel = Machine.TestCase


# -- settings and order


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "expected size or pools, found neither"),
        ({"size": 0}, "PoolOf.size: expected a whole number from 1"),
        ({"size": 1, "queue": -1}, "PoolOf.queue: expected a whole number from 0"),
        ({"size": 1, "queue_timeout_s": -1}, "PoolOf.queue_timeout_s: expected seconds from 0"),
        ({"size": 1, "per": "x"}, "PoolOf.per: expected one or several"),
        ({"size": 1, "monitor": 5}, "monitor: expected a function"),
        ({"size": 1, "monitor_every_s": -1}, "monitor_every_s: expected seconds from 0"),
        ({"pools": [{"size": 1}], "size": 2}, "two are called 'all'"),
        ({"pools": [{}]}, r"Pool.pools\[0\].size: expected a value, found none"),
    ],
    ids=str,
)
def test_settings_that_cannot_be_are_refused(given: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Pool(**given)


def test_yaml_can_say_it() -> None:
    entry = {"pool": {"pools": [{"size": 3, "per": "provider", "queue": 5}]}}
    stage = Config.read({"pipeline": [entry]}, {}).pipeline(telemetry=False).stages["Pool"]
    assert isinstance(stage, Pool)
    with pytest.raises(ConfigError, match="is made in Python"):
        Config.read({"pipeline": [{"pool": {"size": 1, "monitor": "x"}}]}, {}).pipeline(telemetry=False)


@pytest.mark.parametrize("inner", [Fallback(["other/m"]), Retry(), Cache()], ids=lambda stage: type(stage).__name__)
def test_advice_on_its_place(inner: Any) -> None:
    assert type(inner).__name__ in Pipeline([Pool(size=1), inner], FakeProvider()).explain().advice[0]
    assert Pipeline([inner, Pool(size=1)], FakeProvider()).explain().advice == ()


def test_it_logs_nothing_while_all_is_well(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        asyncio.run(outcome(pooled([Scripted()])))
    assert caplog.records == []
