"""`glassway prices`: what models cost, and who says so."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ..pipeline.pricing import default_prices
from ..providers.catalogue import ROWS
from .report import dollars
from .show import console

if TYPE_CHECKING:
    from collections.abc import Sequence
    from decimal import Decimal

    from ..pipeline.pricing import Price

_COLUMNS = ("input", "cached", "cache_write", "output")


def prices(models: Sequence[str]) -> None:
    """Print a table. A model without a price is `unknown`, never free."""
    from rich.table import Table

    known = frozenset(row.name for row in ROWS)
    usual = [f"{row.name}/{row.default_model}" for row in ROWS if row.default_model]
    table = Table(box=None, pad_edge=False, caption="US dollars per million tokens", caption_justify="left")
    table.add_column("model", overflow="fold")
    for name in _COLUMNS:
        table.add_column(name.replace("_", " "), justify="right")
    table.add_column("from", overflow="fold")
    now, priced = datetime.now(UTC), default_prices()
    for model in models or usual:
        head, slash, rest = model.partition("/")
        vendor, name = (head, rest) if slash and head in known else (None, model)
        table.add_row(model, *_cells(priced.price(vendor, name, now)))
    console().print(table)


def _cells(price: Price | None) -> list[str]:
    if price is None:
        return ["unknown", "", "", "", "no table"]
    tiers = f", dearer above {price.tiers[0].above_tokens} tokens" if price.tiers else ""
    return [*(_rate(getattr(price.rates, name)) for name in _COLUMNS), f"{price.table}{tiers}"]


def _rate(amount: Decimal | None) -> str:
    return "-" if amount is None else dollars(amount)
