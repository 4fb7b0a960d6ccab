"""Strategies: that each chooses as it says, in numbers where chance is in it."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from decimal import Decimal
from typing import Any

import pytest
from builders import ask, server_error
from hypothesis import given
from hypothesis import strategies as st
from routes import THREE, Routed, grouped

from glassway import CallOptions
from glassway.middlewares import Group
from glassway.middlewares.router import Fastest, LeastBusy, Member, PowerOfTwo, RoundRobin, Strategy, Weighted
from glassway.middlewares.router.strategies import STRATEGIES, make_strategy
from glassway.pipeline.call import Target
from glassway.pipeline.errors import APIError, BudgetExceeded, ConfigError, UnpricedModel
from glassway.testing import Scripted

pytestmark = pytest.mark.anyio


def seeded(seed: int = 7) -> Any:
    return random.Random(seed).random


def weighing(*weights: float) -> list[Member]:
    return [Member(name, weight) for name, weight in zip(THREE, weights, strict=True)]


def chi_square(found: Counter[str], shares: dict[str, float]) -> float:
    count = sum(found.values())
    return sum((found[name] - share * count) ** 2 / (share * count) for name, share in shares.items())


# -- weighted


async def test_weights_are_shares() -> None:
    made = grouped(Weighted(random=seeded()), weighing(6, 3, 1))
    found = await made.sends(3_000)
    assert chi_square(found, {"a/m": 0.6, "b/m": 0.3, "c/m": 0.1}) < 13.8  # 2 degrees of freedom, one in a thousand


async def test_what_comes_next_is_weighted_too() -> None:
    made = grouped(Weighted(random=seeded()), weighing(1, 8, 2))
    seconds: Counter[str] = Counter()
    for _ in range(2_000):
        route = await made.send()
        assert route is not None
        if route.target == "a/m":
            seconds[route.rest[0]] += 1
    assert chi_square(seconds, {"b/m": 0.8, "c/m": 0.2}) < 10.8  # 1 degree


async def test_weight_nought_is_taken_only_when_no_other_can() -> None:
    made = grouped(Weighted(random=seeded()), weighing(0, 1, 0))
    assert await made.sends(50) == {"b/m": 50}
    assert made.route is not None
    assert set(made.route.rest) == {"a/m", "c/m"}


@pytest.mark.parametrize(
    ("sticky_by", "said"),
    [
        ("user", lambda name: ({"user": name}, CallOptions())),
        ("tenant", lambda name: ({}, CallOptions(tenant=name))),
        ("metadata.session", lambda name: ({}, CallOptions(metadata={"session": name}))),
    ],
)
async def test_who_is_sticky_stays_and_all_together_keep_the_shares(sticky_by: str, said: Any) -> None:
    made = grouped({"weighted": {"sticky_by": sticky_by}}, weighing(2, 1, 1))
    found: Counter[str] = Counter()
    for number in range(600):
        fields, options = said(f"who-{number}")
        targets = {(await made.send("smart", options, **fields)).target for _ in range(2)}  # type: ignore[union-attr]  # routes
        assert len(targets) == 1
        found.update(targets)
    assert chi_square(found, {"a/m": 0.5, "b/m": 0.25, "c/m": 0.25}) < 13.8


async def test_a_target_that_goes_moves_only_its_own_users_and_weights_move_few() -> None:
    async def where(members: list[Member]) -> list[str]:
        made = grouped(Weighted("user"), members)
        return [(await made.send(user=f"u{number}")).target for number in range(300)]  # type: ignore[union-attr]  # routes

    before, without_b = await where(weighing(1, 1, 1)), await where([Member("a/m"), Member("c/m")])
    assert all(old == new for old, new in zip(before, without_b, strict=True) if old != "b/m")
    heavier = await where(weighing(1, 2, 1))
    assert all(new == "b/m" for old, new in zip(before, heavier, strict=True) if old != new)


async def test_calls_without_the_key_are_spread() -> None:
    made = grouped(Weighted("user", random=seeded()), weighing(1, 1, 1))
    assert set(await made.sends(30)) == set(THREE)


# -- in turn


async def test_each_has_its_turn() -> None:
    made = grouped("round_robin")
    routes = [await made.send() for _ in range(6)]
    assert [route.target for route in routes if route] == [*THREE, *THREE]
    assert routes[1] is not None
    assert routes[1].rest == ("c/m", "a/m")


# -- by load


async def busy_with(made: Routed, count: int) -> list[Any]:
    return [await made.pipeline.send(ask(model="smart", stream=True)) for _ in range(count)]


async def test_the_least_busy_is_chosen_streams_count_until_they_end() -> None:
    made = grouped(LeastBusy(random=seeded()))
    streams = await busy_with(made, 9)
    assert Counter(record for record in (stream_target(made, number) for number in range(9))) == dict.fromkeys(THREE, 3)
    for stream in streams:
        await stream.response()


def stream_target(made: Routed, number: int) -> str:
    calls = sorted(
        ((call.attempt.start_ns, name, place) for name, vendor in made.vendors.items() for place, call in enumerate(vendor.calls) if call.attempt),
    )  # fmt: skip
    return f"{calls[number][1]}/m"


async def test_calls_that_start_together_see_each_other() -> None:
    made = grouped(LeastBusy(random=seeded()), answers={name: [Scripted(delay_s=1)] for name in "abc"})
    await asyncio.gather(*(made.pipeline.send(ask(model="smart")) for _ in range(30)))
    assert [len(vendor.calls) for vendor in made.vendors.values()] == [10, 10, 10]


async def test_more_weight_takes_more_at_a_time() -> None:
    made = grouped(LeastBusy(random=seeded()), weighing(3, 1, 1), answers={name: [Scripted(delay_s=1)] for name in "abc"})  # fmt: skip
    await asyncio.gather(*(made.pipeline.send(ask(model="smart")) for _ in range(50)))
    assert [len(vendor.calls) for vendor in made.vendors.values()] == [30, 10, 10]


async def test_of_two_drawn_the_less_busy_is_chosen() -> None:
    names = [f"a/{number}" for number in range(10)]
    made = grouped(PowerOfTwo(random=seeded()), names, answers={"a": [Scripted(delay_s=1)]})
    await asyncio.gather(*(made.pipeline.send(ask(model="smart")) for _ in range(500)))
    loads = Counter(call.target.model for call in made.vendors["a"].calls)
    assert max(loads.values()) - min(loads.values()) <= 6  # one draw alone would be off by some 20
    assert len(loads) == 10


async def test_two_choices_avoid_the_busiest_of_all() -> None:
    made = grouped(PowerOfTwo(random=seeded()))
    router: Any = made.pipeline.stages["Router"]
    for _ in range(5):
        router.board.watch(Target("a", "m"))
    assert "a/m" not in await made.sends(60)


# -- by speed


async def test_unmeasured_targets_are_tried_first_then_the_fastest_is_taken() -> None:
    delays = {"a": [Scripted(delay_s=3)], "b": [Scripted(delay_s=1)], "c": [Scripted(delay_s=2)]}
    made = grouped("latency", answers=delays)
    assert await made.sends(3) == dict.fromkeys(THREE, 1)
    assert await made.sends(10) == {"b/m": 10}
    assert made.route is not None
    assert made.route.rest == ("c/m", "a/m")
    assert [one.score for one in made.route.considered] == pytest.approx([3, 1, 2])


@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
async def test_it_adapts_when_the_fastest_slows_down_and_comes_back_when_it_is_fast_again(stream: bool) -> None:
    b = [Scripted(delay_s=1)] * 10 + [Scripted(delay_s=20)] * 2 + [Scripted(delay_s=0.5)]
    made = grouped("latency", ["a/m", "b/m"], answers={"a": [Scripted(delay_s=3)], "b": b})
    await made.sends(10, stream=stream)
    assert made.reached == "b/m"
    await made.sends(6, stream=stream)
    assert made.reached == "a/m"
    await made.sends(80, stream=stream)  # 3 s each: what was slow is explored after its minute of quiet
    assert made.reached == "b/m"


async def test_streams_are_compared_by_their_first_chunk() -> None:
    early = Scripted(text="one two three four", delay_s=1, gap_s=1)
    late = Scripted(text="one two three four", delay_s=2, gap_s=0)
    made = grouped("latency", ["a/m", "b/m"], answers={"a": [early], "b": [late]})
    found = await made.sends(8, stream=True)
    assert found["a/m"] >= 7


async def test_a_target_that_fails_quickly_is_not_fast() -> None:
    made = grouped("latency", ["a/m", "b/m"], answers={"a": [server_error()], "b": [Scripted(delay_s=2)]})
    for _ in range(12):
        try:
            await made.send()
        except APIError:
            continue
    assert len(made.vendors["a"].calls) == 1
    assert made.route is not None
    assert made.route.considered[0].detail == "100% fail"


async def test_only_one_call_at_a_time_explores() -> None:
    made = grouped("latency", ["a/m", "b/m"], answers={"a": [Scripted(delay_s=1)], "b": [Scripted(delay_s=50)]})
    await made.send()  # a is known
    await asyncio.gather(*(made.pipeline.send(ask(model="smart")) for _ in range(20)))
    assert len(made.vendors["b"].calls) == 1


async def test_above_the_ceiling_is_skipped_unless_all_are() -> None:
    made = grouped({"latency": {"ceiling_s": 2}}, answers={"a": [Scripted(delay_s=3)], "b": [Scripted(delay_s=1)]})
    await made.sends(4)
    assert made.route is not None
    assert made.route.considered[0].skipped == "latency"
    assert "a/m" not in made.route.rest
    made = grouped({"latency": {"ceiling_s": 2}}, ["a/m"], answers={"a": [Scripted(delay_s=3)]})
    await made.sends(2)
    assert made.route is not None
    assert (made.route.target, made.route.least_bad) == ("a/m", True)


async def test_weights_divide_the_time() -> None:
    answers = {"a": [Scripted(delay_s=3)], "b": [Scripted(delay_s=2)]}
    made = grouped("latency", [Member("a/m", 2), Member("b/m")], answers=answers)
    await made.sends(4)
    assert made.reached == "a/m"


async def test_without_exploring_what_was_measured_once_is_left_alone() -> None:
    b = [Scripted(delay_s=20), Scripted(delay_s=0.1)]
    made = grouped(Fastest(explore_after_s=None), ["a/m", "b/m"], answers={"a": [Scripted(delay_s=3)], "b": b})
    await made.sends(2)
    made.clock.advance(100_000)
    await made.sends(5)
    assert made.reached == "a/m"


# -- by price

PRICES = {
    "a/m": {"input": "3", "output": "15"},
    "b/m": {"input": "0.15", "output": "0.6"},
    "c/m": {"input": "0.1", "output": "9"},
}


async def test_the_cheapest_for_this_request_is_taken_by_exact_prices() -> None:
    made = grouped({"cost": {"overrides": PRICES}})
    await made.send(max_tokens=1_000)
    assert made.reached == "b/m"  # c asks little for reading and much for writing
    assert made.route is not None
    score = made.route.considered[1].score
    assert isinstance(score, Decimal)
    assert score == (Decimal("0.15") * 6 + Decimal("0.6") * 1_000) / 1_000_000
    await made.send(text="x" * 400_000, max_tokens=1)
    assert made.reached == "c/m"


@given(
    st.lists(st.tuples(st.integers(1, 10**6), st.integers(1, 10**6)), min_size=3, max_size=3),
    st.integers(0, 100_000),
    st.integers(0, 20_000),
)
def test_no_target_would_be_cheaper(prices: list[tuple[int, int]], characters: int, limit: int) -> None:
    rates = {name: (Decimal(read) / 1000, Decimal(write) / 1000) for name, (read, write) in zip(THREE, prices, strict=True)}  # fmt: skip
    overrides = {name: {"input": read, "output": write} for name, (read, write) in rates.items()}
    made = grouped({"cost": {"overrides": overrides}})
    run = made.pipeline.explain(ask("x" * characters, model="smart", max_tokens=limit))
    route = run.facts["route"]
    tokens = (characters + 8) // 4 + 4
    amounts = {name: (read * tokens + write * limit) / 1_000_000 for name, (read, write) in rates.items()}
    assert amounts[route.target] == min(amounts.values())
    assert [amounts[name] for name in (route.target, *route.rest)] == sorted(amounts.values())


async def test_an_unknown_price_is_never_free() -> None:
    made = grouped({"cost": {"overrides": {"b/m": PRICES["a/m"]}}}, ["a/m", "b/m"])
    route = await made.send()
    assert route is not None
    assert (route.target, route.rest) == ("b/m", ("a/m",))
    assert (route.considered[0].score, route.considered[0].detail) == (None, "no price is known")


async def test_above_the_ceiling_nothing_is_sent() -> None:
    strategy = {"cost": {"overrides": PRICES, "ceiling_usd": "0.001"}}
    made = grouped(strategy, ["a/m", "b/m"])
    route = await made.send(max_tokens=1_000)
    assert route is not None
    assert (route.target, route.rest, route.considered[0].skipped) == ("b/m", (), "price")
    with pytest.raises(BudgetExceeded, match=r"a/m: .* skipped: price"):
        await made.send(max_tokens=100_000)
    with pytest.raises(UnpricedModel, match="Give prices"):
        await grouped(strategy, ["a/other"]).send()
    assert not any(vendor.calls[1:] for vendor in made.vendors.values())


async def test_prices_of_known_models_are_known_and_live() -> None:
    made = grouped({"cost": {"prices": Dated()}}, ["a/m", "b/m"])
    await made.send()
    assert made.reached == "a/m"
    made.clock.advance(120)
    await made.send()
    assert made.reached == "b/m"


class Dated:
    """A table in which the one gets dearer after a minute."""

    name, version, date = "dated", "1", ""

    def __init__(self) -> None:
        self.first: Any = None

    def price(self, provider: str | None, model: str, at: Any, *, service_tier: str | None = None) -> Any:
        from glassway.pipeline.pricing import Price, Rates

        self.first = self.first or at
        dear = (provider == "a") == ((at - self.first).total_seconds() > 60)
        return Price(Rates(input=Decimal(9 if dear else 1), output=Decimal(9 if dear else 1)))

    def load(self) -> None:
        pass


# -- all of them


@pytest.mark.parametrize("name", STRATEGIES)
async def test_every_strategy_has_a_target_and_the_rest_for_every_call(name: str) -> None:
    made = grouped(name)
    for stream in (False, True):
        route = await made.send(stream=stream)
        assert route is not None
        assert (route.strategy, {route.target, *route.rest}) == (name, set(THREE))
    assert isinstance(STRATEGIES[name](), Strategy)


async def test_a_strategy_of_one_s_own_may_choose() -> None:
    class Last:
        name, weighs, live = "last", False, False

        def rank(self, candidates: Any, choice: Any) -> Any:
            choice.score(candidates[0], 1.0, "first")
            return candidates[::-1]

    route = await grouped(Last()).send()
    assert route is not None
    assert (route.target, route.strategy, str(route.considered[0])) == ("c/m", "last", "a/m: 1 first")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("quickest", "strategy: unknown 'quickest'"),
        (3, "strategy: expected a name"),
        ({"latency": {}, "cost": {}}, "strategy: expected a name"),
        ({"latency": 3}, "strategy: expected a name"),
        ({"latency": {"celing_s": 2}}, "strategy.latency.celing_s: unknown key"),
        ({"latency": {"ceiling_s": 0}}, "strategy.latency.ceiling_s: expected seconds above 0"),
        ({"latency": {"failure_s": -1}}, "strategy.latency.failure_s"),
        ({"latency": {"explore_after_s": -1}}, "strategy.latency.explore_after_s"),
        ({"latency": {"ceiling_s": "x"}}, "strategy.latency: a setting is of the wrong type"),
        ({"cost": {"ceiling_usd": "much"}}, "strategy.cost.ceiling_usd"),
        ({"cost": {"ceiling_usd": 0}}, "strategy.cost.ceiling_usd: expected more than 0"),
        ({"cost": {"output_tokens": -1}}, "strategy.cost.output_tokens"),
        ({"cost": {"overrides": {"a/m": {}}}}, "strategy.cost.prices.a/m"),
        ({"weighted": {"sticky_by": "hair"}}, "strategy.weighted.sticky_by"),
        ({"weighted": {"sticky_by": "metadata."}}, "strategy.weighted.sticky_by"),
    ],
    ids=str,
)
def test_strategies_that_cannot_be_are_refused_with_their_path(given: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        make_strategy(given)


@pytest.mark.parametrize(
    ("targets", "strategy", "said"),
    [
        ([], "priority", "targets: expected at least one"),
        ("a/m", "priority", "targets: expected a list"),
        ([3], "priority", r"targets\[0\]: expected 'vendor/model'"),
        ([""], "priority", r"targets\[0\]: target: expected"),
        ([{"weight": 3}], "weighted", r"targets\[0\].target: expected"),
        ([{"target": "a/m", "wieght": 3}], "weighted", r"targets\[0\]: unknown key 'wieght'"),
        ([{"target": "a/m", "weight": -1}], "weighted", "weight: expected a number from 0"),
        ([{"target": "a/m", "context_tokens": 0}], "priority", "context_tokens: expected at least 1"),
        (["a/m", "a/m"], "priority", "'a/m' stands there twice"),
        ([Member("a/m", 0)], "weighted", "every weight is 0"),
        ([Member("a/m", 2)], "round_robin", "has a weight, which the strategy 'round_robin' does not read"),
    ],
)
def test_groups_that_cannot_be_are_refused(targets: Any, strategy: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Group(targets, strategy)


def test_a_strategy_object_stays_itself() -> None:
    strategy = RoundRobin()
    assert Group(["a/m"], strategy).strategy is strategy
