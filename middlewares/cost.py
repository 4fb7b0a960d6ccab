"""What each call costs, with provenance."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import ClassVar, Literal

from ..pipeline.billing import cost_of_call, estimate_cost
from ..pipeline.call import Call
from ..pipeline.errors import ConfigError, UnpricedModel
from ..pipeline.facts import COST, COST_RANGE, CostRange
from ..pipeline.overrides import PriceEntry, with_overrides
from ..pipeline.plan import Rule
from ..pipeline.pricing import PriceTable, Sought, default_prices, find_price, second
from ..pipeline.stream import Handler, Reply, observed

_CACHED = "a Cost inside it does not run on hits, so that savings are never seen"
_AGAIN = "a Cost inside it makes a bill for each try, and the attempts that failed before are in none"


@dataclass(frozen=True, slots=True)
class Cost:
    """Writes the bill of every call: exact decimals, from the tokens that the vendors counted and a dated table of prices.

    All attempts are in it, over retries, fallbacks and hedges; those that bought nothing are waste. A cache hit costs
    nothing and is booked as a saving. What has no price makes the amount None, never 0. Runs once the call has ended,
    with an answer, an error or a stream that broke off.
    """

    rule: ClassVar[Rule] = Rule(
        outside={"Cache": _CACHED, "Retry": _AGAIN, "Fallback": _AGAIN, "Hedge": _AGAIN},
        inside={
            "Tracing": "the trace is closed before a Cost outside it has made the bill",
            "Callbacks": "callbacks run before a Cost outside them has made the bill",
        },
        provides=("cost",),
    )

    prices: PriceTable | None = None
    """The table of prices; None for the one that Glassway brings along."""
    overrides: Mapping[str, PriceEntry | Sequence[PriceEntry]] = field(default_factory=dict)
    """Prices of your own by `vendor/model`, before the table's: see `with_overrides`."""
    on_unpriced: Literal["allow", "refuse"] = "allow"
    """What becomes of a call to a model without a price: it is sent and marked, or `UnpricedModel` is raised before it is sent."""
    _table: PriceTable = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.on_unpriced not in ("allow", "refuse"):
            raise ConfigError(f"Cost.on_unpriced: expected allow or refuse, found {self.on_unpriced!r}.")
        table = self.prices or default_prices()
        object.__setattr__(self, "_table", with_overrides(table, self.overrides) if self.overrides else table)

    async def open(self) -> None:
        """Read the prices before the first call needs them."""
        await asyncio.to_thread(self._table.load)

    def __call__(self, call: Call, call_next: Handler) -> Awaitable[Reply]:
        """The same reply; the bill is the call's `COST` fact."""
        if call.dry_run:
            return self._dry_run(call, call_next)
        if self.on_unpriced == "refuse":
            self._refuse_unpriced(call)
        return observed(call, call_next, lambda outcome: call.set(COST, cost_of_call(call, outcome, self._table)))

    async def _dry_run(self, call: Call, call_next: Handler) -> Reply:
        provider, model = call.target
        would_be = estimate_cost(
            call.request,
            provider=provider,
            vendor=call.vendor,
            model=model,
            prices=self._table,
            at=second(call.clock.wall_ns()),
        )
        call.set(COST_RANGE, would_be)
        reply = await call_next(call)
        call.set(COST_RANGE, CostRange(Decimal(0), Decimal(0), 0, 0))
        return reply

    def _refuse_unpriced(self, call: Call) -> None:
        provider, model = call.target
        if (
            find_price(self._table, Sought(call.vendor, (model,), provider=provider), second(call.clock.wall_ns()))
            is None
        ):
            raise UnpricedModel(
                f"No price is known for {call.target}, and this pipeline refuses what it cannot bill. "
                f"Give it one: Cost(overrides={{'{call.target}': {{'input': ..., 'output': ...}}}}).",
                provider=provider,
                model=model,
            )
