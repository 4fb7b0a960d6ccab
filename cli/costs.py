"""`glassway costs`: what calls cost, from the ledger."""

from __future__ import annotations

import re
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from pydantic_core import to_json

from ..middlewares.ledger import Asked, calls, database_of, export, spending
from ..pipeline.errors import ConfigError
from .report import dollars
from .show import console

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ..middlewares.ledger import Spent

_AGO = re.compile(r"(?P<number>\d+)(?P<unit>[mhdw])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def asked_for(
    *,
    since: str | None = None,
    until: str | None = None,
    tenant: str | None = None,
    model: str | None = None,
    provider: str | None = None,
) -> Asked:
    """The calls that are meant. Raises `ConfigError` for a time that is none."""
    return Asked(moment("--since", since), moment("--until", until), tenant, model, provider)


def moment(option: str, text: str | None, now: datetime | None = None) -> datetime | None:
    """`7d`, `12h`, `30m`, `2w` before now; `2026-11-01`, `2026-11-01T12:00`, in UTC unless it says otherwise."""
    if text is None:
        return None
    if (ago := _AGO.fullmatch(text)) is not None:
        return (now or datetime.now(UTC)) - timedelta(**{_UNITS[ago["unit"]]: int(ago["number"])})
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"{option}: expected 7d, 12h, 30m or a day like 2026-11-01, found {text!r}.") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def costs(ledger: str, asked: Asked, by: Sequence[str], *, as_json: bool) -> None:
    """Print a table, the dearest first, and the sum of all; or the same as JSON."""
    database = database_of(ledger)
    try:
        lines = spending(database, asked, by)
        whole = next(iter(spending(database, asked, ())), None)
    finally:
        database.close()
    if as_json:
        sys.stdout.buffer.write(
            to_json({"by": list(by), "groups": [_plain(by, line) for line in lines], "all": _plain((), whole)}) + b"\n"
        )
    elif whole is None:
        console().print("No calls.")
    else:
        _print(by, lines, whole)


def export_calls(ledger: str, asked: Asked, path: Path) -> None:
    """Write the calls to a file, with a progress bar on standard error."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    database = database_of(ledger)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    try:
        whole = next(iter(spending(database, asked, ())), None)
        with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
            task = progress.add_task(f"writing {path.name}", total=whole.calls if whole else 0)
            count = export(calls(database, asked), path, lambda more: progress.advance(task, more))
    finally:
        database.close()
    console().print(f"{count} calls written to {path}")


def _print(by: Sequence[str], lines: Sequence[Spent], whole: Spent) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, show_footer=True)
    for index, name in enumerate(by):
        table.add_column(name, footer="" if index else "all", overflow="fold")
    shown = {name: text for name, text in _figures(whole).items() if text != "$0" or name == "cost"}
    for name, footer in shown.items():
        table.add_column(name, footer=footer, justify="right", no_wrap=True)
    for line in lines:
        figures = _figures(line)
        table.add_row(*(name or "-" for name in line.group), *(figures[name] for name in shown))
    console().print(table)
    if whole.unpriced:
        console().print(
            f"? {whole.unpriced:,} calls of unknown price are in no sum. Give their models a price: Cost(overrides=...)."
        )


def _figures(line: Spent) -> dict[str, str]:
    """What the columns show, by their names. A sum that leaves out calls of unknown price ends in a question mark."""
    unknown = " + ?" if line.unpriced and line.cost_usd is not None else ""
    return {
        "calls": f"{line.calls:,}",
        "failed": f"{line.failures:,}",
        "in": f"{line.prompt_tokens:,}",
        "out": f"{line.completion_tokens:,}",
        "cost": f"{dollars(line.cost_usd)}{unknown}",
        "wasted": dollars(line.wasted_usd),
        "saved": dollars(line.saved_usd),
        "average": f"{line.duration_s / line.calls * 1000:,.0f} ms",
    }


def _plain(by: Sequence[str], line: Spent | None) -> dict[str, object] | None:
    if line is None:
        return None
    figures = line._asdict()
    group = dict(zip(by, figures.pop("group"), strict=True))
    return group | {
        name: format(value, "f") if isinstance(value, Decimal) else value for name, value in figures.items()
    }
