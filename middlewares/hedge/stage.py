"""A second request, when the first is slow."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import ClassVar, get_args

from ...pipeline.allowance import Allowance, check_allowance
from ...pipeline.call import Call
from ...pipeline.errors import ConfigError, GlasswayError
from ...pipeline.facts import ATTEMPTS, HEDGES, Cost, Hedged, HedgeRefusal, HedgeResult
from ...pipeline.outcome import Outcome
from ...pipeline.plan import Rule
from ...pipeline.pricing import PriceTable, default_prices
from ...pipeline.purse import Purse
from ...pipeline.record import Record
from ...pipeline.stream import Handler, Reply
from ...pipeline.types import Operation
from .alarm import Alarms
from .delays import Delays
from .race import Race

_TWICE = "inside Hedge it would run for both requests, each as often as it says"
_MERGED = "inside Hedge it would make one request of the two again"


@dataclass(frozen=True, slots=True)
class Hedge:
    """Sends a second request when the first has given no output after a while, and takes whichever answers first.

    Of a stream the first chunk decides. The other request is cancelled, its connection released, and what it cost is
    waste. The while is `after_s`, or what `quantile` of the last answers of the target needed. Second requests are at
    most `most_share` of all calls (and `floor_per_s`), and cost at most `most_usd`, over `window_s`: when everything is
    slow, the load stays as it is.
    """

    rule: ClassVar[Rule] = Rule(
        inside={"Retry": _TWICE, "Fallback": _TWICE, "Cache": _MERGED, "Deduplicate": _MERGED},
        better_inside={"Router": "inside Hedge it would choose a target for each of the two requests"},
        better_outside={
            "CircuitBreaker": "outside Hedge it sees one of the two requests only",
            "Pool": "outside Hedge one place in it counts for two requests",
        },
        provides=("hedges",),
        reinvokes=True,
    )

    after_s: float | None = None
    """Seconds without output after which the second request is sent; None: what `quantile` of the last answers needed."""
    target: str | None = None
    """`vendor/model` of the second request; None for the call's own target."""
    quantile: float = 0.95
    samples: int = 200
    """Answers that are remembered for each target, streams and whole answers apart."""
    fewest_samples: int = 20
    """Without so many, no second request is sent (unless `after_s` says when)."""
    least_after_s: float = 0.1
    """An observed delay is not taken for less."""
    most_share: float = 0.05
    floor_per_s: float = 0.1
    """Second requests a second that are always allowed: programs with few calls live on them."""
    most_usd: Decimal | float | None = None
    """US dollars that second requests may cost in a window; a model without a price then has none. None means no such cap."""
    window_s: float = 60.0
    on_error: bool = False
    """Whether an error that may pass sends the second request at once, instead of going on to `Retry`."""
    operations: Collection[Operation] = ("chat", "embeddings", "moderation", "rerank")
    """What may be asked twice. Images and sound are dear, and paid for when they are begun."""
    prices: PriceTable | None = field(default=None, repr=False)
    _alarms: Alarms = field(init=False, repr=False, compare=False, default_factory=Alarms)
    _allowance: Allowance = field(init=False, repr=False, compare=False)
    _delays: Delays = field(init=False, repr=False, compare=False)
    _purse: Purse | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self._check()
        delays = Delays(self.quantile, self.samples, self.fewest_samples)
        object.__setattr__(self, "_allowance", Allowance(self.most_share, self.floor_per_s, self.window_s))
        object.__setattr__(self, "_delays", delays)
        purse = None
        if self.most_usd is not None:
            purse = Purse(Decimal(str(self.most_usd)), self.window_s, self.prices or default_prices())
        object.__setattr__(self, "_purse", purse)

    def _check(self) -> None:
        check_allowance(
            "Hedge", ("most_share", "floor_per_s", "window_s"), self.most_share, self.floor_per_s, self.window_s
        )
        if self.most_share > 1:
            raise ConfigError(f"Hedge.most_share: expected at most 1 (each call twice), found {self.most_share}.")
        if self.after_s is not None and not 0 < self.after_s < math.inf:
            raise ConfigError(f"Hedge.after_s: expected seconds above 0 or None, found {self.after_s}.")
        if not 0 < self.quantile < 1:
            raise ConfigError(f"Hedge.quantile: expected a share between 0 and 1, found {self.quantile}.")
        if not 1 <= self.fewest_samples <= self.samples <= 10_000:
            raise ConfigError(
                "Hedge: expected 1 <= fewest_samples <= samples <= 10000, "
                f"found {self.fewest_samples} and {self.samples}."
            )
        if not 0 <= self.least_after_s < math.inf:
            raise ConfigError(f"Hedge.least_after_s: expected seconds from 0, found {self.least_after_s}.")
        if self.most_usd is not None and not self.most_usd > 0:
            raise ConfigError(f"Hedge.most_usd: expected US dollars above 0 or None, found {self.most_usd}.")
        if isinstance(self.operations, str) or (unknown := set(self.operations) - set(get_args(Operation))):
            found = self.operations if isinstance(self.operations, str) else sorted(unknown)
            raise ConfigError(
                f"Hedge.operations: expected a list of {', '.join(get_args(Operation))}; found {found!r}."
            )

    async def open(self) -> None:
        """Read the prices before the first call needs them."""
        if self._purse is not None:
            await asyncio.to_thread((self.prices or default_prices()).load)

    async def __call__(self, call: Call, call_next: Handler) -> Reply:
        """The first reply of the two; the first request's error if both fail."""
        if call.dry_run or call.reason == "hedge" or call.request.operation not in self.operations:
            return await call_next(call)
        begun_ns = call.clock.now_ns()
        self._allowance.count(begun_ns)
        if self.after_s is not None:
            return await self._hedged(call, call_next, self.after_s, begun_ns)
        times = self._delays.of((call.target, call.request.stream))
        if times.slow_s is None:
            call.add(HEDGES, Hedged(self.target or str(call.target), 0.0, "not_sent", "few_samples"))
            reply = await call_next(call)
        else:
            reply = await self._hedged(call, call_next, max(self.least_after_s, times.slow_s), begun_ns)
        # Where the second request won, the first would have taken longer, and nobody knows how long.
        times.note((call.clock.now_ns() - begun_ns) / 1e9)
        return reply

    async def _hedged(self, call: Call, call_next: Handler, after_s: float, begun_ns: int) -> Reply:
        race = Race(call, call_next, after_s, self._second)
        try:
            return await race.run(self._alarms.of(call.clock), begun_ns + int(after_s * 1e9), self._sends_after)
        finally:
            if race.sent is not None:
                self._settle(call, race, *race.sent)

    def _second(self, race: Race) -> tuple[Call, Decimal | None] | None:
        """The second request, if no cap is against it; else a fact says which one was."""
        call = race.call
        view = (call if self.target is None else call.with_target(call.resolve(self.target))).because("hedge")
        reserved_usd = self._purse.estimate(view) if self._purse is not None else None
        refusal = self._refusal(call, reserved_usd)
        if refusal is None:
            return view, reserved_usd
        call.add(HEDGES, Hedged(str(view.target), race.after_s, "not_sent", refusal))
        return None

    def _settle(self, call: Call, race: Race, view: Call, reserved_usd: Decimal | None) -> None:
        lost = _lose(call, race.begun, race.hedge_won)
        call.add(HEDGES, Hedged(str(view.target), race.after_s, _RESULTS[race.hedge_won], "", lost))
        purse = self._purse
        if purse is None or reserved_usd is None:
            return

        def correct(record: Record, _: Outcome) -> None:
            purse.correct(call.clock.now_ns(), reserved_usd, _spent_usd(record.cost, lost))

        call.when_recorded(correct)

    def _sends_after(self, error: Exception) -> bool:
        """Whether the first request has failed in a way that sends the second at once."""
        return self.on_error and isinstance(error, GlasswayError) and error.retryable

    def _refusal(self, call: Call, reserved_usd: Decimal | None) -> HedgeRefusal | None:
        now_ns = call.clock.now_ns()
        if call.state.attempts_left <= 0:
            return "attempt_budget_spent"
        if call.remaining_s() == 0:
            return "no_time_left"
        if call.state.parts is not None:
            return "sent_in_parts"
        if self._purse is not None and reserved_usd is None:
            return "unpriced"
        if not self._allowance.take(now_ns):
            return "share_spent"
        if self._purse is not None and reserved_usd is not None and not self._purse.take(now_ns, reserved_usd):
            return "money_spent"
        return None


_RESULTS: Mapping[bool | None, HedgeResult] = {True: "hedge_won", False: "first_won", None: "neither_won"}


def _spent_usd(cost: Cost | None, lost: Collection[int]) -> Decimal | None:
    """What the lost attempts cost; None without a bill."""
    if cost is None or cost.amount_usd is None:
        return None
    return sum((line.amount_usd for line in cost.lines if line.attempt in lost), Decimal(0))


def _lose(call: Call, begun: int, hedge_won: bool | None) -> tuple[int, ...]:
    """Numbers of the attempts whose answers are not taken; an answer that came all the same is of no use."""
    since = [attempt for attempt in call.trail(ATTEMPTS) if attempt.number > begun]
    lost = [attempt for attempt in since if hedge_won is None or (attempt.reason == "hedge") != hedge_won]
    for attempt in lost:
        attempt.useful = False
    return tuple(attempt.number for attempt in lost)
