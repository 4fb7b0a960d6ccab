"""Limits and budgets against plain-Python references: any order of calls, ends and hours."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from builders import Setup, make
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from glassway import Pipeline
from glassway.middlewares import Budget, Limit, RateLimit
from glassway.pipeline.errors import BudgetExceeded, RateLimitExceeded
from glassway.pipeline.stream import Stream
from glassway.pipeline.types import Usage
from glassway.stores import MemoryStore
from glassway.testing import Scripted

USED = Usage(prompt_tokens=10, completion_tokens=20, total_tokens=30)
PRICES = {"fake/m": {"input": 0, "output": 1000}}


@dataclass
class Booked:
    """Units in a window, and from when on they no longer count."""

    units: int
    over_us: int


@dataclass
class Reference:
    """At most `most` units in any `length_s`, with the precision of a sixtieth."""

    most: int
    length_s: float
    booked: list[Booked] = field(default_factory=list)

    def used(self, now_us: int) -> int:
        return sum(each.units for each in self.booked if now_us < each.over_us)

    def fits(self, units: int, now_us: int) -> bool:
        return self.used(now_us) + units <= self.most

    def book(self, units: int, now_us: int) -> Booked:
        length_us = int(self.length_s * 1e6)
        width_us = length_us // 60
        one = Booked(units, now_us - now_us % width_us + width_us + length_us)
        self.booked.append(one)
        return one


class Machine(RuleBasedStateMachine):
    """Streams that begin, end and are closed at any time."""

    stage: Any
    refused: type[Exception]

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.setup: Setup = make([], [Scripted(usage=USED)])
        self.open: list[tuple[Stream, list[tuple[Booked, int]]]] = []

    def pipeline(self, stage: Any) -> None:
        self.setup.pipeline = Pipeline(
            [self.setup.ends, stage], self.setup.provider, telemetry=False, clock=self.setup.clock, timeout_s=None
        )

    @property
    def store(self) -> MemoryStore:
        return MemoryStore(now_s=lambda: self.setup.clock.now_ns() / 1e9)

    @property
    def now_us(self) -> int:
        return int(self.setup.clock.now_ns() / 1e9 * 1e6)

    def run(self, work: Any) -> Any:
        return self.loop.run_until_complete(work)

    def begin(self, max_tokens: int, expected: bool, bookings: Any) -> None:
        """A stream that passes or does not, as the reference says."""
        try:
            stream = self.run(self.setup.send(model="fake/m", max_tokens=max_tokens, stream=True))
        except self.refused:
            assert not expected
            return
        assert expected
        self.open.append((stream, bookings()))

    @rule(seconds=st.floats(0.001, 90))
    def later(self, seconds: float) -> None:
        self.run(self.setup.clock.sleep(seconds))

    @precondition(lambda self: self.open)
    @rule(which=st.integers(0, 100))
    def end(self, which: int) -> None:
        """To its last chunk: what it used is known."""
        stream, bookings = self.open.pop(which % len(self.open))
        self.run(stream.response())
        for booked, used in bookings:
            booked.units = used

    @precondition(lambda self: self.open)
    @rule(which=st.integers(0, 100))
    def close(self, which: int) -> None:
        """Before anything was counted: the reservation stands, or what the bill says by estimate."""
        stream, bookings = self.open.pop(which % len(self.open))
        self.run(stream.aclose())
        self.closed_early(bookings)

    def closed_early(self, bookings: list[tuple[Booked, int]]) -> None:
        """Nothing changes."""

    def teardown(self) -> None:
        for stream, _ in self.open:
            self.run(stream.aclose())
        self.run(self.setup.pipeline.aclose())
        self.loop.close()


class LimitMachine(Machine):
    refused = RateLimitExceeded

    def __init__(self) -> None:
        super().__init__()
        self.requests, self.tokens = Reference(6, 60.0), Reference(500, 30.0)
        limits = [Limit(requests=6, per_s=60.0), Limit(tokens=500, per_s=30.0)]
        self.pipeline(RateLimit(limits=limits, store=self.store))

    @rule(max_tokens=st.integers(1, 480))
    def ask(self, max_tokens: int) -> None:
        reserved = max_tokens + PROMPT
        now_us = self.now_us
        expected = self.requests.fits(1, now_us) and self.tokens.fits(reserved, now_us)

        def bookings() -> list[tuple[Booked, int]]:
            self.requests.book(1, now_us)
            return [(self.tokens.book(reserved, now_us), USED.total_tokens)]

        self.begin(max_tokens, expected, bookings)

    @invariant()
    def the_stage_says_what_the_reference_says(self) -> None:
        state = self.run(self.setup.pipeline.stages["RateLimit"].state())["limits"]  # type: ignore[attr-defined]
        assert state["all/60s requests"]["left"] == max(0, 6 - self.requests.used(self.now_us))
        assert state["all/30s tokens"]["left"] == max(0, 500 - self.tokens.used(self.now_us))


PROMPT = 16
"""What is reserved for "Hi"."""


class BudgetMachine(Machine):
    refused = BudgetExceeded

    def __init__(self) -> None:
        super().__init__()
        self.money = Reference(1_000_000, 60.0)
        self.pipeline(Budget(usd=1, period=60.0, overrides=PRICES, store=self.store))

    @rule(max_tokens=st.integers(1, 900))
    def ask(self, max_tokens: int) -> None:
        now_us, reserved = self.now_us, max_tokens * 1000
        expected = self.money.fits(reserved, now_us)
        self.begin(max_tokens, expected, lambda: [(self.money.book(reserved, now_us), 20_000)])

    def closed_early(self, bookings: list[tuple[Booked, int]]) -> None:
        cost = self.setup.ends.records[-1].cost
        for booked, _ in bookings:
            booked.units = 1000 if cost is None else int((cost.amount_usd or 0) * 1_000_000)

    @invariant()
    def the_stage_says_what_the_reference_says(self) -> None:
        state = self.run(self.setup.pipeline.stages["Budget"].state())["budgets"]  # type: ignore[attr-defined]
        left = Decimal(max(0, 1_000_000 - self.money.used(self.now_us))) / 1_000_000
        assert Decimal(state["all/60s"]["left_usd"]) == left


LimitMachine.TestCase.settings = BudgetMachine.TestCase.settings = settings(
    max_examples=60, stateful_step_count=30, deadline=None
)
TestRateLimit = LimitMachine.TestCase
TestBudget = BudgetMachine.TestCase
