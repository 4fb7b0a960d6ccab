"""Circuits: when they open, whom they hold back, how they close; shared, they open once."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from builders import Setup, ask, make, server_error
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from glassway import Client, Pipeline
from glassway.middlewares import Cache, CircuitBreaker, CircuitChange, Fallback, Group, Retry, Router
from glassway.middlewares.circuit_breaker.circuit import Circuit, Pass, Terms
from glassway.pipeline.config import Config
from glassway.pipeline.errors import (
    AuthenticationError,
    BadRequestError,
    CircuitOpen,
    ConfigError,
    RateLimitError,
    StreamInterruptedError,
)
from glassway.pipeline.facts import CIRCUITS
from glassway.stores import MemoryStore, Store
from glassway.testing import FakeClock, FakeProvider, Scripted
from glassway.testing.telemetry import assert_conformant, record_telemetry

pytestmark = pytest.mark.anyio

FINE, DOWN = Scripted(), server_error()


async def outcome(setup: Setup, **fields: Any) -> str:
    """`ok`, or the kind of the error."""
    try:
        await setup.answer(**fields)
    except Exception as error:  # noqa: BLE001 - its kind is what is looked at
        return str(getattr(error, "kind", type(error).__name__))
    return "ok"


async def outcomes(setup: Setup, number: int, **fields: Any) -> list[str]:
    return [await outcome(setup, **fields) for _ in range(number)]


def breaker(answers: Any, **given: Any) -> Setup:
    return make([CircuitBreaker(**{"failure_share": None, "failures": 3, **given})], answers, telemetry=False)


# -- opening


@pytest.mark.parametrize("stream", [False, True])
async def test_failures_in_a_row_open_it_and_nothing_is_sent_then(stream: bool) -> None:
    setup = breaker([DOWN])
    assert await outcomes(setup, 5, stream=stream) == ["server_error"] * 3 + ["circuit_open"] * 2
    assert len(setup.provider.calls) == 3


async def test_a_success_between_them_begins_anew() -> None:
    setup = breaker([DOWN, DOWN, FINE, DOWN, DOWN, FINE])
    assert "circuit_open" not in await outcomes(setup, 6)


async def test_a_share_of_the_last_calls_opens_it() -> None:
    setup = breaker([FINE, DOWN] * 20, failures=100, failure_share=0.5, window_calls=10, least_calls=8)
    found = await outcomes(setup, 9)
    assert found == ["ok", "server_error"] * 4 + ["circuit_open"]


@pytest.mark.parametrize(
    "error",
    [
        BadRequestError("No.", status_code=400),
        AuthenticationError("No.", status_code=401),
        RateLimitError("Slow.", status_code=429),
    ],
    ids=lambda error: error.kind,
)
async def test_what_says_nothing_of_its_health_does_not_count(error: Any) -> None:
    assert "circuit_open" not in await outcomes(breaker([error]), 10)


async def test_what_counts_can_be_chosen() -> None:
    setup = breaker([RateLimitError("Slow.", status_code=429)], count=["rate_limited"])
    assert (await outcomes(setup, 4))[-1] == "circuit_open"


async def test_a_refusal_is_an_answer_and_ends_the_row() -> None:
    setup = breaker([DOWN, DOWN, BadRequestError("No.", status_code=400), DOWN, DOWN, FINE])
    assert "circuit_open" not in await outcomes(setup, 6)


async def test_a_stream_that_breaks_after_output_counts() -> None:
    setup = breaker([Scripted(after_chunks=2)])
    for _ in range(3):
        with pytest.raises(StreamInterruptedError):
            await setup.answer(stream=True)
    assert await outcome(setup) == "circuit_open"


async def test_a_reader_that_goes_away_says_nothing() -> None:
    setup = breaker([Scripted(gap_s=1)])
    for _ in range(5):
        stream = await setup.send(stream=True)
        await anext(stream)
        await stream.aclose()
    assert await outcome(setup) == "ok"


async def test_slow_answers_count_where_that_was_asked_for() -> None:
    setup = breaker([Scripted(delay_s=3)], slow_s=2)
    assert await outcomes(setup, 4) == ["ok"] * 3 + ["circuit_open"]


async def test_each_target_has_its_own() -> None:
    setup = breaker([DOWN, DOWN, DOWN, FINE])
    assert await outcomes(setup, 4, model="fake/a") == ["server_error"] * 3 + ["circuit_open"]
    assert await outcome(setup, model="fake/b") == "ok"


async def test_or_each_provider() -> None:
    setup = breaker([DOWN, DOWN, DOWN, FINE], per="provider")
    await outcomes(setup, 3, model="fake/a")
    assert await outcome(setup, model="fake/b") == "circuit_open"


# -- closing


async def test_after_a_while_one_call_tries_and_closes_it() -> None:
    setup = breaker([DOWN, DOWN, DOWN, FINE], open_s=10)
    await outcomes(setup, 3)
    with pytest.raises(
        CircuitOpen, match=r"fake/fake-model failed 3 times .* left alone for (9|10|11)\.\d s more"
    ) as caught:
        await setup.answer()
    assert 8 < (caught.value.retry_after_s or 0) < 12
    await setup.clock.sleep(12)
    assert await outcomes(setup, 3) == ["ok"] * 3
    events = [noted.event for record in setup.ends.records for noted in record.get(CIRCUITS)]
    assert events == ["opened", "refused", "probe", "closed"]


async def test_a_try_that_fails_opens_it_for_twice_as_long() -> None:
    setup = breaker([DOWN], open_s=10, longest_open_s=25)
    await outcomes(setup, 3)
    for longest_s in (11, 22, 27.5, 27.5):
        with pytest.raises(CircuitOpen) as caught:
            await setup.answer()
        wait_s = caught.value.retry_after_s or 0
        assert longest_s * 0.8 < wait_s <= longest_s
        await setup.clock.sleep(wait_s)
        assert await outcome(setup) == "server_error"


async def test_so_many_may_try_at_once_and_so_many_have_to_succeed() -> None:
    setup = breaker([DOWN, DOWN, DOWN, Scripted(delay_s=1)], open_s=10, probes=2, successes=3)
    await outcomes(setup, 3)
    await setup.clock.sleep(12)
    first = await asyncio.gather(*(outcome(setup) for _ in range(5)))
    assert sorted(first) == ["circuit_open"] * 3 + ["ok"] * 2
    assert await outcome(setup) == "ok"
    assert await asyncio.gather(*(outcome(setup) for _ in range(5))) == ["ok"] * 5


@pytest.mark.parametrize("how", ["cancelled", "closed"])
async def test_a_try_that_is_given_up_lets_another_one_try(how: str) -> None:
    setup = breaker([DOWN, DOWN, DOWN, Scripted(delay_s=5, gap_s=5)], open_s=10)
    await outcomes(setup, 3)
    await setup.clock.sleep(12)
    if how == "cancelled":
        task = asyncio.ensure_future(setup.send(stream=True))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    else:
        stream = await setup.send(stream=True)
        await stream.aclose()
    assert await outcome(setup) == "ok"


async def test_late_failures_of_before_do_not_disturb() -> None:
    setup = breaker([Scripted(delay_s=30, error=DOWN), DOWN, DOWN, DOWN, FINE], open_s=10)
    late = asyncio.ensure_future(outcome(setup))
    await asyncio.sleep(0)
    await outcomes(setup, 3)
    await setup.clock.sleep(12)
    assert await outcome(setup) == "ok"
    assert await late == "server_error"
    assert await outcome(setup) == "ok"


# -- together with others


async def test_a_fallback_goes_elsewhere_at_once() -> None:
    providers = [FakeProvider([DOWN]), FakeProvider(name="other")]
    stack = Pipeline([Fallback(["other/m"]), CircuitBreaker(failures=2)], providers=providers, telemetry=False)
    for _ in range(5):
        assert (await stack.send(ask(model="fake/m"))).text  # type: ignore[union-attr]
    assert (len(providers[0].calls), len(providers[1].calls)) == (2, 5)


async def test_a_router_leaves_out_what_is_open() -> None:
    providers = [FakeProvider([DOWN]), FakeProvider(name="other")]
    groups = {"smart": Group(["fake/m", "other/m"])}
    stack = Pipeline([Router(groups=groups), CircuitBreaker(failures=2)], providers=providers, telemetry=False)
    for _ in range(2):
        with pytest.raises(Exception, match="failed"):
            await stack.send(ask(model="smart"))
    reply = await stack.send(ask(model="smart"))
    route = reply.record.facts["route"]  # type: ignore[union-attr]
    assert (route.target, route.considered[0].skipped) == ("other/m", "circuit_open")


async def test_changes_are_told_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    heard: list[CircuitChange] = []
    with caplog.at_level(logging.WARNING):
        setup = breaker([DOWN, DOWN, DOWN, FINE], open_s=10, on_change=heard.append)
        await outcomes(setup, 4)
        await setup.clock.sleep(12)
        await outcome(setup)
    assert heard == [CircuitChange("fake/fake-model", "open", 3), CircuitChange("fake/fake-model", "closed", 3)]
    assert "is open" in caplog.text
    assert "answers again" in caplog.text


async def test_one_who_listens_and_raises_breaks_no_call() -> None:
    def raises(change: CircuitChange) -> None:
        raise ValueError

    assert await outcomes(breaker([DOWN], on_change=raises), 4) == ["server_error"] * 3 + ["circuit_open"]


async def test_health_says_what_is_open() -> None:
    setup = breaker([DOWN])
    stage: Any = setup.pipeline.stages["CircuitBreaker"]
    assert await stage.state() == {"condition": "ok", "circuits": {}}
    await outcomes(setup, 3)
    assert await stage.state() == {"condition": "degraded", "circuits": {"fake/fake-model": "open"}}


async def test_a_dry_run_says_what_would_be_and_changes_nothing() -> None:
    setup = breaker([DOWN])
    await outcomes(setup, 3)
    dry = await setup.pipeline.aexplain(ask())
    assert dry.facts["circuits"][0].event == "refused"
    assert dry.reached_vendor


@pytest.mark.parametrize("stream", [False, True])
async def test_telemetry_says_what_circuits_did(stream: bool) -> None:
    model = f"telemetry-{stream}"
    with record_telemetry() as recorded:
        stack = Pipeline(
            [CircuitBreaker(failures=1)], FakeProvider([DOWN]), telemetry=recorded.telemetry, clock=FakeClock()
        )
        for _ in range(2):
            with pytest.raises(Exception, match="failed"):
                await stack.send(ask(model=model, stream=stream))
        metrics = recorded.metrics
        assert metrics[f'glassway_circuit_events_total{{event="opened",target="fake/{model}"}}'] == 1
        assert metrics[f'glassway_circuit_events_total{{event="refused",target="fake/{model}"}}'] == 1
        assert metrics[f'glassway_circuit_state{{target="fake/{model}"}}'] == 2
        assert_conformant(recorded.spans, metrics)


def test_sync_calls_too() -> None:
    with Client(Pipeline([CircuitBreaker(failures=1)], FakeProvider([DOWN]), telemetry=False)) as client:
        for error in (Exception, CircuitOpen):
            with pytest.raises(error):
                client.chat("fake-model", "Hi")
        assert client.health().stages["CircuitBreaker"]["circuits"] == {"fake/fake-model": "open"}


def test_names_that_callers_make_up_fill_nothing() -> None:
    stage = CircuitBreaker()
    for number in range(1500):
        stage._new(f"fake/{number}")
    assert len(stage._circuits) == 1000


async def test_nor_what_was_looked_up_in_a_store() -> None:
    setup = breaker([FINE], store=MemoryStore())
    for number in range(1100):
        await setup.answer(model=f"fake/{number}")
    stage: Any = setup.pipeline.stages["CircuitBreaker"]
    assert len(stage._shared.seen_ns) <= 1000


async def test_a_circuit_that_opens_takes_no_lease_from_one_who_tries() -> None:
    store = MemoryStore()
    await store.compare_and_set("circuit:circuit:fake/fake-model:probe", None, b"somebody's", 60)
    await outcomes(breaker([DOWN], store=store), 3)
    assert await store.get("circuit:circuit:fake/fake-model:probe") == b"somebody's"


# -- shared


async def test_what_one_process_has_opened_is_open_for_all_and_told_once(store: Store) -> None:
    heard: list[CircuitChange] = []
    setups = [breaker([DOWN], store=store, on_change=heard.append, open_s=600) for _ in range(3)]
    for setup in setups[:2]:  # both have failed for themselves
        await outcomes(setup, 3)
        await setup.pipeline.stages["CircuitBreaker"]._afterwards.flush()  # type: ignore[attr-defined]
    assert await outcome(setups[2]) == "circuit_open"
    assert setups[2].provider.calls == []
    assert [change.state for change in heard] == ["open"]
    for setup in setups:
        await setup.pipeline.aclose()
    await store.aclose()


async def test_one_tries_for_all_and_news_are_no_older_than_they_may_be() -> None:
    clock = FakeClock()
    store = MemoryStore(now_s=lambda: clock.now_ns() / 1e9)
    answers = [DOWN, DOWN, DOWN, Scripted(delay_s=0.5)]
    settings_ = {"store": store, "open_s": 10, "failures": 3, "failure_share": None}
    one, other = (make([CircuitBreaker(**settings_)], answers, telemetry=False, clock=clock) for _ in range(2))
    await outcomes(one, 3)
    assert await outcome(other) == "circuit_open"
    await clock.sleep(12.5)
    tried = await asyncio.gather(outcome(one), outcome(other))
    assert sorted(tried) in (["circuit_open", "ok"], ["circuit_open", "server_error"])


class Broken(MemoryStore):
    """It fails at every question."""

    async def get(self, key: str) -> bytes | None:
        raise ConnectionError

    async def compare_and_set(self, *args: Any) -> bool:
        raise ConnectionError


async def test_without_its_store_a_process_goes_by_its_own_judgement() -> None:
    heard: list[CircuitChange] = []
    setup = breaker([DOWN], store=Broken(), on_change=heard.append)
    assert await outcomes(setup, 4) == ["server_error"] * 3 + ["circuit_open"]
    assert setup.ends.records[0].facts["store_failures"][0].stage == "CircuitBreaker"
    assert len(heard) == 1


async def test_or_fails_closed() -> None:
    setup = breaker([FINE], store=Broken(), on_store_failure="fail_closed")
    assert await outcome(setup) == "store"


# -- against a reference


TERMS = Terms(3, 0.5, 8, 6, 10.0, 40.0, 2, 2)


class Machine(RuleBasedStateMachine):
    """Calls that begin and end in any order and at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.circuit = Circuit(TERMS)
        self.now_ns = 1
        self.under_way: list[Pass] = []
        self.state, self.row, self.last, self.until_ns, self.openings = "closed", 0, list[bool](), 0, 0
        self.probing, self.good = 0, 0
        self.generation = 0
        self.born: list[int] = []

    @rule(seconds=st.floats(0, 30))
    def later(self, seconds: float) -> None:
        self.now_ns += int(seconds * 1e9)

    @rule()
    def begin(self) -> None:
        passed = self.circuit.enter(self.now_ns)
        if self.state == "open" and self.now_ns >= self.until_ns:
            self.state, self.probing, self.good = "half_open", 0, 0
            self.generation += 1
        if self.state == "closed":
            assert passed == Pass(True)
        elif self.state == "open":
            assert not passed.allowed
            assert passed.wait_s == pytest.approx((self.until_ns - self.now_ns) / 1e9)
        else:
            assert passed.allowed == (self.probing < 2)
            self.probing += passed.allowed
        if passed.allowed:
            self.under_way.append(passed)
            self.born.append(self.generation)

    @rule(which=st.integers(0, 20), verdict=st.sampled_from(["success", "failure", "ignored"]))
    def end(self, which: int, verdict: Any) -> None:
        if not self.under_way:
            return
        place = which % len(self.under_way)
        passed, born = self.under_way.pop(place), self.born.pop(place)
        if passed.probe and born != self.generation:  # of an earlier turn
            assert self.circuit.leave(passed, verdict, self.now_ns) is None
            return
        changed = self.circuit.leave(passed, verdict, self.now_ns)
        assert changed == self.expected(passed, verdict)
        self.until_ns = self.circuit.until_ns

    def expected(self, passed: Pass, verdict: str) -> str | None:
        if passed.probe:
            if self.state != "half_open":
                return None
            self.probing -= 1
            if verdict == "failure":
                return self.opens()
            self.good += verdict == "success"
            return self.closes() if self.good >= 2 else None
        if self.state != "closed" or verdict == "ignored":
            return None
        self.row = self.row + 1 if verdict == "failure" else 0
        self.last = [*self.last, verdict == "failure"][-8:]
        share = len(self.last) >= 6 and sum(self.last) / len(self.last) >= 0.5
        return self.opens() if verdict == "failure" and (self.row >= 3 or share) else None

    def opens(self) -> str:
        self.openings += 1
        self.state, self.last = "open", []
        length_s = min(40.0, 10.0 * 2 ** (self.openings - 1))
        assert 0.9 * length_s <= (self.circuit.until_ns - self.now_ns) / 1e9 + 1e-6
        assert (self.circuit.until_ns - self.now_ns) / 1e9 <= 1.1 * length_s
        return "open"

    def closes(self) -> str:
        self.state, self.row, self.openings, self.last = "closed", 0, 0, []
        self.generation += 1
        return "closed"

    @invariant()
    def they_agree(self) -> None:
        assert self.circuit.state == self.state
        assert self.circuit.is_open(self.now_ns) == (self.state == "open" and self.now_ns < self.until_ns)


Machine.TestCase.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
TestModel = Machine.TestCase


# -- settings and order


@pytest.mark.parametrize(
    ("settings_", "message"),
    [
        ({"failures": 0}, "failures: expected a whole number from 1"),
        ({"probes": True}, "probes: expected a whole number"),
        ({"failure_share": 1.5}, "failure_share: expected a share above 0"),
        ({"least_calls": 50}, "could never open by its share"),
        ({"open_s": 0}, "open_s: expected seconds above 0"),
        ({"slow_s": -1}, "slow_s: expected seconds above 0"),
        ({"refresh_s": 0}, "refresh_s: expected seconds above 0"),
        ({"longest_open_s": 1}, "longest_open_s: expected at least open_s"),
        ({"per": "planet"}, "per: expected target or provider"),
        ({"count": ["bad luck"]}, "count: expected a list of kinds"),
        ({"count": "timeout"}, "count: expected a list of kinds"),
        ({"count": []}, "count: expected a list of kinds"),
        ({"on_change": 5}, "on_change: expected a function"),
        ({"on_store_failure": "x"}, "on_store_failure: expected fail_open or fail_closed"),
    ],
    ids=str,
)
def test_settings_that_cannot_be_are_refused(settings_: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        CircuitBreaker(**settings_)


def test_yaml_can_say_it() -> None:
    entry = {"circuit_breaker": {"failures": 2, "count": ["timeout"], "store": "memory"}}
    stage = Config.read({"pipeline": [entry]}, {}).pipeline(telemetry=False).stages["CircuitBreaker"]
    assert isinstance(stage, CircuitBreaker)
    with pytest.raises(ConfigError, match="is made in Python"):
        Config.read({"pipeline": [{"circuit_breaker": {"on_change": "x"}}]}, {}).pipeline(telemetry=False)


@pytest.mark.parametrize("inner", [Fallback(["other/m"]), Retry(), Cache()], ids=lambda stage: type(stage).__name__)
def test_advice_on_its_place(inner: Any) -> None:
    assert type(inner).__name__ in Pipeline([CircuitBreaker(), inner], FakeProvider()).explain().advice[0]
    assert Pipeline([inner, CircuitBreaker()], FakeProvider()).explain().advice == ()
