"""`glassway models`: the vendors, or what one of them serves."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from ..pipeline.portal import run_sync
from ..providers import provider as make_provider
from ..providers.catalogue import ROWS
from .show import console

if TYPE_CHECKING:
    from ..providers import HTTPProvider
    from ..providers.catalogue import Row


def models(vendor: str | None) -> None:
    """Print them. Raises `ConfigError` for an unknown vendor, and what asking it raises."""
    if vendor is None:
        _vendors()
        return
    for name in run_sync(_list_models, make_provider(vendor)):
        sys.stdout.write(f"{name}\n")


async def _list_models(provider: HTTPProvider) -> tuple[str, ...]:
    try:
        return await provider.list_models()
    finally:
        await provider.aclose()


def _vendors() -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for column in ("vendor", "usual model", "key"):
        table.add_column(column, overflow="fold")
    for row in ROWS:
        table.add_row(row.name, f"{row.name}/{row.default_model}" if row.default_model else "-", _key(row))
    console().print(table)


def _key(row: Row) -> str:
    if not row.needs_key:
        return "not needed"
    found = next((name for name in row.key_variables if os.environ.get(name)), None)
    return f"{found} is set" if found else f"set {' or '.join(row.key_variables)}"
