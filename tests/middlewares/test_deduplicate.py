"""Identical calls at the same time are one: each gets its own answer, money is spent once, nobody is left waiting."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest
from builders import Setup, ask, make, server_error
from hypothesis import given, settings
from hypothesis import strategies as st

from glassway import CallOptions, Client, Pipeline
from glassway.middlewares import Cost, Deduplicate, Guardrails, Retry
from glassway.pipeline.config import Config
from glassway.pipeline.errors import ConfigError, PlanError, StoreError
from glassway.pipeline.facts import CACHE, DEDUPLICATION
from glassway.stores import MemoryStore, Store
from glassway.testing import FakeClock, FakeProvider, Scripted
from glassway.testing.telemetry import assert_conformant, record_telemetry

pytestmark = pytest.mark.anyio

SLOW = (Scripted(delay_s=1),)
PRICES = {"fake/m": {"input": 100, "output": 100}}


def shared(answers: Any = SLOW, **given_: Any) -> Setup:
    stages = [Cost(overrides=PRICES), Deduplicate(**given_)]
    return make(stages, answers, telemetry=False, timeout_s=None)


def roles(setup: Setup) -> list[str]:
    found = [record.get(DEDUPLICATION) for record in setup.ends.records]
    return sorted(each.role if each else "-" for each in found)


async def settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    "streams", [(False, False, False), (True, True, True), (True, False, True), (False, True, False)]
)
async def test_one_asks_and_all_get_the_answer(streams: tuple[bool, ...]) -> None:
    setup = shared()
    replies = await asyncio.gather(*(setup.answer(model="fake/m", stream=stream) for stream in streams))
    assert {reply.text for reply in replies} == {"Hello there, general reader."}
    assert len(setup.provider.calls) == 1
    assert roles(setup) == ["followed", "followed", "led"]


async def test_it_is_paid_once_and_the_others_save() -> None:
    setup = shared()
    await asyncio.gather(*(setup.answer(model="fake/m") for _ in range(3)))
    costs = sorted((record.cost.amount_usd, record.cost.saved_usd) for record in setup.ends.records if record.cost)
    assert costs == [(Decimal(0), Decimal("0.0015")), (Decimal(0), Decimal("0.0015")), (Decimal("0.0015"), Decimal(0))]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"text": "a"}, {"text": "b"}),
        ({"temperature": 0}, {"temperature": 1}),
        ({"model": "fake/m"}, {"model": "fake/n"}),
        ({"options": CallOptions(tenant="a")}, {"options": CallOptions(tenant="b")}),
    ],
    ids=str,
)
async def test_what_is_not_equal_is_not_shared(one: Any, other: Any) -> None:
    setup = shared()
    await asyncio.gather(setup.answer(**one), setup.answer(**other))
    assert len(setup.provider.calls) == 2


async def test_a_call_may_ask_for_itself() -> None:
    setup = shared()
    own = CallOptions(cache={"no_cache": True})
    await asyncio.gather(setup.answer(), setup.answer(own), setup.answer(own))
    assert len(setup.provider.calls) == 3


async def test_after_its_end_the_next_one_asks_again() -> None:
    setup = shared()
    for _ in range(2):
        await setup.answer()
    assert len(setup.provider.calls) == 2


async def test_unless_there_is_a_window() -> None:
    clock = FakeClock()
    setup = make(
        [Deduplicate(window_s=5, store=MemoryStore(now_s=lambda: clock.now_ns() / 1e9))], clock=clock, telemetry=False
    )
    for _ in range(2):
        await setup.answer()
    assert len(setup.provider.calls) == 1
    await clock.sleep(6)
    await setup.answer(stream=True)
    assert len(setup.provider.calls) == 2


async def test_if_the_one_who_asks_fails_the_next_in_line_asks() -> None:
    setup = shared([Scripted(error=server_error(), delay_s=1), Scripted(delay_s=1)])
    answers = await asyncio.gather(*(setup.answer() for _ in range(3)), return_exceptions=True)
    assert [isinstance(each, Exception) for each in answers] == [True, False, False]
    assert len(setup.provider.calls) == 2


async def test_an_outage_does_not_keep_them_waiting_behind_each_other() -> None:
    setup = shared([Scripted(error=server_error(), delay_s=1)])
    answers = await asyncio.gather(*(setup.answer() for _ in range(10)), return_exceptions=True)
    assert all(isinstance(each, Exception) for each in answers)
    assert setup.clock.slept_s == 3


@pytest.mark.parametrize("stream", [False, True])
async def test_if_the_one_who_asks_goes_away_the_next_in_line_asks(stream: bool) -> None:
    setup = shared([Scripted(delay_s=1, gap_s=1)])
    tasks = [asyncio.create_task(setup.answer(stream=stream)) for _ in range(3)]
    await settled()
    tasks[0].cancel()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert [isinstance(each, BaseException) for each in answers] == [True, False, False]
    assert len(setup.provider.calls) == 2


async def test_a_stream_that_its_reader_leaves_is_asked_for_again() -> None:
    setup = shared([Scripted(gap_s=1)])
    stream = await setup.send(stream=True)
    other = asyncio.create_task(setup.answer(stream=True))
    await settled()
    await stream.aclose()
    assert (await other).text


async def test_who_waits_and_goes_away_disturbs_nobody() -> None:
    setup = shared()
    tasks = [asyncio.create_task(setup.answer()) for _ in range(3)]
    await settled()
    tasks[1].cancel()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert [isinstance(each, BaseException) for each in answers] == [False, True, False]
    assert len(setup.provider.calls) == 1


async def test_nobody_waits_longer_than_allowed() -> None:
    setup = shared([Scripted(delay_s=100), Scripted()], wait_s=3)
    await asyncio.gather(setup.answer(), setup.answer())
    assert len(setup.provider.calls) == 2
    assert roles(setup) == ["alone", "led"]


async def test_an_answer_that_is_not_whole_is_not_shared() -> None:
    setup = shared([Scripted(delay_s=1, finish_reason="content_filter")])
    await asyncio.gather(*(setup.answer() for _ in range(2)))
    assert len(setup.provider.calls) == 2


async def test_images_pass_by() -> None:
    stage = Deduplicate(operations=("embeddings",))
    setup = make([stage], SLOW, telemetry=False)
    await asyncio.gather(setup.answer(), setup.answer())
    assert roles(setup) == ["-", "-"]


async def test_a_dry_run_leads_nobody() -> None:
    setup = shared([Scripted()])
    assert (await setup.pipeline.aexplain(ask())).reached_vendor
    assert len(setup.pipeline.stages["Deduplicate"]._flights) == 0  # type: ignore[attr-defined]


def test_sync_calls_too() -> None:
    with Client(Pipeline([Deduplicate(window_s=60)], FakeProvider(), telemetry=False)) as client:
        assert client.chat("fake-model", "Hi").text == client.chat("fake-model", "Hi", stream=True).response().text
        assert len(client.pipeline.providers["fake"].calls) == 1  # type: ignore[attr-defined]


@pytest.mark.parametrize("stream", [False, True])
async def test_telemetry_says_who_led_and_who_followed(stream: bool) -> None:
    with record_telemetry() as recorded:
        stack = Pipeline([Deduplicate()], FakeProvider(SLOW), telemetry=recorded.telemetry, clock=FakeClock())

        async def one() -> None:
            reply = await stack.send(ask(stream=stream))
            if stream:
                await reply.response()  # type: ignore[union-attr]

        await asyncio.gather(one(), one())
        metrics = recorded.metrics
        assert metrics['glassway_deduplicated_calls_total{role="led"}'] == 1
        assert metrics['glassway_deduplicated_calls_total{role="followed"}'] == 1
        assert_conformant(recorded.spans, metrics)


@settings(max_examples=60, deadline=None)
@given(
    calls=st.lists(
        st.tuples(st.sampled_from("abc"), st.floats(0, 3), st.booleans(), st.sampled_from(["stays", "goes"])),
        min_size=1,
        max_size=12,
    )
)
def test_in_any_pattern_everybody_who_stays_gets_the_answer_to_his_own_question(calls: list[Any]) -> None:
    async def main() -> None:
        setup = make([Deduplicate()], telemetry=False, timeout_s=None)

        async def echo(call: Any) -> Any:
            await call.clock.sleep(1)
            return Scripted(text=call.request.messages[0].text.upper()).response()

        echo.__name__ = "fake"
        setup.pipeline = Pipeline(setup.pipeline.stages.values(), echo, telemetry=False, clock=setup.clock)  # type: ignore[arg-type]

        async def one(text: str, after_s: float, leaves: str) -> str | None:
            await setup.clock.sleep(after_s)
            task = asyncio.ensure_future(setup.answer(text=text))
            if leaves == "goes":
                await setup.clock.sleep(0.5)
                task.cancel()
            (found,) = await asyncio.gather(task, return_exceptions=True)
            return None if isinstance(found, BaseException) else str(found.text)

        said = await asyncio.gather(*(one(text, after_s, leaves) for text, after_s, _, leaves in calls))
        for (text, _, _, leaves), answer in zip(calls, said, strict=True):
            assert answer == text.upper() or (answer is None and leaves == "goes")
        assert len(setup.pipeline.stages["Deduplicate"]._flights) == 0  # type: ignore[attr-defined]

    asyncio.run(main())


# -- through a store


@pytest.mark.parametrize("stream", [False, True])
async def test_stages_that_share_a_store_share_their_calls(store: Store, stream: bool) -> None:
    providers = [FakeProvider([Scripted(delay_s=0.1)]) for _ in range(3)]
    stacks = [Pipeline([Deduplicate(store=store)], provider, telemetry=False) for provider in providers]

    async def one(stack: Pipeline) -> str:
        reply = await stack.send(ask(stream=stream))
        return (await reply.response() if stream else reply).text  # type: ignore[union-attr]

    texts = await asyncio.gather(*(one(stack) for stack in stacks * 3))
    assert set(texts) == {"Hello there, general reader."}
    assert sum(len(provider.calls) for provider in providers) == 1
    for stack in stacks:
        await stack.aclose()
    await store.aclose()


async def test_who_dies_with_the_lease_keeps_it_no_longer_than_it_lasts() -> None:
    clock = FakeClock()
    store = MemoryStore(now_s=lambda: clock.now_ns() / 1e9)
    setup = make([Deduplicate(store=store, lease_s=5)], clock=clock, telemetry=False)
    counter: Any = setup.pipeline.stages["Deduplicate"]._counter  # type: ignore[attr-defined]
    key = setup.pipeline.stages["Deduplicate"]._key  # type: ignore[attr-defined]
    taken: list[str] = []

    async def dies(call: Any, call_next: Any) -> Any:
        taken.append(key(call))
        assert await counter.leases.take(taken[0])
        return await call_next(call)

    setup.pipeline = Pipeline(
        [setup.ends, dies, *[setup.pipeline.stages["Deduplicate"]]], setup.provider, telemetry=False, clock=clock
    )
    await setup.answer()
    assert 5 <= clock.slept_s <= 5.3
    assert setup.ends.record.get(DEDUPLICATION).role == "led"


class Broken(MemoryStore):
    """It fails at every question."""

    async def get(self, key: str) -> bytes | None:
        raise ConnectionError

    async def compare_and_set(self, *args: Any) -> bool:
        raise ConnectionError

    async def set(self, *args: Any) -> None:
        raise ConnectionError


async def test_without_its_store_a_process_shares_its_own() -> None:
    setup = make([Deduplicate(store=Broken())], SLOW, telemetry=False)
    await asyncio.gather(*(setup.answer() for _ in range(3)))
    assert len(setup.provider.calls) == 1
    failed = [record for record in setup.ends.records if record.facts.get("store_failures")]
    assert failed[0].facts["store_failures"][0].stage == "Deduplicate"


async def test_or_fails_closed() -> None:
    setup = make([Deduplicate(store=Broken(), on_store_failure="fail_closed")], telemetry=False)
    with pytest.raises(StoreError):
        await setup.answer()


async def test_a_large_answer_is_not_handed_over() -> None:
    store = MemoryStore()
    setup = make([Deduplicate(store=store, max_entry_bytes=10)], telemetry=False)
    await setup.answer()
    assert len(store) == 0
    assert setup.ends.record.get(CACHE) is None


# -- settings and order


@pytest.mark.parametrize("inner", [Cost(), Guardrails(["secrets"])], ids=lambda stage: type(stage).__name__)
def test_it_stands_inside_what_must_see_every_call(inner: Any) -> None:
    with pytest.raises(PlanError, match="Deduplicate"):
        Pipeline([Deduplicate(), inner], FakeProvider())
    assert Pipeline([inner, Deduplicate(), Retry()], FakeProvider()).explain().advice == ()


@pytest.mark.parametrize(
    ("given_", "message"),
    [
        ({"window_s": -1}, "window_s: expected seconds from 0"),
        ({"wait_s": 0}, "expected wait_s and lease_s above 0"),
        ({"lease_s": "x"}, "lease_s: expected seconds from 0"),
        ({"max_entry_bytes": 0}, "max_entry_bytes: expected at least 1"),
        ({"operations": "chat"}, "operations: expected a list"),
        ({"operations": ["dance"]}, "operations: expected a list"),
        ({"on_store_failure": "x"}, "on_store_failure: expected fail_open or fail_closed"),
    ],
    ids=str,
)
def test_settings_that_cannot_be_are_refused(given_: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Deduplicate(**given_)


def test_yaml_can_say_it() -> None:
    made = Config.read({"pipeline": [{"deduplicate": {"window_s": 2, "operations": ["chat"]}}]}, {}).pipeline(
        telemetry=False
    )
    assert isinstance(made.stages["Deduplicate"], Deduplicate)
