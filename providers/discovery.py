"""What vendors there are, and what is known of each without asking it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from .catalogue import ROWS, row_of
from .prices.table import default_table, vendor_of_prices

if TYPE_CHECKING:
    from .catalogue import Row


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A model, as the price data knows it. None is unknown, never nothing."""

    name: str
    context_tokens: int | None
    """Prompt and output together."""
    input_usd: Decimal | None
    """US dollars per million tokens, now."""
    output_usd: Decimal | None


@dataclass(frozen=True, slots=True)
class ProviderInfo:
    """A vendor. Every one streams; what a model takes beyond text is the vendor's to say."""

    name: str
    aliases: tuple[str, ...]
    docs: str
    base_url: str | None
    """None: you have to say it."""
    key_variables: tuple[str, ...]
    ready: bool
    """Whether it can be asked as things are: its key is in the environment, or it needs none, and its address is known."""
    default_model: str | None
    models: tuple[ModelInfo, ...]
    """Those with published prices; `provider(name).list_models()` asks the vendor itself."""


def list_providers(*, ready: bool = False) -> tuple[str, ...]:
    """The vendors' names; only those that can be asked as things are with `ready`."""
    return tuple(row.name for row in ROWS if not ready or _is_ready(row))


def provider_available(name: str) -> bool:
    """Whether a vendor can be asked as things are. Asks nobody: `provider(name).available()` does. Raises `ConfigError` for an unknown one."""
    return _is_ready(row_of(name))


def provider_info(name: str) -> ProviderInfo:
    """What is known of a vendor. Raises `ConfigError` for an unknown one."""
    row = row_of(name)
    return ProviderInfo(
        row.name,
        row.aliases,
        row.docs,
        row.base_url,
        row.key_variables,
        _is_ready(row),
        row.default_model,
        _models(row),
    )


def _is_ready(row: Row) -> bool:
    has_key = not row.needs_key or any(os.environ.get(name) for name in row.key_variables)
    has_place = row.base_url is not None or bool(row.base_url_env and os.environ.get(row.base_url_env))
    return has_key and (has_place or row.place is not None)


def _models(row: Row) -> tuple[ModelInfo, ...]:
    from .prices.genai import models_of  # reads megabytes

    now, table = datetime.now(UTC), default_table()
    found = []
    for name, context_tokens in models_of(vendor_of_prices(row.name)):
        price = table.price(row.name, name, now)
        rates = price.rates if price is not None else None
        found.append(ModelInfo(name, context_tokens, rates.input if rates else None, rates.output if rates else None))
    return tuple(found)
