"""The price table that Glassway brings along: our vendor names on one side, published prices on the other."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache, lru_cache

from ...pipeline.pricing import Price
from .simulated import simulated_price

_IDS = {
    "openai": "openai",
    "anthropic": "anthropic",
    "gemini": "google",
    "vertex": "google",
    "azure": "azure",
    "bedrock": "aws",
    "groq": "groq",
    "openrouter": "openrouter",
    "together": "together",
    "deepseek": "deepseek",
    "mistral": "mistral",
    "cohere": "cohere",
    "xai": "x-ai",
}
"""Our names, theirs. What runs on one's own machines (ollama, vllm, llamacpp, openai_compatible) has no published price."""

_SLOT_S = 900
"""A price is looked up once per quarter of an hour: dates and hours of the data begin on such borders."""


class VendorPrices:
    """Published prices, by `genai-prices` (MIT): its data as installed, never fetched. Imported at the first price, not before.

    Source: https://github.com/pydantic/genai-prices
    """

    name = "genai-prices"

    @property
    def version(self) -> str:
        """The installed package's."""
        from . import genai

        return genai.VERSION

    @property
    def date(self) -> str:
        """The day of the newest price change in force."""
        from . import genai

        return genai.data_date()

    def price(self, provider: str | None, model: str, at: datetime, *, service_tier: str | None = None) -> Price | None:
        """The price in force at `at`, dated and aliased names included; None for what the data does not know, or has no price of."""
        return _price_at(provider, model, at, service_tier)

    def context_tokens(self, provider: str | None, model: str) -> int | None:
        """The model's context window, where the data knows it."""
        return _context_tokens(provider, model)

    def load(self) -> None:
        """Read the data now: a few hundredths of a second and a few megabytes, once per process."""
        from . import genai  # noqa: F401 - the import reads it


@cache
def default_table() -> VendorPrices:
    """The one table of the process."""
    return VendorPrices()


@lru_cache(maxsize=1024)
def _price_at(provider: str | None, model: str, at: datetime, service_tier: str | None) -> Price | None:
    """Calls of one second bring the same `at`, and what it means is worked out once."""
    if provider == "simulated":
        return simulated_price(model)
    return _price(provider, model, int(at.timestamp()) // _SLOT_S, service_tier)


@lru_cache(maxsize=4096)
def _price(provider: str | None, model: str, slot: int, service_tier: str | None) -> Price | None:
    vendor, name = _place(provider, model)
    if provider is not None and vendor is None:
        return None
    from . import genai

    found = genai.find_model(vendor, name)
    if found is None:
        return None
    at = datetime.fromtimestamp(slot * _SLOT_S, UTC)
    return genai.price_of(*found, at, service_tier, f"genai-prices {genai.VERSION} ({genai.data_date()})")


@lru_cache(maxsize=4096)
def _context_tokens(provider: str | None, model: str) -> int | None:
    vendor, name = _place(provider, model)
    if provider is not None and vendor is None:
        return None
    from . import genai

    found = genai.find_model(vendor, name)
    return None if found is None else found[0].context_window


def vendor_of_prices(provider: str) -> str:
    """The price data's name of a vendor of the catalogue."""
    return _IDS.get(provider, provider) or provider


def _place(provider: str | None, model: str) -> tuple[str | None, str]:
    """Whose prices hold, and the model's name there.

    Hugging Face's router sells other companies' services: the one meant is the part behind the colon, as in
    `openai/gpt-oss-120b:groq`. Without it the router chooses, and the price is not known.
    Source: https://huggingface.co/docs/inference-providers/index
    """
    if provider == "huggingface":
        name, _, service = model.partition(":")
        return (f"huggingface_{service}" if service else None), name
    if provider in ("gemini", "vertex"):
        model = model.rpartition("/")[2]
    return _IDS.get(provider or ""), model
