"""Budgets: reserved before, settled after, never overrun; an unknown price is never nothing."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from math import ceil
from typing import Any

import pytest
from builders import Setup, ask, make, server_error
from hypothesis import given
from hypothesis import strategies as st

from glassway import CallOptions, Client, Pipeline
from glassway.middlewares import Budget, BudgetOf, BudgetWarning, Cache, Cost, Hedge, Retry
from glassway.middlewares.budget.ceiling import Rung
from glassway.middlewares.budget.purse import beginning, micro_of
from glassway.pipeline.call import NO_OPTIONS, Call
from glassway.pipeline.config import Config
from glassway.pipeline.errors import BudgetExceeded, ConfigError, PlanError, StoreError, UnpricedModel
from glassway.pipeline.facts import BUDGETS
from glassway.pipeline.pricing import Price, Rates
from glassway.pipeline.types import Usage
from glassway.stores import MemoryStore, Store, Window
from glassway.testing import FakeClock, FakeProvider, Scripted
from glassway.testing.telemetry import assert_conformant, record_telemetry

pytestmark = pytest.mark.anyio

PRICES = {"fake/m": {"input": 0, "output": 1000}}
"""A dollar for each thousand tokens of output."""
USED = Usage(prompt_tokens=10, completion_tokens=20, total_tokens=30)
TWO_CENTS = (Scripted(usage=USED),)


def budgeted(answers: Any = TWO_CENTS, *inside: Any, store: Store | None = None, **settings: Any) -> Setup:
    """A budget whose store goes by the test's clock."""
    setup = make([], answers)
    stage = Budget(
        store=MemoryStore(now_s=lambda: setup.clock.now_ns() / 1e9) if store is None else store,
        **{"overrides": PRICES, "period": 3600, **settings},
    )
    stages = [setup.ends, Cost(overrides=PRICES), stage, *inside]
    setup.pipeline = Pipeline(stages, setup.provider, telemetry=False, clock=setup.clock, timeout_s=None)
    return setup


async def passes(setup: Setup, options: CallOptions = NO_OPTIONS, **fields: Any) -> bool:
    try:
        await setup.answer(options, **{"model": "fake/m", **fields})
    except BudgetExceeded:
        return False
    return True


async def left(setup: Setup, name: str = "all/3600s") -> Decimal:
    state = await setup.pipeline.stages["Budget"].state()  # type: ignore[attr-defined]
    return Decimal(state["budgets"][name]["left_usd"])


@pytest.mark.parametrize("stream", [False, True])
async def test_the_most_is_reserved_and_the_bill_takes_its_place(stream: bool) -> None:
    setup = budgeted(usd=1)
    assert await passes(setup, max_tokens=100, stream=stream)
    (fact,) = setup.ends.records[-1].get(BUDGETS)
    assert (fact.verdict, fact.reserved_usd, fact.left_usd) == ("passed", Decimal("0.1"), Decimal("0.9"))
    assert await left(setup) == Decimal("0.98")


async def test_calls_at_once_cannot_spend_the_same_money() -> None:
    setup = budgeted([Scripted(usage=USED, delay_s=5)], usd=1)
    assert sum(await asyncio.gather(*(passes(setup, max_tokens=300) for _ in range(10)))) == 3
    assert await left(setup) == Decimal("0.94")


async def test_when_it_is_spent_it_is_spent_until_the_next_period() -> None:
    setup = budgeted(usd="0.10", period="day")
    assert [await passes(setup, max_tokens=20) for _ in range(7)] == [True] * 5 + [False] * 2
    with pytest.raises(
        BudgetExceeded, match=r"The budget 'all/day' is 0\.1 USD a day; 0 are left, and the call may cost 0\.02"
    ) as caught:
        await setup.answer(model="fake/m", max_tokens=20)
    assert 0 < (caught.value.retry_after_s or 0) <= 86_400
    await setup.clock.sleep(caught.value.retry_after_s or 0)
    assert await passes(setup, max_tokens=20)


async def test_any_window_of_seconds_holds() -> None:
    setup = budgeted(usd="0.04", period=60)
    assert [await passes(setup, max_tokens=20) for _ in range(3)] == [True, True, False]
    await setup.clock.sleep(62)
    assert await passes(setup, max_tokens=20)


async def test_each_tenant_has_its_own_and_all_share_another() -> None:
    budgets = [BudgetOf(usd="0.03", per="tenant", period=7200), BudgetOf(usd="0.07", period=7200, name="house")]
    setup = budgeted(budgets=budgets)
    a, b, c = (CallOptions(tenant=name) for name in "abc")
    assert [await passes(setup, each, max_tokens=20) for each in (a, a, b, c, c)] == [True, False, True, True, False]
    with pytest.raises(BudgetExceeded, match="of 'a'"):
        await setup.answer(a, model="fake/m", max_tokens=20)
    assert await left(setup, "house") == Decimal("0.01")


async def test_a_refusal_reserves_nothing_anywhere() -> None:
    setup = budgeted(budgets=[BudgetOf(usd=1, period=7200), BudgetOf(usd="0.01", period="hour")])
    assert not await passes(setup, max_tokens=20)
    assert await left(setup, "all/7200s") == 1
    assert setup.provider.calls == []


async def test_retries_are_on_the_bill_too() -> None:
    slow = Scripted(usage=USED, error=server_error(), after_chunks=2)
    setup = budgeted([server_error(), *TWO_CENTS], Retry(initial_s=0, maximum_s=0), usd=1)
    assert await passes(setup, max_tokens=100)
    assert await left(setup) == Decimal("0.98")
    setup = budgeted([slow], usd=1)
    with pytest.raises(Exception, match="failed"):
        await setup.answer(model="fake/m", max_tokens=100, stream=True)
    assert await left(setup) < 1


async def test_a_call_that_costs_more_than_was_reserved_takes_that_too() -> None:
    setup = budgeted([Scripted(usage=Usage(prompt_tokens=1, completion_tokens=900, total_tokens=901))], usd=1)
    assert await passes(setup, max_tokens=10)
    assert await left(setup) == Decimal("0.1")


async def test_a_failure_that_cost_nothing_gives_everything_back() -> None:
    setup = budgeted([server_error()], usd=1)
    with pytest.raises(Exception, match="failed"):
        await setup.answer(model="fake/m")
    assert await left(setup) == 1


@pytest.mark.parametrize("ending", ["closed", "cancelled"])
async def test_a_stream_that_ends_early_is_settled_by_its_bill(ending: str) -> None:
    setup = budgeted([Scripted(usage=USED, gap_s=5)], usd=1)
    stream = await setup.send(model="fake/m", max_tokens=500, stream=True)
    await anext(stream)
    if ending == "closed":
        await stream.aclose()
    else:
        task = asyncio.ensure_future(stream.response())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    cost = setup.ends.record.cost
    assert cost is not None
    assert cost.amount_usd is not None
    assert await left(setup) == 1 - cost.amount_usd


async def test_a_hit_of_a_cache_inside_costs_nothing() -> None:
    setup = budgeted(TWO_CENTS, Cache(), usd=1)
    for _ in range(3):
        await setup.answer(model="fake/m", temperature=0, max_tokens=20)
    assert await left(setup) == Decimal("0.98")


async def test_without_a_cost_stage_the_bill_is_made_all_the_same() -> None:
    setup = budgeted(usd=1)
    stages = [stage for name, stage in setup.pipeline.stages.items() if name != "Cost"]
    setup.pipeline = Pipeline(stages, setup.provider, telemetry=False, clock=setup.clock)
    await setup.answer(model="fake/m", max_tokens=500)
    assert await left(setup) == Decimal("0.98")


async def test_the_smallest_amounts_count() -> None:
    assert micro_of(Decimal("0.0000001")) == 1
    cheap = {"fake/m": {"input": 0, "output": "0.01"}}
    setup = budgeted(usd=1, overrides=cheap)
    setup.pipeline = Pipeline([setup.pipeline.stages["Budget"]], setup.provider, telemetry=False, clock=setup.clock)
    for _ in range(3):
        await setup.answer(model="fake/m")
    assert await left(setup) == 1 - Decimal("0.000003")


# -- unknown prices


async def test_what_nobody_can_bill_is_refused() -> None:
    setup = budgeted(usd=1, overrides={})
    with pytest.raises(UnpricedModel, match="Nobody knows what fake/unheard-of costs"):
        await setup.answer(model="fake/unheard-of")
    assert setup.provider.calls == []
    assert setup.ends.record.get(BUDGETS)[0].verdict == "refused"


async def test_or_passes_uncounted_and_said_to_be() -> None:
    setup = budgeted(usd=1, overrides={}, unpriced="allow")
    await setup.answer(model="fake/unheard-of")
    assert [fact.verdict for fact in setup.ends.record.get(BUDGETS)] == ["unpriced", "passed"]
    assert await left(setup) == 1


async def test_but_not_once_the_money_is_gone() -> None:
    setup = budgeted(usd="0.02", unpriced="allow")
    assert await passes(setup, max_tokens=20)
    assert not await passes(setup, model="fake/unheard-of")


# -- warnings


async def test_a_warning_is_given_once_a_period(caplog: pytest.LogCaptureFixture) -> None:
    heard: list[BudgetWarning] = []
    setup = budgeted(budgets=[BudgetOf(usd="0.10", per="tenant", period="day", warn_at=0.5)], on_warning=heard.append)
    acme = CallOptions(tenant="acme")
    with caplog.at_level(logging.WARNING):
        for _ in range(5):
            await passes(setup, acme, max_tokens=20)
    assert heard == [BudgetWarning("tenant/day", "acme", Decimal("0.06"), Decimal("0.1"))]
    assert [record.get(BUDGETS)[0].verdict for record in setup.ends.records] == ["passed"] * 2 + ["warned"] * 3
    assert len(caplog.records) == 1
    await setup.clock.sleep(86_400)
    for _ in range(3):
        await passes(setup, acme, max_tokens=20)
    assert len(heard) == 2


async def test_a_warning_that_raises_breaks_no_call(caplog: pytest.LogCaptureFixture) -> None:
    def raises(warning: BudgetWarning) -> None:
        raise ValueError

    setup = budgeted(usd="0.02", on_warning=raises)
    assert await passes(setup, max_tokens=20)
    assert "on_warning raised" in caplog.text


# -- the store


async def test_stages_that_share_a_store_share_the_money(store: Store) -> None:
    setups = [budgeted(usd="0.10", store=store) for _ in range(2)]
    passed = []
    for number, setup in enumerate(setups * 4):
        passed.append(await passes(setup, max_tokens=30, stream=number % 2 == 0))
        await setup.pipeline.stages["Budget"]._afterwards.flush()  # type: ignore[attr-defined]  # bills are settled off the path
    for setup in setups:
        await setup.pipeline.aclose()
    assert passed == [True] * 4 + [False] * 4
    assert (await store.take([Window("budget:all/3600s:", 100_000, 3600.0)], [0])).used == (80_000,)
    await store.aclose()


RATES = st.decimals("0", "1000", places=6)


@given(RATES, RATES, RATES, st.integers(0, 10**7), st.integers(0, 10**6))
def test_the_most_is_exact_and_rounded_up(
    per_input: Decimal, per_output: Decimal, fixed: Decimal, prompt: int, output: int
) -> None:
    price = Price(Rates(input=per_input, output=per_output), request_usd=fixed)
    _, by_input, by_output, request, parts = Rung.of(-1, price.rates, price)
    assert by_input is not None
    assert by_output is not None
    found = -(-(by_input * prompt + by_output * output + request) // parts)
    assert found == ceil(Fraction(per_input) * prompt + Fraction(per_output) * output + Fraction(fixed) * 1_000_000)


async def test_pipelines_that_share_a_budget_may_mean_different_vendors_by_a_name() -> None:
    budget = Budget(usd=1, overrides={"dear/m": {"input": 0, "output": 100_000}, "cheap/m": {"input": 0, "output": 1}})
    call = ask(model="mine/m", max_tokens=1000)
    most = []
    for known in ({"mine": "dear"}, {"mine": "cheap"}, {"mine": "dear"}):
        most.append(budget._ceilings.micro(Call.start(call, known=known, clock=FakeClock())))
    assert most == [100_000_000, 1000, 100_000_000]


class Broken(MemoryStore):
    """It fails at every question: at once, or to whoever waits for the answer."""

    def __init__(self, at_once: bool) -> None:
        super().__init__()
        self.immediate = at_once

    def take_now(self, windows: Any, amounts: Any) -> Any:
        raise ConnectionError


@pytest.mark.parametrize("at_once", [True, False])
async def test_a_store_that_fails_lets_no_call_pass(at_once: bool) -> None:
    setup = budgeted(usd=1, store=Broken(at_once))
    with pytest.raises(StoreError, match="fails closed"):
        await setup.answer(model="fake/m")
    assert setup.provider.calls == []


@pytest.mark.parametrize("at_once", [True, False])
async def test_or_all_where_that_was_chosen(at_once: bool) -> None:
    setup = budgeted(usd=1, store=Broken(at_once), on_store_failure="fail_open")
    assert await passes(setup)
    assert setup.ends.record.get(BUDGETS)[0].verdict == "not_checked"
    assert (await setup.pipeline.stages["Budget"].state())["condition"] == "degraded"  # type: ignore[attr-defined]


# -- dry runs, telemetry, order, settings


async def test_a_dry_run_reserves_nothing_and_says_what_would_be() -> None:
    setup = budgeted(usd="0.02")
    assert (await setup.pipeline.aexplain(ask(model="fake/m", max_tokens=20))).facts["budgets"][0].verdict == "passed"
    assert await passes(setup, max_tokens=20)
    dry = await setup.pipeline.aexplain(ask(model="fake/m", max_tokens=20))
    assert dry.facts["budgets"][0].verdict == "would_refuse"


@pytest.mark.parametrize("stream", [False, True])
async def test_telemetry_says_what_budgets_did(stream: bool) -> None:
    with record_telemetry() as recorded:
        name = f"telemetry {stream}"
        stages = [Budget(budgets=[BudgetOf(usd="0.02", name=name)], overrides=PRICES)]
        stack = Pipeline(stages, FakeProvider(TWO_CENTS), telemetry=recorded.telemetry, clock=FakeClock())
        reply = await stack.send(ask(model="fake/m", max_tokens=20, stream=stream))
        if stream:
            await reply.response()  # type: ignore[union-attr]
        with pytest.raises(BudgetExceeded):
            await stack.send(ask(model="fake/m", max_tokens=20, stream=stream))
        metrics = recorded.metrics
        assert metrics[f'glassway_budget_verdicts_total{{budget="{name}",verdict="warned"}}'] == 1
        assert metrics[f'glassway_budget_verdicts_total{{budget="{name}",verdict="refused"}}'] == 1
        assert metrics[f'glassway_budget_used_usd{{budget="{name}"}}'] == 0.02
        assert_conformant(recorded.spans, metrics)


def test_sync_calls_have_a_budget_too() -> None:
    stack = Pipeline([Budget(usd="0.02", overrides=PRICES)], FakeProvider(TWO_CENTS), telemetry=False)
    with Client(stack) as client:
        assert client.chat("fake/m", "Hi", max_tokens=20).text
        with pytest.raises(BudgetExceeded):
            client.chat("fake/m", "Hi", max_tokens=20, stream=True)
        client.update(budget={"usd": "0.04"})
        assert client.chat("fake/m", "Hi", max_tokens=20).text
        assert client.health().stages["Budget"]["budgets"]["all/month"]["left_usd"] == "0"
        assert client.health().condition == "degraded"


@pytest.mark.parametrize("outer", [Retry(), Hedge(after_s=1)], ids=["Retry", "Hedge"])
def test_it_stands_outside_what_asks_again(outer: Any) -> None:
    with pytest.raises(PlanError, match="Budget"):
        Pipeline([outer, Budget(usd=1)], FakeProvider())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "expected usd or budgets, found neither"),
        ({"usd": 0}, "BudgetOf.usd: expected a millionth"),
        ({"usd": -1}, "BudgetOf.usd: expected US dollars of at least 0"),
        ({"usd": "much"}, "BudgetOf.usd: expected a number of US dollars"),
        ({"usd": 1, "period": "fortnight"}, "BudgetOf.period: expected hour, day"),
        ({"usd": 1, "period": 0}, "BudgetOf.period: expected seconds above 0"),
        ({"usd": 1, "per": "x"}, "BudgetOf.per: expected one or several"),
        ({"usd": 1, "unpriced": "free"}, "unpriced: expected refuse or allow"),
        ({"usd": 1, "output_tokens": 0}, "output_tokens: expected a whole number from 1"),
        ({"usd": 1, "on_warning": "mail"}, "on_warning: expected a function"),
        ({"usd": 1, "on_store_failure": "x"}, "on_store_failure: expected fail_open or fail_closed"),
        ({"budgets": [{"period": "day"}]}, r"Budget.budgets\[0\].usd: expected a value, found none"),
        ({"budgets": [{"usd": 1, "warn_at": 0}]}, r"Budget.budgets\[0\]: BudgetOf.warn_at"),
        ({"budgets": [{"usd": 1}], "usd": 1}, "two are called 'all/month'"),
    ],
    ids=str,
)
def test_settings_that_cannot_be_are_refused(settings: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Budget(**settings)


def test_yaml_can_say_it() -> None:
    entry = {"budget": {"budgets": [{"usd": 5, "period": "week", "per": "tenant"}], "unpriced": "allow"}}
    stage = Config.read({"pipeline": [entry]}, {}).pipeline(telemetry=False).stages["Budget"]
    assert isinstance(stage, Budget)
    assert stage.budgets[0].name == "tenant/week"
    with pytest.raises(ConfigError, match="are made in Python"):
        Config.read({"pipeline": [{"budget": {"usd": 1, "on_warning": "x"}}]}, {}).pipeline(telemetry=False)


@pytest.mark.parametrize(
    ("period", "begins", "left_s"),
    [
        ("hour", (2026, 2, 28, 23), 1),
        ("day", (2026, 2, 28), 1),
        ("week", (2026, 2, 23), 86_401),
        ("month", (2026, 2, 1), 1),
        ("year", (2026, 1, 1), 306 * 86_400 + 1),
    ],
)
def test_periods_are_the_calendars(period: Any, begins: tuple[int, ...], left_s: float) -> None:
    now = datetime(2026, 2, 28, 23, 59, 59, tzinfo=UTC)
    assert beginning(period, now) == datetime(*begins, tzinfo=UTC)  # type: ignore[arg-type,misc]
    assert BudgetOf(usd=1, period=period).left_s(int(now.timestamp() * 1e9)) == left_s
