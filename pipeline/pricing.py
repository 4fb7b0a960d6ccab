"""Prices and bills: the pure half of the money, without any table of prices."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Context, Decimal, InvalidOperation
from functools import lru_cache, reduce
from importlib import import_module
from typing import NamedTuple, Protocol, cast

from .counts import counts_of, whole
from .facts import Cost, CostLine
from .types import Usage, UsageSource

_EXACT = Context(prec=100, traps=[InvalidOperation])
"""Amounts are never rounded, whatever decimal context the application has set."""

add_usd, times_usd, _scaleb = _EXACT.add, _EXACT.multiply, _EXACT.scaleb

_new_tuple = tuple.__new__
"""A named tuple of all its fields, in half the time of its own constructor: a bill has several."""

_NOTHING = Decimal(0)
_PER_MILLION = Decimal(-6)


@dataclass(frozen=True, slots=True)
class Rates:
    """US dollars per million tokens. None: not priced apart, so counted with the line that it is a part of."""

    input: Decimal | None = None
    cached: Decimal | None = None
    """Prompt tokens read from the vendor's cache."""
    cache_write: Decimal | None = None
    """Prompt tokens written to it, to be kept for five minutes or as long as the vendor keeps them."""
    cache_write_1h: Decimal | None = None
    output: Decimal | None = None
    reasoning: Decimal | None = None
    input_audio: Decimal | None = None
    output_audio: Decimal | None = None
    input_image: Decimal | None = None
    output_image: Decimal | None = None


class ContextTier(NamedTuple):
    """Rates of a call whose prompt is longer than `above_tokens`: they hold for all of its tokens, not for the surplus."""

    above_tokens: int
    rates: Rates


@dataclass(frozen=True, slots=True)
class Price:
    """What one model costs at one time."""

    rates: Rates
    tiers: tuple[ContextTier, ...] = ()
    """Ascending."""
    request_usd: Decimal = _NOTHING
    """For each request."""
    web_search_usd: Decimal | None = None
    """For each search that the vendor's own tool made."""
    table: str = ""
    """Where it comes from: the table's name, version and date, or "override"."""

    def rates_for(self, prompt_tokens: int) -> Rates:
        """The rates of the tier that a prompt of this length is in."""
        if self.tiers:
            for above_tokens, rates in reversed(self.tiers):
                if prompt_tokens > above_tokens:
                    return rates
        return self.rates


class PriceTable(Protocol):
    """Prices by vendor, model and time. Safe for concurrent use."""

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> str: ...

    @property
    def date(self) -> str:
        """ISO date up to which the table knows of changes; empty if that is not known."""
        ...

    def price(self, provider: str | None, model: str, at: datetime, *, service_tier: str | None = None) -> Price | None:
        """The price at an aware time, or None: unknown is never free. `provider` None: whichever vendor makes `model`."""
        ...

    def load(self) -> None:
        """Read the data now rather than at the first price. May be called in another thread, and more than once."""
        ...


def default_prices() -> PriceTable:
    """The table that Glassway brings along, reached by name: the pipeline knows no vendor's prices itself."""
    return cast("PriceTable", import_module("..providers.prices", __package__).default_table())


class Sought(NamedTuple):
    """What a price is looked up for."""

    vendor: str | None
    """By the catalogue's name; None: whichever makes the model."""
    names: Sequence[str | None]
    """The model's, the best first: the one that answered, the one that was asked for."""
    service_tier: str | None = None
    provider: str | None = None
    """The user's own name of the vendor: prices of the user's own may go by it, published ones do not."""

    @property
    def target(self) -> str:
        """What was asked for, as `vendor/model`."""
        name = self.names[-1] or next(filter(None, reversed(self.names)), "")
        provider = self.provider or self.vendor
        return f"{provider}/{name}" if provider else name


def find_price(table: PriceTable, sought: Sought, at: datetime) -> Price | None:
    """The first price among the names. A price of the user's own wins over the table's, whichever name it is for."""
    found: Price | None = None
    tried: str | None = None
    vendor, names, tier, provider = sought
    renamed = provider is not None and provider != vendor
    for name in names:
        if not name or name == tried:
            continue
        tried = name
        price = table.price(vendor, name, at, service_tier=tier)
        own = table.price(provider, name, at) if renamed else price
        if own is not None and own.table == OVERRIDE:
            return own
        found = found or price
    return found


def second(wall_ns: int) -> datetime:
    """The aware time of a moment, to the second. Prices hold from a day or an hour on; the calls of one second make it once."""
    return _second(wall_ns // 1_000_000_000)


@lru_cache(maxsize=16)
def _second(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


OVERRIDE = "override"


def bill(usage: Usage, price: Price, *, target: str = "", source: UsageSource = "provider", attempt: int = 0) -> Cost:
    """The exact cost of `usage` at `price`; the lines add up to the amount.

    Counts that contradict each other are read the way that bills more, and the bill is then `estimated`. Tokens of a
    kind that has no price make it `unpriced` (as `target`), with the lines of what has one. Nothing is ever negative.
    """
    prompt, completion, prompt_parts, completion_parts, anomalies = counts_of(usage)
    rates = price.rates_for(prompt) if price.tiers else price.rates
    lines: list[CostLine] = []
    complete = _token_lines(lines, "input", prompt, prompt_parts, rates, attempt)
    complete &= _token_lines(lines, "output", completion, completion_parts, rates, attempt)
    if price.request_usd or usage.__pydantic_extra__:
        complete &= _fee_lines(lines, usage, price, attempt)
    if not complete:
        return Cost(
            None,
            "unpriced",
            tuple(lines),
            price_table=price.table,
            usage_source=source,
            unpriced=(target,),
            anomalies=anomalies,
        )
    amount = lines[0].amount_usd if lines else _NOTHING
    for line in lines[1:]:
        amount = add_usd(amount, line.amount_usd)
    status = "exact" if source == "provider" and not anomalies else "estimated"
    return _new_tuple(Cost, (amount, status, tuple(lines), _NOTHING, _NOTHING, price.table, source, (), anomalies))


def reported(usage: Usage, vendor: str) -> Decimal | None:
    """US dollars that the vendor itself says it charged; None where it does not say.

    Source: https://openrouter.ai/docs/use-cases/usage-accounting (with a key of one's own, `cost` is the fee alone)
    """
    extra = usage.model_extra
    if vendor != "openrouter" or not extra or extra.get("is_byok"):
        return None
    amount = extra.get("cost")
    return Decimal(str(amount)) if isinstance(amount, (int, float)) and amount >= 0 else None


def millionth_usd(amount: Decimal) -> Decimal:
    """A millionth of it, exactly: prices are for a million tokens."""
    return _scaleb(amount, _PER_MILLION)


def total(amounts: Iterable[Decimal]) -> Decimal:
    """The exact sum."""
    return reduce(add_usd, amounts, _NOTHING)


def usd(value: object) -> Decimal:
    """A price as people write it (`0.15`, `"0.15"`), exactly. Raises `ValueError` on what is no price: negative, infinite, not a number."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str, Decimal)):
        raise ValueError(f"expected a number of US dollars, found {type(value).__name__}")
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        raise ValueError("expected a number of US dollars, found text that is none") from None
    if not amount.is_finite() or amount < 0:
        raise ValueError(f"expected US dollars of at least 0, found {amount}")
    return amount


def _token_lines(
    lines: list[CostLine], item: str, tokens: int, parts: Sequence[tuple[str, int]], rates: Rates, attempt: int
) -> bool:
    """A line for each part that has a rate of its own, and one for the rest; whether that is all of them."""
    for part, count in parts:
        rate = getattr(rates, part)
        if rate is None and part == "cache_write_1h":
            rate = rates.cache_write
        if rate is not None:
            tokens -= count
            amount = _scaleb(times_usd(rate, count), _PER_MILLION)
            lines.append(_new_tuple(CostLine, (part, amount, count, rate, 0, attempt)))
    if not tokens:
        return True
    rate = getattr(rates, item)
    if rate is not None:
        amount = _scaleb(times_usd(rate, tokens), _PER_MILLION)
        lines.append(_new_tuple(CostLine, (item, amount, tokens, rate, 0, attempt)))
    return rate is not None


def _fee_lines(lines: list[CostLine], usage: Usage, price: Price, attempt: int) -> bool:
    if price.request_usd:
        lines.append(CostLine("request", price.request_usd, units=1, attempt=attempt))
    searches = _web_searches(usage)
    if searches and price.web_search_usd is not None:
        lines.append(CostLine("web_search", times_usd(price.web_search_usd, searches), units=searches, attempt=attempt))
    return not searches or price.web_search_usd is not None


def _web_searches(usage: Usage) -> int:
    """Source: https://docs.claude.com/en/docs/agents-and-tools/tool-use/web-search-tool#usage-and-pricing"""
    tools = (usage.model_extra or {}).get("server_tool_use")
    return whole(tools.get("web_search_requests")) if isinstance(tools, Mapping) else 0
