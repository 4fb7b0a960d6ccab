"""The most that a call may cost."""

from __future__ import annotations

from math import lcm
from typing import NamedTuple

from ...pipeline.call import Call, Target
from ...pipeline.pricing import Price, PriceTable, Rates, Sought, find_price, second, times_usd
from ...pipeline.tokens import bound_output_tokens, bound_request_tokens
from ...pipeline.types import Request
from .purse import MICRO

_BY_TOKENS = frozenset({"chat", "embeddings", "moderation", "rerank"})
"""Operations whose most can be told before they run."""


class Rung(NamedTuple):
    """The rates of prompts longer than `above_tokens`: exact, as parts of a micro-dollar."""

    above_tokens: int
    input: int | None
    output: int | None
    request: int
    parts: int
    """So many are a micro-dollar. US dollars per million tokens are micro-dollars per token."""

    @classmethod
    def of(cls, above_tokens: int, rates: Rates, price: Price) -> Rung:
        """The rates of a tier."""
        amounts = (rates.input, rates.output, times_usd(price.request_usd, MICRO))
        ratios = [None if amount is None else amount.as_integer_ratio() for amount in amounts]
        parts = lcm(*(ratio[1] for ratio in ratios if ratio is not None))
        prompt, output, request = (None if ratio is None else ratio[0] * parts // ratio[1] for ratio in ratios)
        return cls(above_tokens, prompt, output, request or 0, parts)


class Ceilings:
    """What calls may cost at most. Prices are looked up once a second for each target."""

    __slots__ = ("_output_tokens", "_seen", "_table")

    def __init__(self, table: PriceTable, output_tokens: int) -> None:
        """`output_tokens`: of a chat that sets no limit to its output."""
        self._table = table
        self._output_tokens = output_tokens
        self._seen: tuple[int, object, dict[tuple[Target, str | None], tuple[Rung, ...]]] = (0, None, {})
        """A second, the vendors that a pipeline knows, and by target and tier what was found then: the highest tier first, empty where
        nobody knows the price. At most a thousand. One object, because threads replace it."""

    def micro(self, call: Call) -> int | None:
        """Whole micro-dollars, rounded up, that the call may cost at its target; None if nobody knows."""
        request, target = call.request, call.target
        if request.operation not in _BY_TOKENS:
            return None
        state = call.state
        now = state.clock.wall_ns() // 1_000_000_000
        second_of, vendors, known = self._seen
        if now != second_of or state.known is not vendors or len(known) >= _PRICES_KEPT:
            known = {}
            self._seen = (now, state.known, known)
        tier = _tier(request)
        rungs = known.get((target, tier))
        if rungs is None:
            rungs = known[target, tier] = self._looked_up(call, tier)
        prompt = bound_request_tokens(request, target.model)
        output = bound_output_tokens(request, self._output_tokens)
        for above, per_input, per_output, fixed, parts in rungs:
            if prompt > above:
                if per_input is None or (output and per_output is None):
                    return None
                return -(-(per_input * prompt + (per_output or 0) * output + fixed) // parts)
        return None

    def _looked_up(self, call: Call, tier: str | None) -> tuple[Rung, ...]:
        provider, model = call.target
        sought = Sought(call.vendor or provider, (model,), tier, provider)
        price = find_price(self._table, sought, second(call.state.clock.wall_ns()))
        if price is None:
            return ()
        return tuple(Rung.of(above, rates, price) for above, rates in reversed([(-1, price.rates), *price.tiers]))


_PRICES_KEPT = 1000


def _tier(request: Request) -> str | None:
    fields = request.__dict__  # pydantic's attributes cost several times as much
    tier = fields["service_tier"] if "service_tier" in fields else request.extra.get("service_tier")
    return tier if isinstance(tier, str) else None
