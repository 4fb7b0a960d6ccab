"""The waterfall: a call's stages as bars over its time, for terminals of any width, with or without colour."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from .timeline import Doing, Row, milliseconds, rows_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.text import Text

    from ..pipeline.record import Record

_TIME_COLUMN = 9
_WIDE = 100
"""From this width on, rows carry their notes inside the label's column."""

_UNICODE: dict[Doing, str] = {"own": "█", "inner": "─", "stream": "▒", "wait": "·"}
_ASCII: dict[Doing, str] = {"own": "#", "inner": "-", "stream": "~", "wait": "."}
_STYLES = {"ok": "green", "failed": "red", "waiting": "yellow", "moved": "magenta"}
_PIECE_STYLES: dict[Doing, str | None] = {"own": None, "inner": "dim", "stream": "cyan", "wait": None}


@dataclass(frozen=True, slots=True)
class _Layout:
    label: int
    bar: int
    glyphs: dict[Doing, str]
    tick: str
    duration_s: float


def waterfall(record: Record, *, width: int, ascii_only: bool = False) -> list[Text]:
    """The lines, none longer than `width`. State is told by words and glyphs; colour only repeats it.

    Empty for a record without times (telemetry switched off).
    """
    from rich.text import Text

    rows = rows_of(record)
    if not rows:
        return []
    layout = _layout(record, rows, width, ascii_only)
    lines = [Text(_header(layout), style="dim")]
    lines += [_line(row, layout, Text(), wide=width >= _WIDE) for row in rows]
    lines += [Text(line, style="dim") for line in _footer(record, layout)]
    return lines


def _layout(record: Record, rows: Sequence[Row], width: int, ascii_only: bool) -> _Layout:
    longest = max(len(_label(row, wide=width >= _WIDE)) for row in rows)
    label = min(longest, width * 9 // 20)
    bar = max(10, width - label - 2 * _TIME_COLUMN - 5)
    return _Layout(label, bar, _ASCII if ascii_only else _UNICODE, "|" if ascii_only else "▏", record.duration_s)


def _label(row: Row, *, wide: bool) -> str:
    """The name, indented by depth; what a stage decided stands beside it at any width, the rest where there is room."""
    said = row.note if wide else row.note.partition(":")[0] if row.decided else ""
    return f"{' ' * row.depth}{row.label}{f'  {said}' if said else ''}"


def _header(layout: _Layout) -> str:
    scale = milliseconds(layout.duration_s)
    axis = f"0{scale:>{layout.bar - 1}}"
    return f"{'':{layout.label}}  {axis}  {'self':>{_TIME_COLUMN}}{'total':>{_TIME_COLUMN + 1}}"


def _line(row: Row, layout: _Layout, line: Text, *, wide: bool) -> Text:
    style = _STYLES[row.state]
    line.append(f"{_fit(_label(row, wide=wide), layout.label)}  ", style=style if row.state != "ok" else None)
    for (_, doing), cells in groupby(_cells(row, layout)):
        line.append("".join(glyph for glyph, _ in cells), style=_PIECE_STYLES[doing] or style if doing else None)
    if row.total_s is not None and row.self_s is not None:
        line.append(f"  {milliseconds(row.self_s):>{_TIME_COLUMN}} {milliseconds(row.total_s):>{_TIME_COLUMN}}")
    line.rstrip()
    return line


def _fit(text: str, width: int) -> str:
    return f"{text:{width}}" if len(text) <= width else f"{text[: width - 1]}~"


def _cells(row: Row, layout: _Layout) -> list[tuple[str, Doing | None]]:
    """A glyph per cell: of what took most of the cell's time, or blank. A row too short to show gets a tick where it began."""
    cell_s = layout.duration_s / layout.bar or 1e-9
    cells: list[tuple[str, Doing | None]] = [
        _cell(row, number * cell_s, cell_s, layout) for number in range(layout.bar)
    ]
    if row.pieces and all(doing is None for _, doing in cells):
        at = min(layout.bar - 1, int(row.pieces[0].start_s / cell_s))
        cells[at] = (layout.tick, row.pieces[0].doing)
    return cells


def _cell(row: Row, start_s: float, cell_s: float, layout: _Layout) -> tuple[str, Doing | None]:
    shares: dict[Doing, float] = {}
    for piece in row.pieces:
        overlap = min(piece.end_s, start_s + cell_s) - max(piece.start_s, start_s)
        if overlap > 0:
            shares[piece.doing] = shares.get(piece.doing, 0.0) + overlap
    if sum(shares.values()) < cell_s / 3:
        return " ", None
    doing = max(shares, key=shares.__getitem__)
    return layout.glyphs[doing], doing


def _footer(record: Record, layout: _Layout) -> list[str]:
    glyphs = layout.glyphs
    streaming = f"   {glyphs['stream']} stream" if record.stream else ""
    legend = f"{glyphs['own']} busy itself   {glyphs['inner']} waiting for inside{streaming}   {glyphs['wait']} pause"
    own_s = sum(run.self_s for run in record.stages)
    consumer = f" + {milliseconds(record.consumer_s)} of the consumer" if record.stream else ""
    return [
        legend,
        f"self times add up: {milliseconds(own_s)}{consumer} = the call's {milliseconds(record.duration_s)}",
    ]
