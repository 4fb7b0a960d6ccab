"""`glassway replay`: recorded calls through another configuration, and what differs."""

from __future__ import annotations

import json
import sys
from contextlib import aclosing
from decimal import Decimal
from typing import TYPE_CHECKING

from ..middlewares.cassette import cassette_at
from ..pipeline.config import Config, load_config
from ..pipeline.errors import ConfigError
from ..pipeline.portal import run_sync
from .clients import USUAL
from .report import dollars
from .rerun import pipeline_of, plain, recorded_calls, rerun, totals_of
from .show import console
from .timeline import milliseconds

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ..pipeline.pipeline import Pipeline
    from .rerun import Comparison, Recorded, Totals


def replay(
    cassette: Path,
    *,
    config: Path | None,
    speed: float,
    live: bool,
    model: str | None,
    content: bool,
    as_json: bool,
) -> Totals:
    """Ask all calls again and print the differences. Raises `ConfigError`, `PlanError`."""
    entries = cassette_at(cassette).read()
    if not entries:
        raise ConfigError(f"{cassette}: expected recorded exchanges, found none.")
    read = load_config(config) if config is not None else Config.read(USUAL)
    pipeline = pipeline_of(read, cassette, entries, speed=speed, live=live)
    calls = recorded_calls(entries)
    found = run_sync(_all, pipeline, calls, model, content)
    totals = totals_of(found)
    if as_json:
        sys.stdout.write(f"{json.dumps(_json(cassette, found, totals, speed=speed, live=live))}\n")
    else:
        _print(found, totals, speed=speed, live=live)
    return totals


async def _all(
    pipeline: Pipeline, calls: Sequence[Recorded], model: str | None, content: bool
) -> list[Comparison | None]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    found: list[Comparison | None] = []
    screen = console(stderr=True)
    with Progress(*columns, console=screen, transient=True, disable=not screen.is_terminal) as progress:
        task = progress.add_task("asking again", total=len(calls))
        async with aclosing(rerun(pipeline, calls, model=model, content=content)) as comparisons:
            async for comparison in comparisons:
                found.append(comparison)
                progress.advance(task)
    return found


def _print(found: Sequence[Comparison | None], totals: Totals, *, speed: float, live: bool) -> None:
    from rich.table import Table

    screen = console()
    table = Table(box=None, pad_edge=False)
    table.add_column("call", justify="right")
    for name in ("model", "output", "cost", "time", "decided otherwise"):
        table.add_column(name, overflow="fold", no_wrap=name in ("cost", "time"))
    for number, each in enumerate(found, 1):
        if each is None:
            table.add_row(str(number), "", "skipped: its caller hung up")
            continue
        table.add_row(
            str(number),
            each.before["requested"],
            _output(each),
            _change(*(_dollars(summary["cost_usd"]) for summary in (each.before, each.after))),
            _change(*(milliseconds(summary["duration_s"]) for summary in (each.before, each.after))),
            ", ".join(each.decided_otherwise),
            style=None if each.equal else "yellow",
        )
    screen.print(table)
    for number, each in enumerate(found, 1):
        if each is not None and (lines := [*_decisions(each), *each.diff]):
            screen.print(f"\ncall {number}:", *lines, sep="\n  ", soft_wrap=True)
    screen.print(_summary(totals))
    vendors = "the real providers" if live else f"the cassette, its waits times {speed:g}"
    screen.print(f"answered by {vendors}", style="dim")


def _summary(totals: Totals) -> str:
    before, after = totals.cost_usd
    known = f" ({after - before:+f})" if before is not None and after is not None and before != after else ""
    return (
        f"\n{totals.calls} calls: {totals.equal} equal, {totals.different} different, {totals.skipped} skipped; "
        f"{totals.decided_otherwise} decided otherwise; cost {_change(dollars(before), dollars(after))}{known}; "
        f"time {_change(*map(milliseconds, totals.duration_s))}"
    )


def _output(each: Comparison) -> str:
    if each.equal:
        return "equal" if each.before["error"] is None else f"equal: {each.before['error']}"
    return f"differs: {_said(each.before)} -> {_said(each.after)}"


def _said(summary: dict[str, object]) -> str:
    """Sizes and kinds; what was said is content."""
    output = summary["output"]
    size = f"{output['characters']} characters" if isinstance(output, dict) else "nothing"
    return f"{summary['error'] or summary['end']} with {size}" if summary["end"] != "completed" else size


def _decisions(each: Comparison) -> list[str]:
    before, after = each.before["decisions"], each.after["decisions"]
    return [
        f"{name}: {_change(*('; '.join(side.get(name, ())) or 'none' for side in (before, after)))}"
        for name in each.decided_otherwise
    ]


def _change(before: str, after: str) -> str:
    return before if before == after else f"{before} -> {after}"


def _dollars(amount: str | None) -> str:
    return dollars(None if amount is None else Decimal(amount))


def _json(
    cassette: Path, found: Sequence[Comparison | None], totals: Totals, *, speed: float, live: bool
) -> dict[str, object]:
    sums = {
        "calls": totals.calls,
        "equal": totals.equal,
        "different": totals.different,
        "skipped": totals.skipped,
        "decided_otherwise": totals.decided_otherwise,
        "cost_usd": [None if amount is None else format(amount, "f") for amount in totals.cost_usd],
        "duration_s": list(totals.duration_s),
    }
    calls = [plain(each) for each in found if each is not None]
    return {"cassette": str(cassette), "speed": speed, "live": live, "calls": calls, "totals": sums}
