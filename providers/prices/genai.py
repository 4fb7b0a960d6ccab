"""One price of the `genai-prices` data, in our terms. The only module that knows that package."""

from __future__ import annotations

from dataclasses import fields
from datetime import date, datetime
from decimal import Decimal
from functools import cache, lru_cache
from importlib.metadata import version

from genai_prices.data import providers
from genai_prices.types import ModelInfo, ModelPrice, Provider, StartDateConstraint, TieredPrices

from ...pipeline.pricing import ContextTier, Price, Rates

_RATES = {
    "input": "input_mtok",
    "cached": "cache_read_mtok",
    "cache_write": "cache_write_mtok",
    "cache_write_1h": "cache_write_1h_mtok",
    "output": "output_mtok",
    "reasoning": "output_reasoning_mtok",
    "input_audio": "input_audio_mtok",
    "output_audio": "output_audio_mtok",
    "input_image": "input_image_mtok",
    "output_image": "output_image_mtok",
}
assert set(_RATES) == {item.name for item in fields(Rates)}  # noqa: S101 - a rate without a source would never be charged

_BY_ID = {provider.id: provider for provider in providers}

_TIER_NAMES = ("service_tier", "speed", "processing")
"""OpenAI's and Google's tiers, Anthropic's fast mode, everybody's batches."""

VERSION = version("genai-prices")


@lru_cache(maxsize=4096)
def find_model(vendor: str | None, model: str) -> tuple[ModelInfo, bool] | None:
    """The model by the data's own matching rules (dated names, aliases), and whether it is in the vendor's own list."""
    owner = _BY_ID.get(vendor) if vendor else _maker(model)
    if owner is None:
        return None
    found = owner.find_model(model, all_providers=providers)
    return None if found is None else (found, any(found is own for own in owner.models))


def price_of(found: ModelInfo, own: bool, at: datetime, service_tier: str | None, table: str) -> Price | None:
    """The price in force at `at`; None for a model that the data knows and has no price of.

    A service tier is looked up under each of the names that vendors have for it; another vendor's tiers do not hold here.
    """
    context = dict.fromkeys(_TIER_NAMES, service_tier) if service_tier and own else None
    return _converted(found.get_prices(at, context), table)


@cache
def data_date() -> str:
    """The day of the newest price change that has come into force."""
    today = datetime.now().astimezone().date()
    starts = (
        price.constraint
        for owner in providers
        for model in owner.models
        if isinstance(model.prices, list)
        for price in model.prices
    )
    past = (
        start.start_date for start in starts if isinstance(start, StartDateConstraint) and start.start_date <= today
    )
    return max(past, default=date.min).isoformat()


def _maker(model: str) -> Provider | None:
    """Who makes a model that was named without a vendor."""
    name = model.lower()
    return next(
        (owner for owner in providers if owner.model_match is not None and owner.model_match.is_match(name)), None
    )


def _converted(price: ModelPrice, table: str) -> Price | None:
    by_item = {item: value for item, key in _RATES.items() if (value := getattr(price, key)) is not None}
    request, search = _each(price, "requests_kcount"), _each(price, "web_searches_kcount")
    if not by_item and request is None:
        return None
    starts = sorted(
        {tier.start for value in by_item.values() if isinstance(value, TieredPrices) for tier in value.tiers}
    )
    tiers = tuple(ContextTier(start, _rates(by_item, start)) for start in starts)
    return Price(_rates(by_item, -1), tiers, request or Decimal(0), search, table)


def _rates(by_item: dict[str, Decimal | TieredPrices], start: int) -> Rates:
    return Rates(**{item: _at(value, start) for item, value in by_item.items()})


def _at(value: Decimal | TieredPrices, start: int) -> Decimal:
    """The rate in the tier that begins at `start`; -1 means before all tiers."""
    if not isinstance(value, TieredPrices):
        return value
    return next((tier.price for tier in reversed(value.tiers) if tier.start <= start), value.base)


def _each(price: ModelPrice, key: str) -> Decimal | None:
    """A fee that the data gives by the thousand."""
    value = getattr(price, key)
    if value is None:
        return None
    return (value.base if isinstance(value, TieredPrices) else value).scaleb(-3)


def models_of(vendor: str) -> tuple[tuple[str, int | None], ...]:
    """(name, context window) of the models that the data has in a vendor's own list; empty for one that it does not know."""
    owner = _BY_ID.get(vendor)
    return tuple((model.id, model.context_window) for model in owner.models) if owner is not None else ()
