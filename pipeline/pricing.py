"""Prices and bills: the pure half of the money, without any table of prices."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Context, Decimal, InvalidOperation
from importlib import import_module
from typing import NamedTuple, Protocol, cast

from .facts import Cost, CostLine
from .types import CompletionTokensDetails, PromptTokensDetails, Usage, UsageSource

_EXACT = Context(prec=100, traps=[InvalidOperation])
"""Amounts are never rounded, whatever decimal context the application has set."""

_NOTHING = Decimal(0)


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


def find_price(
    table: PriceTable,
    provider: str | None,
    names: Iterable[str | None],
    at: datetime,
    *,
    service_tier: str | None = None,
) -> Price | None:
    """The first price among several names of one model, best name first. A price of the user's own wins over the table's."""
    found: Price | None = None
    for name in dict.fromkeys(names):
        if name and (price := table.price(provider, name, at, service_tier=service_tier)) is not None:
            if price.table == OVERRIDE:
                return price
            found = found or price
    return found


OVERRIDE = "override"


class _Counts(NamedTuple):
    """Tokens by line, adding up to the prompt's and the completion's; and what did not fit together."""

    prompt: int
    cached: int
    write_5m: int
    write_1h: int
    input_audio: int
    input_image: int
    completion: int
    reasoning: int
    output_audio: int
    output_image: int
    anomalies: tuple[str, ...]


def bill(usage: Usage, price: Price, *, target: str = "", source: UsageSource = "provider", attempt: int = 0) -> Cost:
    """The exact cost of `usage` at `price`; the lines add up to the amount.

    Counts that contradict each other are read the way that bills more, and the bill is then `estimated`. Tokens of a
    kind that has no price make it `unpriced` (as `target`), with the lines of what has one. Nothing is ever negative.
    """
    counts = _counts(usage)
    lines: list[CostLine] = []
    complete = _input_lines(lines, counts, price.rates_for(counts.prompt), attempt)
    complete &= _output_lines(lines, counts, price.rates_for(counts.prompt), attempt)
    complete &= _fee_lines(lines, usage, price, attempt)
    exact = source == "provider" and not counts.anomalies
    return Cost(
        amount_usd=total(line.amount_usd for line in lines) if complete else None,
        status=("exact" if exact else "estimated") if complete else "unpriced",
        lines=tuple(lines),
        price_table=price.table,
        usage_source=source,
        unpriced=() if complete else (target,),
        anomalies=counts.anomalies,
    )


def reported(usage: Usage, vendor: str) -> Decimal | None:
    """US dollars that the vendor itself says it charged; None where it does not say.

    Source: https://openrouter.ai/docs/use-cases/usage-accounting (with a key of one's own, `cost` is the fee alone)
    """
    extra = usage.model_extra
    if vendor != "openrouter" or not extra or extra.get("is_byok"):
        return None
    amount = extra.get("cost")
    return Decimal(str(amount)) if isinstance(amount, (int, float)) and amount >= 0 else None


def total(amounts: Iterable[Decimal]) -> Decimal:
    """The exact sum."""
    result = _NOTHING
    for amount in amounts:
        result = _EXACT.add(result, amount)
    return result


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


def _input_lines(lines: list[CostLine], counts: _Counts, rates: Rates, attempt: int) -> bool:
    """The prompt's lines. What has no rate of its own stays with the part that it belongs to."""
    rest = counts.prompt
    for item, tokens, rate in (
        ("cached_input", counts.cached, rates.cached),
        ("cache_write", counts.write_5m, rates.cache_write),
        (
            "cache_write_1h",
            counts.write_1h,
            rates.cache_write if rates.cache_write_1h is None else rates.cache_write_1h,
        ),
        ("input_audio", counts.input_audio, rates.input_audio),
        ("input_image", counts.input_image, rates.input_image),
    ):
        if tokens and rate is not None:
            rest -= tokens
            lines.append(_line(item, tokens, rate, attempt))
    return _rest(lines, "input", rest, rates.input, attempt)


def _output_lines(lines: list[CostLine], counts: _Counts, rates: Rates, attempt: int) -> bool:
    rest = counts.completion
    for item, tokens, rate in (
        ("reasoning", counts.reasoning, rates.reasoning),
        ("output_audio", counts.output_audio, rates.output_audio),
        ("output_image", counts.output_image, rates.output_image),
    ):
        if tokens and rate is not None:
            rest -= tokens
            lines.append(_line(item, tokens, rate, attempt))
    return _rest(lines, "output", rest, rates.output, attempt)


def _rest(lines: list[CostLine], item: str, tokens: int, rate: Decimal | None, attempt: int) -> bool:
    if tokens and rate is not None:
        lines.append(_line(item, tokens, rate, attempt))
    return not tokens or rate is not None


def _line(item: str, tokens: int, rate: Decimal, attempt: int) -> CostLine:
    return CostLine(item, _EXACT.scaleb(_EXACT.multiply(rate, tokens), -6), tokens, rate, 0, attempt)


def _fee_lines(lines: list[CostLine], usage: Usage, price: Price, attempt: int) -> bool:
    if price.request_usd:
        lines.append(CostLine("request", price.request_usd, units=1, attempt=attempt))
    searches = _web_searches(usage)
    if searches and price.web_search_usd is not None:
        lines.append(
            CostLine("web_search", _EXACT.multiply(price.web_search_usd, searches), units=searches, attempt=attempt)
        )
    return not searches or price.web_search_usd is not None


def _web_searches(usage: Usage) -> int:
    """Source: https://docs.claude.com/en/docs/agents-and-tools/tool-use/web-search-tool#usage-and-pricing"""
    tools = usage.model_extra.get("server_tool_use") if usage.model_extra else None
    return _whole(tools.get("web_search_requests")) if isinstance(tools, Mapping) else 0


def _counts(usage: Usage) -> _Counts:
    prompt, completion, total_tokens = usage.prompt_tokens, usage.completion_tokens, usage.total_tokens
    read, spent = usage.prompt_tokens_details, usage.completion_tokens_details
    cached, written = (usage.cached_tokens, usage.cache_write_tokens) if read else (0, 0)
    reasoning = usage.reasoning_tokens if spent else 0
    anomalies: tuple[str, ...] = ()
    if (
        total_tokens != prompt + completion
        or cached + written > prompt
        or reasoning > completion
        or min(prompt, completion, cached, written, reasoning) < 0
    ):
        anomalies = _anomalies(usage)
        cached, written, reasoning = max(0, cached), max(0, written), max(0, reasoning)
        prompt, completion = _larger_reading(
            max(0, prompt), max(0, completion), cached + written, reasoning, total_tokens
        )
    written_1h = min(written, _written_1h(usage)) if written else 0
    audio, image = _modalities(read, prompt - cached - written) if read else (0, 0)
    out_audio, out_image = _modalities(spent, completion - reasoning) if spent else (0, 0)
    return _Counts(
        prompt,
        cached,
        written - written_1h,
        written_1h,
        audio,
        image,
        completion,
        reasoning,
        out_audio,
        out_image,
        anomalies,
    )


def _anomalies(usage: Usage) -> tuple[str, ...]:
    """Those of the usage, and negative parts, which it does not look at. A total that nobody has counted is none."""
    found = usage.anomalies()
    parts = (usage.cached_tokens, usage.cache_write_tokens, usage.reasoning_tokens)
    return (*found, "negative") if min(parts) < 0 and "negative" not in found else found


def _larger_reading(prompt: int, completion: int, in_cache: int, reasoning: int, total_tokens: int) -> tuple[int, int]:
    """Prompt and completion when parts and wholes contradict each other: a part larger than its whole was not counted in it.

    Vendors do count that way (Anthropic's input excludes cached tokens, xAI's completion reasoning), and a codec or a
    compatible server may have passed it on. Tokens that only the total knows of are output: reasoning, nearly always.
    """
    if in_cache > prompt:
        prompt += in_cache
    if reasoning > completion:
        completion += reasoning
    return prompt, max(completion, total_tokens - prompt)


def _written_1h(usage: Usage) -> int:
    """Tokens written for one hour, a part of those written.

    Source: https://docs.claude.com/en/docs/build-with-claude/prompt-caching#1-hour-cache-duration
    """
    details = usage.prompt_tokens_details
    if details is not None and details.model_extra:
        return _whole(details.model_extra.get("cache_write_1h_tokens"))
    by_lifetime = usage.model_extra.get("cache_creation") if usage.model_extra else None
    return _whole(by_lifetime.get("ephemeral_1h_input_tokens")) if isinstance(by_lifetime, Mapping) else 0


def _modalities(details: PromptTokensDetails | CompletionTokensDetails, room: int) -> tuple[int, int]:
    """Audio and image tokens, within the tokens that nothing else has claimed: vendors count cached audio in both."""
    audio = min(max(0, details.audio_tokens or 0), room)
    image = min(_whole(details.model_extra.get("image_tokens")), room - audio) if details.model_extra else 0
    return audio, image


def _whole(value: object) -> int:
    """A count that a vendor sent in a field that we do not validate."""
    return value if isinstance(value, int) and value > 0 else 0
