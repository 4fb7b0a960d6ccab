"""The most that a call may cost."""

from __future__ import annotations

from math import lcm
from typing import NamedTuple

from ...pipeline.call import Call
from ...pipeline.pricing import Price, PriceTable, Rates, Sought, find_price, second, times_usd
from ...pipeline.tokens import bound_output_tokens, bound_request_tokens
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

    __slots__ = ("_known", "_output_tokens", "_second", "_table")

    def __init__(self, table: PriceTable, output_tokens: int) -> None:
        """`output_tokens`: of a chat that sets no limit to its output."""
        self._table = table
        self._output_tokens = output_tokens
        self._second = 0
        self._known: dict[tuple[str | None, ...], tuple[Rung, ...]] = {}
        """The highest tier first; empty where nobody knows the price. At most a thousand."""

    def micro(self, call: Call) -> int | None:
        """Whole micro-dollars, rounded up, that the call may cost at its target; None if nobody knows."""
        request, (provider, model) = call.request, call.target
        if request.operation not in _BY_TOKENS:
            return None
        prompt, output = bound_request_tokens(request, model), bound_output_tokens(request, self._output_tokens)
        for above, per_input, per_output, fixed, parts in self._rungs(call, provider, model):
            if prompt > above:
                if per_input is None or (output and per_output is None):
                    return None
                return -(-(per_input * prompt + (per_output or 0) * output + fixed) // parts)
        return None

    def _rungs(self, call: Call, provider: str | None, model: str) -> tuple[Rung, ...]:
        wall_ns, tier = call.state.clock.wall_ns(), getattr(call.request, "service_tier", None)
        now = wall_ns // 1_000_000_000
        if now != self._second or len(self._known) >= _PRICES_KEPT:
            self._second, self._known = now, {}
        vendor = call.vendor_of(call.target) or provider
        key = (vendor, provider, model, tier if isinstance(tier, str) else None)
        rungs = self._known.get(key)
        if rungs is None:
            price = find_price(self._table, Sought(vendor, (model,), key[3], provider), second(wall_ns))
            rungs = self._known[key] = _rungs_of(price) if price is not None else ()
        return rungs


_PRICES_KEPT = 1000


def _rungs_of(price: Price) -> tuple[Rung, ...]:
    tiers = [(-1, price.rates), *price.tiers]
    return tuple(Rung.of(above, rates, price) for above, rates in reversed(tiers))
