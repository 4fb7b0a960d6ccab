"""Limits of requests and tokens: exact, waited for in order, put right by what was used."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from builders import Setup, ask, make, server_error

from glassway import CallOptions, Client, Pipeline
from glassway.middlewares import Cache, Hedge, Limit, RateLimit, Retry
from glassway.pipeline.call import NO_OPTIONS, Call
from glassway.pipeline.config import Config
from glassway.pipeline.errors import APIConnectionError, ConfigError, QueueFull, RateLimitExceeded, StoreError
from glassway.pipeline.facts import LIMITS
from glassway.pipeline.stream import Handler, Reply
from glassway.pipeline.types import Usage
from glassway.stores import MemoryStore, Store, Window
from glassway.testing import FakeClock, FakeProvider, Scripted
from glassway.testing.telemetry import assert_conformant, record_telemetry

pytestmark = pytest.mark.anyio


ANSWERS = (Scripted(),)


def limited(answers: Any = ANSWERS, *, store: Store | None = None, **settings: Any) -> Setup:
    """A limit whose store goes by the test's clock."""
    setup = make([], answers)
    stage = RateLimit(
        store=MemoryStore(now_s=lambda: setup.clock.now_ns() / 1e9) if store is None else store, **settings
    )
    setup.pipeline = Pipeline([setup.ends, stage], setup.provider, telemetry=False, clock=setup.clock, timeout_s=None)
    return setup


async def passes(setup: Setup, options: CallOptions = NO_OPTIONS, **fields: Any) -> bool:
    try:
        await setup.answer(options, **fields)
    except RateLimitExceeded:
        return False
    return True


async def how_many(setup: Setup, tries: int, **fields: Any) -> int:
    return sum([await passes(setup, **fields) for _ in range(tries)])


# -- requests


async def test_so_many_requests_pass_and_no_more() -> None:
    setup = limited(requests_per_minute=3)
    assert await how_many(setup, 5) == 3
    assert len(setup.provider.calls) == 3


@pytest.mark.parametrize("stream", [False, True])
async def test_any_minute_holds_and_not_only_the_clocks(stream: bool) -> None:
    setup = limited(requests_per_minute=3)
    await setup.clock.sleep(59)
    assert await how_many(setup, 5, stream=stream) == 3
    await setup.clock.sleep(2)
    assert await how_many(setup, 5, stream=stream) == 0
    await setup.clock.sleep(60)
    assert await how_many(setup, 5, stream=stream) == 3


async def test_the_error_says_which_limit_how_much_and_when() -> None:
    setup = limited(limits=[Limit(name="crowd", requests=1, per_s=10)])
    await setup.answer()
    with pytest.raises(
        RateLimitExceeded, match=r"The limit 'crowd' of 1 requests in 10 s is reached. Try again in 10\.\d s"
    ) as caught:
        await setup.answer()
    assert caught.value.retry_after_s == pytest.approx(10.1, abs=0.2)
    assert not caught.value.retryable


async def test_all_limits_have_to_hold_and_a_refusal_takes_from_none() -> None:
    setup = limited(limits=[Limit(requests=10, per_s=60), Limit(requests=2, per_s=1)])
    assert await how_many(setup, 6) == 2
    await setup.clock.sleep(2)
    assert await how_many(setup, 6) == 2
    assert setup.ends.records[-1].get(LIMITS)[0].left == 0
    state = await setup.pipeline.stages["RateLimit"].state()  # type: ignore[attr-defined]
    assert state["limits"]["all/60s requests"] == {"most": 10, "left": 6}


# -- whose


@pytest.mark.parametrize(
    ("per", "one", "other"),
    [
        ("tenant", {"options": CallOptions(tenant="a")}, {"options": CallOptions(tenant="b")}),
        ("user", {"user": "a"}, {"user": "b"}),
        ("model", {"model": "fake/a"}, {"model": "fake/b"}),
        ("target", {"model": "fake/a"}, {"model": "fake/b"}),
        (("tenant", "model"), {"options": CallOptions(tenant="a")}, {"options": CallOptions(tenant="a"), "model": "b"}),
        (
            lambda call: call.options.tags[0],
            {"options": CallOptions(tags=("a",))},
            {"options": CallOptions(tags=("b",))},
        ),
    ],
    ids=str,
)
async def test_each_has_an_allowance_of_its_own(per: Any, one: Any, other: Any) -> None:
    setup = limited(requests_per_minute=1, per=per)
    assert [await passes(setup, **each) for each in (one, one, other, other)] == [True, False, True, False]


async def test_keys_are_told_apart_and_never_named() -> None:
    store = MemoryStore()
    setup = limited(requests_per_minute=1, per="key", store=store)
    from pydantic import SecretStr

    one, other = (CallOptions(api_key=SecretStr(f"sk-{name}-hunter2")) for name in "ab")
    assert [await passes(setup, options=each) for each in (one, one, other)] == [True, False, True]
    assert "hunter2" not in str(store._windows)


async def test_all_providers_share_where_that_is_said() -> None:
    setup = limited(requests_per_minute=1, per="provider")
    assert [await passes(setup, model=model) for model in ("fake/a", "fake/b")] == [True, False]


async def test_calls_without_a_tenant_share_one() -> None:
    setup = limited(requests_per_minute=1, per="tenant")
    assert await how_many(setup, 3) == 1


@pytest.mark.parametrize(
    ("about", "hit"), [({"tenant": "team-*"}, "team-a"), ({"tenant": ["x", "re:^team"]}, "team-a")]
)
async def test_a_limit_may_be_about_some_tenants_only(about: Any, hit: str) -> None:
    setup = limited(limits=[Limit(requests=1, **about)])
    options, free = CallOptions(tenant=hit), CallOptions(tenant="other")
    assert [await passes(setup, options=each) for each in (options, options, free, free)] == [True, False, True, True]


async def test_a_limit_may_be_about_some_models_only() -> None:
    setup = limited(limits=[Limit(requests=1, model="fake/gpt-*")])
    assert [await passes(setup, model=model) for model in ("fake/gpt-4", "fake/gpt-5", "fake/o")] == [True, False, True]


async def test_a_function_lets_pass_whom_it_does_not_name() -> None:
    setup = limited(requests_per_minute=1, per=lambda call: None)
    assert await how_many(setup, 3) == 3
    assert not setup.ends.records[-1].get(LIMITS)


# -- tokens

USED = Usage(prompt_tokens=10, completion_tokens=20, total_tokens=30)


def left(setup: Setup) -> int:
    """Tokens that the last call saw left."""
    return int(setup.ends.records[-1].get(LIMITS)[-1].left)


@pytest.mark.parametrize("stream", [False, True])
async def test_tokens_are_reserved_by_estimate_and_put_right_by_what_was_used(stream: bool) -> None:
    setup = limited([Scripted(usage=USED)], tokens_per_minute=1000)
    await setup.answer(max_tokens=500, stream=stream)
    reserved = setup.ends.records[-1].get(LIMITS)[0].amount
    assert 500 < reserved < 520
    assert left(setup) == 1000 - reserved
    await setup.answer(max_tokens=100, stream=stream)
    assert left(setup) == 1000 - 30 - setup.ends.records[-1].get(LIMITS)[0].amount


async def test_what_is_reserved_cannot_be_taken_by_others() -> None:
    setup = limited([Scripted(usage=USED, delay_s=5)], tokens_per_minute=1000)
    calls = [passes(setup, max_tokens=400) for _ in range(5)]
    assert sum(await asyncio.gather(*calls)) == 2


async def test_a_chat_without_a_limit_reserves_the_usual_output_for_each_choice() -> None:
    setup = limited(tokens_per_minute=10_000, output_tokens=700)
    await setup.answer()
    await setup.answer(n=3)
    one, three = [record.get(LIMITS)[0].amount for record in setup.ends.records]
    assert 700 < one < 720
    assert three == one + 1400


async def test_a_call_that_used_more_than_it_reserved_takes_that_too() -> None:
    setup = limited([Scripted(usage=USED)], tokens_per_minute=60)
    await setup.answer(max_tokens=1)
    await setup.answer(max_tokens=1)
    assert not await passes(setup, max_tokens=1)


async def test_a_failure_gives_back_what_it_did_not_use() -> None:
    setup = limited([server_error(), Scripted(usage=USED)], tokens_per_minute=600)
    with pytest.raises(Exception, match="failed"):
        await setup.answer(max_tokens=500)
    assert await passes(setup, max_tokens=500)


async def test_a_stream_that_is_closed_keeps_its_reservation_where_nobody_counted() -> None:
    setup = limited([Scripted(usage=USED)], tokens_per_minute=600)
    stream = await setup.send(max_tokens=500, stream=True)
    await anext(stream)
    await stream.aclose()
    assert not await passes(setup, max_tokens=500)


async def test_a_call_that_can_never_pass_is_told_so_at_once() -> None:
    setup = limited(tokens_per_minute=100, max_wait_s=1000)
    with pytest.raises(RateLimitExceeded, match="it can never pass"):
        await setup.answer(max_tokens=500)
    assert setup.clock.slept_s == 0


@pytest.mark.parametrize("before_the_vendor", [False, True])
async def test_a_call_that_comes_again_counts_each_attempt_once(before_the_vendor: bool) -> None:
    answers = [Scripted(usage=USED)] if before_the_vendor else [server_error(), Scripted(usage=USED)]
    setup = limited(answers, tokens_per_minute=10_000, requests_per_minute=10)
    failed = not before_the_vendor

    async def trips_once(call: Call, call_next: Handler) -> Reply:
        nonlocal failed
        if not failed:
            failed = True
            raise APIConnectionError("no way out", retryable=True)
        return await call_next(call)

    limit: Any = setup.pipeline.stages["RateLimit"]
    stages = [setup.ends, Retry(), limit, trips_once]
    setup.pipeline = Pipeline(stages, setup.provider, telemetry=False, clock=setup.clock, timeout_s=None)
    await setup.answer(max_tokens=500)
    left = {name: bound["left"] for name, bound in (await limit.state())["limits"].items()}
    assert left == {"all/60s requests": 10 - 2, "all/60s tokens": 10_000 - 30}


async def test_a_hit_of_a_cache_inside_uses_no_tokens() -> None:
    setup = limited([Scripted(usage=USED)], tokens_per_minute=100_000)
    stages = setup.pipeline.stages
    setup.pipeline = Pipeline([*stages.values(), Cache()], setup.provider, telemetry=False, clock=setup.clock)
    for _ in range(3):
        await setup.answer(temperature=0)
    state = await stages["RateLimit"].state()  # type: ignore[attr-defined]
    assert state["limits"]["all/60s tokens"]["left"] == 100_000 - 30


# -- waiting


async def test_who_may_wait_waits_until_there_is_room() -> None:
    setup = limited(requests_per_minute=1, max_wait_s=100)
    await setup.answer()
    await setup.answer()
    fact = setup.ends.records[-1].get(LIMITS)[0]
    assert (fact.verdict, fact.waited_s) == ("waited", pytest.approx(61, abs=1.1))
    assert setup.clock.slept_s == pytest.approx(61, abs=1.1)


async def test_waiting_has_an_end() -> None:
    setup = limited(requests_per_minute=1, max_wait_s=20)
    await setup.answer()
    with pytest.raises(RateLimitExceeded, match=r"waited 20\.0 s"):
        await setup.answer()
    assert setup.clock.slept_s <= 20.1


async def test_nobody_waits_beyond_the_deadline() -> None:
    setup = limited(requests_per_minute=1, max_wait_s=1000)
    await setup.answer()
    with pytest.raises(RateLimitExceeded):
        await setup.answer(CallOptions(timeout_s=7))
    assert setup.clock.slept_s <= 7.1


async def test_first_come_first_served() -> None:
    setup = limited(limits=[Limit(requests=1, per_s=1)], max_wait_s=100)
    tasks = []
    for number in range(6):
        tasks.append(asyncio.create_task(setup.answer(text=str(number))))
        await asyncio.sleep(0)
    await asyncio.gather(*tasks)
    assert [call.request.messages[0].text for call in setup.provider.calls] == list("012345")  # type: ignore[attr-defined]


async def test_no_more_wait_than_may() -> None:
    setup = limited(requests_per_minute=1, max_wait_s=1000, max_waiting=2)
    answers = await asyncio.gather(*(setup.answer() for _ in range(5)), return_exceptions=True)
    assert sum(isinstance(each, QueueFull) for each in answers) == 2
    assert sum(isinstance(each, Exception) for each in answers) == 2


async def test_who_goes_away_leaves_the_queue() -> None:
    setup = limited(requests_per_minute=1, max_wait_s=1000)
    await setup.answer()
    stage: Any = setup.pipeline.stages["RateLimit"]
    tasks = [asyncio.create_task(setup.answer()) for _ in range(3)]
    for _ in range(20):
        await asyncio.sleep(0)
    assert (await stage.state())["waiting"] == 3
    tasks[0].cancel()
    tasks[2].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert (await stage.state())["waiting"] == 0
    assert tasks[1].result().text
    assert stage._lanes._of[asyncio.get_running_loop()] == {}
    assert len(setup.provider.calls) == 2


# -- the store


async def test_stages_that_share_a_store_share_the_limit(store: Store) -> None:
    setups = [
        limited([Scripted(usage=USED)], requests_per_minute=3, tokens_per_minute=10_000, store=store) for _ in range(2)
    ]
    passed = [await passes(setup, max_tokens=10, stream=number % 2 == 0) for number, setup in enumerate(setups * 3)]
    assert sum(passed) == 3
    await setups[0].pipeline.aclose()
    await setups[1].pipeline.aclose()
    assert (await store.take([Window("rate:all/60s:tokens:", 10_000, 60.0)], [0])).used == (90,)
    await store.aclose()


class Broken(MemoryStore):
    """It fails at every question: at once, or to whoever waits for the answer."""

    def __init__(self, at_once: bool) -> None:
        super().__init__()
        self.immediate = at_once

    def take_now(self, windows: Any, amounts: Any) -> Any:
        raise ConnectionError("redis://user:hunter2@host")


@pytest.mark.parametrize("at_once", [True, False])
async def test_a_store_that_fails_lets_calls_pass_and_says_so(at_once: bool) -> None:
    setup = limited(requests_per_minute=1, store=Broken(at_once))
    assert await how_many(setup, 3) == 3
    record = setup.ends.records[-1]
    assert record.get(LIMITS)[0].verdict == "not_checked"
    assert record.facts["store_failures"][0].stage == "RateLimit"
    assert (await setup.pipeline.stages["RateLimit"].state())["condition"] == "degraded"  # type: ignore[attr-defined]


@pytest.mark.parametrize("at_once", [True, False])
async def test_or_none_where_that_was_chosen(at_once: bool) -> None:
    setup = limited(requests_per_minute=1, store=Broken(at_once), on_store_failure="fail_closed")
    with pytest.raises(StoreError) as caught:
        await setup.answer()
    assert "hunter2" not in str(caught.value)
    assert setup.provider.calls == []


# -- dry runs, telemetry, order, settings


async def test_a_dry_run_takes_nothing_and_says_what_would_be() -> None:
    setup = limited(requests_per_minute=1)
    dry = await setup.pipeline.aexplain(ask())
    assert dry.facts["limits"][0].verdict == "passed"
    await setup.answer()
    dry = await setup.pipeline.aexplain(ask())
    assert dry.facts["limits"][0].verdict == "would_refuse"
    assert dry.reached_vendor


@pytest.mark.parametrize("stream", [False, True])
async def test_telemetry_says_what_limits_did(stream: bool) -> None:
    with record_telemetry() as recorded:
        stack = Pipeline(
            [RateLimit(requests_per_minute=1)], FakeProvider(), telemetry=recorded.telemetry, clock=FakeClock()
        )
        reply = await stack.send(ask(stream=stream))
        if stream:
            await reply.response()  # type: ignore[union-attr]
        with pytest.raises(RateLimitExceeded):
            await stack.send(ask(stream=stream))
        metrics = recorded.metrics
        labels = 'limit="all/60s",unit="requests"'
        assert metrics[f'glassway_limit_verdicts_total{{{labels},verdict="passed"}}'] == 1
        assert metrics[f'glassway_limit_verdicts_total{{{labels},verdict="refused"}}'] == 1
        assert metrics["glassway_limit_waiting"] == 0
        assert_conformant(recorded.spans, metrics)


def test_sync_calls_are_limited_too() -> None:
    with Client(Pipeline([RateLimit(requests_per_minute=1)], FakeProvider(), telemetry=False)) as client:
        assert client.chat("fake-model", "Hi").text
        with pytest.raises(RateLimitExceeded):
            client.chat("fake-model", "Hi", stream=True)
        client.update(rate_limit={"requests_per_minute": 2})
        assert client.chat("fake-model", "Hi").text
        with pytest.raises(RateLimitExceeded):
            client.chat("fake-model", "Hi")
        assert client.health().stages["RateLimit"]["limits"] == {"all/60s requests": {"most": 2, "left": 0}}


def test_order() -> None:
    assert Pipeline([RateLimit(requests_per_minute=1), Retry()], FakeProvider()).explain().advice == ()
    assert "Hedge" in Pipeline([Hedge(after_s=1), RateLimit(requests_per_minute=1)], FakeProvider()).explain().advice[0]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "expected requests_per_minute, tokens_per_minute or limits, found none"),
        ({"requests_per_minute": -1}, "Limit.requests: expected a whole number from 0"),
        ({"tokens_per_minute": 1.5}, "Limit.tokens: expected a whole number"),
        ({"requests_per_minute": 1, "per": "planet"}, "Limit.per: expected one or several of all, tenant.*'planet'"),
        ({"requests_per_minute": 1, "per": ()}, "Limit.per: expected at least one"),
        ({"requests_per_minute": 1, "max_wait_s": -1}, "max_wait_s: expected seconds from 0"),
        ({"requests_per_minute": 1, "max_waiting": 0}, "max_waiting: expected a whole number from 1"),
        ({"requests_per_minute": 1, "output_tokens": True}, "output_tokens: expected"),
        (
            {"requests_per_minute": 1, "on_store_failure": "shrug"},
            "on_store_failure: expected fail_open or fail_closed",
        ),
        ({"limits": "none"}, "RateLimit.limits: expected a list, found str"),
        ({"limits": [5]}, r"RateLimit.limits\[0\]: expected a Limit or a mapping"),
        ({"limits": [{"requests": 1, "colour": 2}]}, r"RateLimit.limits\[0\].colour: unknown key"),
        ({"limits": [{"requests": 1, "per_s": 0}]}, r"RateLimit.limits\[0\]: Limit.per_s: expected seconds above 0"),
        ({"limits": [{"per_s": 60}]}, r"RateLimit.limits\[0\]: Limit: expected requests or tokens"),
        ({"limits": [{"requests": 1}, {"requests": 2}]}, "two are called 'all/60s'"),
        ({"limits": [{"requests": 1, "tenant": "re:("}]}, r"limits\[0\]: Limit.tenant: .* no regular expression"),
    ],
    ids=str,
)
def test_settings_that_cannot_be_are_refused(settings: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        RateLimit(**settings)


def test_yaml_can_say_it() -> None:
    entry = {
        "rate_limit": {
            "limits": [{"requests": 5, "per_s": 1, "per": ["tenant", "model"], "tenant": "a*"}],
            "max_wait_s": 3,
        }
    }
    stage = Config.read({"pipeline": [entry]}, {}).pipeline(telemetry=False).stages["RateLimit"]
    assert isinstance(stage, RateLimit)
    assert stage.limits[0].name == "tenant+model/1s a*"
