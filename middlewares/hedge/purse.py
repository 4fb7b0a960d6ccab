"""Money for extra requests: reserved by estimate before one is sent, corrected by the bill."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from decimal import Decimal

from ...pipeline.allowance import Money
from ...pipeline.billing import estimate_cost
from ...pipeline.call import Call
from ...pipeline.facts import Cost
from ...pipeline.pricing import PriceTable
from ...pipeline.types import ChatRequest

_OUTPUT_TOKENS = 1000
"""Reserved for the output of a chat that sets no limit to it."""


class Purse:
    """What second requests may cost. Safe from any thread."""

    __slots__ = ("_money", "_prices")

    def __init__(self, most_usd: Decimal, window_s: float, prices: PriceTable) -> None:
        self._money = Money(most_usd, window_s)
        self._prices = prices

    def estimate(self, call: Call) -> Decimal | None:
        """The most that the call's request will cost at its target; None where no price is known."""
        request = call.request
        if isinstance(request, ChatRequest) and request.output_limit is None:
            request = request.but(max_tokens=_OUTPUT_TOKENS)
        provider, model = call.target
        return estimate_cost(
            request,
            provider=provider,
            vendor=call.vendor,
            model=model,
            prices=self._prices,
            at=datetime.fromtimestamp(call.clock.wall_ns() / 1e9, UTC),
        ).maximum_usd

    def take(self, now_ns: int, usd: Decimal) -> bool:
        """Whether there is so much left; it counts at once."""
        return self._money.take(now_ns, usd)

    def correct(self, now_ns: int, reserved_usd: Decimal, cost: Cost | None, lost: Collection[int]) -> None:
        """Put what the lost attempts cost in the place of what was reserved; without a bill the estimate stays."""
        if cost is None or cost.amount_usd is None:
            return
        spent_usd = sum((line.amount_usd for line in cost.lines if line.attempt in lost), Decimal(0))
        self._money.correct(now_ns, spent_usd - reserved_usd)
