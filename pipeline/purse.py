"""Money for extra requests: reserved by estimate before one is sent, corrected by the bill."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from .allowance import Money
from .billing import estimate_cost
from .call import Call
from .pricing import PriceTable
from .types import ChatRequest

_OUTPUT_TOKENS = 1000
"""Reserved for the output of a chat that sets no limit to it."""


class Purse:
    """What requests that no caller asked for may cost. Safe from any thread."""

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

    def correct(self, now_ns: int, reserved_usd: Decimal, spent_usd: Decimal | None) -> None:
        """Put what was spent in the place of what was reserved; where nobody knows it, the estimate stays."""
        if spent_usd is not None:
            self._money.correct(now_ns, spent_usd - reserved_usd)
