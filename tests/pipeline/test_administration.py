"""The client about itself: what it has done, how it does, other settings while it runs, and an orderly end."""

from __future__ import annotations

import asyncio
import threading
from decimal import Decimal
from typing import Any

import pytest
from builders import server_error

import glassway as gw
from glassway import Client, Pipeline
from glassway.middlewares import Cache, Cost, Retry, Timeout
from glassway.pipeline.errors import ConfigError, GlasswayError, PlanError
from glassway.pipeline.statistics import MOST_TARGETS
from glassway.testing import FakeClock, FakeProvider, Scripted

FAILURE = Scripted(error=server_error(retryable=False))
PRICES = {"fake/m": {"input": "1", "output": "2"}}


class Closing:
    """A stage that says when it is closed."""

    def __init__(self) -> None:
        self.closed = 0
        self.was_closed = threading.Event()

    async def __call__(self, call: Any, call_next: Any) -> Any:
        return await call_next(call)

    async def aclose(self) -> None:
        self.closed += 1
        self.was_closed.set()


def client_of(*stages: Any, answers: Any = None, **settings: Any) -> Client:
    return Client(Pipeline(stages, FakeProvider(answers or [Scripted()], name="fake"), **settings))


def fail(client: Client, model: str = "m") -> None:
    with pytest.raises(GlasswayError):
        client.chat(model, "Hi")


# -- stats


def test_stats_add_up_calls_their_ends_their_times_and_their_cost() -> None:
    clock = FakeClock()
    client = client_of(Cost(overrides=PRICES), answers=[Scripted(delay_s=2.0), FAILURE, Scripted(delay_s=1.0)], clock=clock)  # fmt: skip
    with client:
        costs = [client.chat("m", "Hi").cost]
        fail(client)
        costs.append(client.chat("m", "Hi").cost)
        total = client.stats().total
    assert (total.calls, total.successes, total.failures, total.attempts) == (3, 2, 1, 3)
    assert total.success_rate == pytest.approx(2 / 3)
    assert total.average_latency_s == pytest.approx(1.0)
    assert total.cost_usd == sum(cost for cost in costs if cost is not None) > 0
    assert total.average_cost_usd is not None


def test_a_call_without_a_price_is_counted_and_not_added_as_nothing() -> None:
    with client_of(Cost()) as client:
        client.chat("of-no-price", "Hi")
        total = client.stats().total
    assert (total.priced_calls, total.unpriced_calls, total.average_cost_usd) == (0, 1, None)
    assert "1 unpriced" in str(client.stats())


def test_stats_are_kept_by_target_and_a_snapshot_does_not_change() -> None:
    with client_of() as client:
        client.chat("a", "Hi")
        before = client.stats()
        client.chat("b", "Hi")
        assert {name: each.calls for name, each in client.stats().by_target.items()} == {"fake/a": 1, "fake/b": 1}
    assert before.total.calls == 1
    assert before.to_dict()["by_target"]["fake/a"]["cost_usd"] == "0"


def test_hits_and_streams_are_counted_too() -> None:
    with client_of(Cache()) as client:
        for _ in range(2):
            assert "".join(chunk.text for chunk in client.chat("m", "Hi", stream=True))
        total = client.stats().total
    assert (total.calls, total.successes, total.cache_hits) == (2, 2, 1)


def test_made_up_names_do_not_fill_the_table() -> None:
    with client_of() as client:
        for number in range(MOST_TARGETS + 3):
            client.chat(f"m{number}", "Hi")
        by_target = client.stats().by_target
    assert len(by_target) == MOST_TARGETS + 1
    assert by_target["other"].calls == 3


# -- health


def test_health_is_unknown_before_the_first_call_and_ok_after_one() -> None:
    with client_of() as client:
        assert client.health().condition == "unknown"
        client.chat("m", "Hi")
        health = client.health()
    assert (health.condition, health.providers["fake"].attempts) == ("ok", 1)
    assert health


def test_a_provider_that_only_fails_is_down_and_one_that_half_fails_is_degraded() -> None:
    with client_of(answers=[Scripted(), FAILURE, FAILURE, Scripted(), Scripted()]) as client:
        client.chat("m", "Hi")
        fail(client)
        assert client.health().condition == "degraded"
    with client_of(answers=[FAILURE]) as client:
        for _ in range(3):
            fail(client)
        health = client.health()
    assert (health.condition, health.providers["fake"].last_error) == ("down", "server_error")
    assert not health


def test_a_stage_that_is_not_well_degrades_the_whole_and_says_why() -> None:
    class Full:
        async def __call__(self, call: Any, call_next: Any) -> Any:
            return await call_next(call)

        async def state(self) -> dict[str, Any]:
            return {"condition": "degraded", "waiting": 7}

    with client_of(Full()) as client:
        client.chat("m", "Hi")
        health = client.health()
    assert (health.condition, health.stages["Full"]["waiting"]) == ("degraded", 7)
    assert health.to_dict()["stages"] == {"Full": {"condition": "degraded", "waiting": 7}}


def test_vendors_can_be_asked_themselves() -> None:
    with Client(Pipeline([], providers=[gw.Simulated()])) as client:
        health = client.health(probe=True)
    assert health.probes["simulated"].available
    assert health.condition == "ok"


# -- update


def test_settings_change_from_the_next_call_on() -> None:
    with client_of(Retry(attempts=1, initial_s=0), answers=[Scripted(error=server_error()), Scripted()]) as client:
        fail(client)
        plan = client.update(retry={"attempts": 2}, timeout_s=30)
        assert plan.stages[0].settings["attempts"] == "2"
        assert plan.stages[0].settings["initial_s"] == "0"
        assert client.chat("m", "Hi").text


def test_a_stage_can_be_taken_out_and_the_whole_list_replaced() -> None:
    with client_of(Retry(), Timeout(total_s=5)) as client:
        assert [stage.name for stage in client.update(retry=None).stages] == ["Timeout"]
        assert [stage.name for stage in client.update(stages=[Cost()]).stages] == ["Cost"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"retry": {"attempts": 0}}, "Retry.attempts: expected at least 1"),
        ({"retry": {"tries": 2}}, "retry.unknown key 'tries'"),
        ({"cache": {"ttl_s": 1}}, "cache: no such stage in this pipeline. It has retry"),
        ({"retry": 3}, "retry: expected a mapping of settings or None, found int"),
        ({"stages": [], "retry": None}, "found both"),
    ],
)
def test_what_cannot_be_changes_nothing(change: dict[str, Any], says: str) -> None:
    with client_of(Retry()) as client:
        before = client.pipeline
        with pytest.raises(ConfigError, match=says.replace(".", r"\.").replace("(", r"\(")):
            client.update(**change)
        assert client.pipeline is before
        assert client.chat("m", "Hi").text


def test_an_order_that_cannot_work_changes_nothing() -> None:
    with client_of() as client:
        before = client.pipeline
        with pytest.raises(PlanError):
            client.update(stages=[Retry(), Cost()])
        assert client.pipeline is before


def test_a_changed_cache_keeps_its_entries_and_the_statistics_go_on() -> None:
    with client_of(Cache()) as client:
        client.chat("m", "Hi")
        client.update(cache={"ttl_s": 60})
        assert client.chat("m", "Hi").record.facts["cache"].verdict == "hit"
        assert client.stats().total.calls == 2


@pytest.mark.anyio
async def test_a_stream_under_way_ends_as_it_began_and_then_what_only_it_used_is_closed() -> None:
    gone, stays = Closing(), Closing()
    client = client_of(gone, stays)
    stream = await client.achat("m", "Hi", stream=True)
    old = client.pipeline
    client.update(stages=[stays])
    assert (await client.achat("m", "Hi")).text
    assert gone.closed == 0
    assert (await stream.response()).text
    assert await asyncio.to_thread(gone.was_closed.wait, 5)
    assert stays.closed == 0
    assert (await old.send(gw.ChatRequest(model="m", messages=({"role": "user", "content": "Hi"},)))).text  # type: ignore[union-attr, arg-type]
    await client.aclose()
    assert stays.closed == 1


def test_calls_of_many_threads_are_not_lost_while_settings_change() -> None:
    from concurrent.futures import ThreadPoolExecutor

    with client_of(Retry()) as client, ThreadPoolExecutor(8) as threads:
        calls = [threads.submit(client.chat, "m", "Hi") for _ in range(200)]
        for number in range(20):
            client.update(retry={"attempts": number + 1})
        assert all(call.result().text for call in calls)
        assert client.stats().total.calls == 200
        assert client.pipeline.in_flight == 0


# -- an orderly end


@pytest.mark.anyio
async def test_draining_refuses_new_calls_and_waits_for_those_under_way() -> None:
    client = client_of()
    stream = await client.achat("m", "Hi", stream=True)
    assert not await client.adrain(0.01)
    with pytest.raises(ConfigError, match="being drained"):
        await client.achat("m", "Hi")
    draining = asyncio.create_task(client.adrain(5))
    assert (await stream.response()).text
    assert await draining
    assert client.pipeline.in_flight == 0


# -- a client of one's own as the default


def test_the_module_s_functions_use_a_client_inside_the_block_only() -> None:
    client = client_of()
    default = gw.default_client()
    with gw.use(client) as used:
        assert used is client
        assert gw.default_client() is client
        assert gw.chat("m", "Hi").provider == "fake"
        assert gw.stats().total.calls == 1
    assert gw.default_client() is default


@pytest.mark.anyio
async def test_tasks_do_not_see_each_other_s_client() -> None:
    async def asked(client: Client) -> str | None:
        with gw.use(client):
            await asyncio.sleep(0)
            return (await gw.achat("m", "Hi")).text

    said = [client_of(answers=[Scripted(text=text)]) for text in ("one", "two")]
    assert await asyncio.gather(*map(asked, said)) == ["one", "two"]


def test_the_average_of_nothing_is_nothing() -> None:
    total = client_of().stats().total
    assert (total.success_rate, total.average_latency_s, total.average_cost_usd) == (None, None, None)
    assert total.cost_usd == Decimal(0)


def test_what_an_update_kept_is_closed_with_the_client_though_no_call_came_after_it() -> None:
    kept = Closing()
    with client_of(kept, Retry(attempts=2)) as client:
        client.chat("m", "Hi")
        client.update(retry={"attempts": 3})
    assert kept.closed == 1
