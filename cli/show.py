"""Calls and totals on a terminal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from .report import dollars, lines_of
from .timeline import milliseconds
from .waterfall import waterfall

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ..pipeline.record import Record
    from .report import Line
    from .scenarios import Scenario, ScenarioResult, Told
    from .totals import Totals

_ANSWER_CHARACTERS = 160
_NARROW = 60


def console(*, stderr: bool = False) -> Console:
    """A console that invents nothing: no guessed highlights, no markup in texts. `NO_COLOR`, `COLUMNS` and pipes are respected."""
    return Console(file=sys.stderr if stderr else sys.stdout, highlight=False, markup=False, emoji=False)


def show_result(screen: Console, result: ScenarioResult, number: int) -> None:
    """A scenario: title, what to look at, and each call."""
    show_title(screen, result.scenario, number)
    for position, told in enumerate(result.calls, 1):
        if len(result.calls) > 1:
            screen.print(Text(f"call {position} of {len(result.calls)}", style="bold"))
        show_call(screen, told)
        screen.print()
    changed = [("vendor read", text) for text in _changed(result)]
    if changed:
        show_lines(screen, changed)
        screen.print()


def show_title(screen: Console, scenario: Scenario, number: int) -> None:
    """The heading of a scenario."""
    screen.rule(Text(f"{number}. {scenario.title}  [{scenario.name}]", style="bold"), align="left")
    screen.print(Text(f"Look: {scenario.look}", style="italic"))
    screen.print()


def show_call(screen: Console, told: Told) -> None:
    """One call: waterfall, then words."""
    show_waterfall(screen, told.record)
    said: list[Line] = []
    if told.request.stream or told.response is not None:
        said.append(("answer", _answer(told)))
    if told.error is not None:
        said.append(("error", f"{type(told.error).__name__}: {told.error.message}"))
    show_lines(screen, [*said, *lines_of(told.record)])


def show_waterfall(screen: Console, record: Record) -> None:
    """The bars."""
    for line in waterfall(record, width=max(screen.width, _NARROW), ascii_only=screen.options.ascii_only):
        screen.print(line, no_wrap=True, overflow="ignore", crop=False)


def show_record(screen: Console, record: Record) -> None:
    """The words."""
    show_lines(screen, lines_of(record))


def show_lines(screen: Console, lines: Iterable[Line]) -> None:
    """Names on the left, what there is to say on the right, wrapped."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, text in lines:
        table.add_row(Text(name), Text(text))
    screen.print(table)


def show_totals(screen: Console, totals: Totals, results: Sequence[ScenarioResult]) -> None:
    """What everything came to."""
    screen.rule(Text(f"Totals of {len(results)} scenarios", style="bold"), align="left")
    screen.print()
    show_lines(screen, _totals_lines(totals))
    screen.print()
    screen.print(_stage_table(totals))


def _totals_lines(totals: Totals) -> list[Line]:
    equal = "=" if totals.agree else "!="
    sums = f" {equal} ".join(
        f"{dollars(amount, places=6)} {where}"
        for amount, where in (
            (totals.records_usd, "in the records"),
            (totals.counter_usd, "in Prometheus"),
            (totals.ledger_usd, "in the callbacks' ledger"),
        )
    )
    return [
        ("calls", f"{totals.calls}, {totals.completed} completed, {totals.attempts} requests sent to vendors"),
        ("tokens", f"{totals.prompt_tokens} in, {totals.completion_tokens} out"),
        ("cost", sums),
        ("", f"{dollars(totals.wasted_usd)} wasted, {dollars(totals.saved_usd)} saved by the cache, {totals.unpriced} without a price"),
    ]  # fmt: skip


def _stage_table(totals: Totals) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("stage")
    for name in ("runs", "own time", "each"):
        table.add_column(name, justify="right")
    for stage in totals.stages:
        table.add_row(stage.name, str(stage.runs), milliseconds(stage.self_s), milliseconds(stage.self_s / stage.runs))
    return table


def _changed(result: ScenarioResult) -> list[str]:
    """What reached the vendor otherwise than it was asked."""
    asked = {message.text for told in result.calls for message in told.request.messages}
    return [text for text in result.received if text not in asked]


def _answer(told: Told) -> str:
    response = told.response
    if response is None:
        return "none"
    calls = ", ".join(
        f"{call.function.name}({call.function.arguments})" for call in response.tool_calls if call.function
    )
    text = " ".join((response.text or f"asks for {calls}").split())
    return text if len(text) <= _ANSWER_CHARACTERS else f"{text[:_ANSWER_CHARACTERS]}..."
