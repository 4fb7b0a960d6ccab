"""The strategy that goes by price."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, ClassVar

from ....pipeline.errors import ConfigError
from ....pipeline.overrides import PriceEntry, with_overrides
from ....pipeline.pricing import (
    Price,
    PriceTable,
    Sought,
    add_usd,
    default_prices,
    find_price,
    millionth_usd,
    times_usd,
    usd,
)

if TYPE_CHECKING:
    from ....pipeline.call import Call, Target
    from ..candidates import Candidate, Choice
    from ..traits import Traits

_NEVER = Decimal("Infinity")
_MINUTE_NS = 60_000_000_000
_MOST_PRICES = 1000


@dataclass(frozen=True, slots=True)
class Cheapest:
    """The one that this call would cost least at: its prompt by estimate, its output by its own limit, or `output_tokens`.

    Prices are those in force now, yours (`overrides`, as in `Cost`) before the table's. With `ceiling_usd`, what would cost
    more is not taken at all, nor what has no price; without it, what has no price comes last: unknown is never free.
    """

    name: ClassVar[str] = "cost"
    weighs: ClassVar[bool] = False
    live: ClassVar[bool] = False

    ceiling_usd: Decimal | float | str | None = None
    """US dollars a call, at most."""
    output_tokens: int = 500
    """The output that is expected of a call that sets no limit."""
    prices: PriceTable | None = None
    """None for the table that Glassway brings along."""
    overrides: Mapping[str, PriceEntry | Sequence[PriceEntry]] = field(default_factory=dict)
    _table: PriceTable = field(init=False, repr=False, compare=False)
    _ceiling: Decimal | None = field(default=None, init=False, repr=False, compare=False)
    _loaded: list[bool] = field(default_factory=list, init=False, repr=False, compare=False)
    _seen: dict[object, tuple[int, Price | None]] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.output_tokens < 0:
            raise ConfigError(f"output_tokens: expected a whole number from 0, found {self.output_tokens}.")
        try:
            ceiling = None if self.ceiling_usd is None else usd(self.ceiling_usd)
        except ValueError as error:
            raise ConfigError(f"ceiling_usd: {error}.") from error
        if ceiling == 0:
            raise ConfigError("ceiling_usd: expected more than 0, found 0. Leave it out for no ceiling.")
        table = self.prices or default_prices()
        object.__setattr__(self, "_ceiling", ceiling)
        object.__setattr__(self, "_table", with_overrides(table, self.overrides) if self.overrides else table)

    def rank(self, candidates: Sequence[Candidate], choice: Choice) -> Sequence[Candidate]:
        """By price, exactly; equals in the order of the list."""
        traits = choice.traits
        call = traits.call
        minute = call.state.clock.wall_ns() // _MINUTE_NS
        tier = getattr(call.request, "service_tier", None)
        prompt, output = traits.about_tokens, self._output(traits)
        amounts = []
        for place, one in enumerate(candidates):
            price = self._price(one.target, call, tier, minute)
            amount = None if price is None else _amount(price, prompt, output)
            choice.score(one, amount, "no price is known" if amount is None else "")
            if self._ceiling is not None:
                self._judge(one, choice, amount, self._ceiling)
            amounts.append((_NEVER if amount is None else amount, place))
        amounts.sort()
        return [candidates[place] for _, place in amounts]

    @property
    def ready(self) -> bool:
        """Whether the prices are read."""
        return bool(self._loaded)

    async def prepare(self) -> None:
        """Read the prices, in a thread."""
        if not self.ready:
            await asyncio.to_thread(self._table.load)
            self._loaded.append(True)

    def _judge(self, candidate: Candidate, choice: Choice, amount: Decimal | None, ceiling: Decimal) -> None:
        if amount is None:
            choice.skip(candidate, "unpriced", "no price is known")
        elif amount > ceiling:
            choice.skip(candidate, "price", f"above ${ceiling:f}")

    def _output(self, traits: Traits) -> int:
        if traits.operation != "chat":
            return 0
        limit = traits.max_tokens
        return self.output_tokens if limit is None else limit

    def _price(self, target: Target, call: Call, tier: str | None, minute: int) -> Price | None:
        """Looked up once a minute."""
        key = (target, tier, call.vendor_of(target))
        found = self._seen.get(key)
        if found is None or found[0] != minute:
            if len(self._seen) >= _MOST_PRICES:
                self._seen.clear()
            at = datetime.fromtimestamp(minute * _MINUTE_NS / 1e9, UTC)
            price = find_price(self._table, Sought(key[2], (target.model,), tier, target.provider), at)
            found = self._seen[key] = (minute, price)
        return found[1]


def _amount(price: Price, prompt: int, output: int) -> Decimal | None:
    rates = price.rates_for(prompt) if price.tiers else price.rates
    per_input, per_output = rates.input, rates.output
    if per_input is None and per_output is None:
        return price.request_usd or None
    if per_input is None or (output and per_output is None):
        return None
    amount = times_usd(per_input, prompt)
    if per_output is not None:
        amount = add_usd(amount, times_usd(per_output, output))
    amount = millionth_usd(amount)
    return add_usd(amount, price.request_usd) if price.request_usd else amount
