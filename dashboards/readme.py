"""The table of panels in this folder's README."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .board import Row

BEGIN = "<!-- panels: made by `python dashboards/build.py` -->"
END = "<!-- end of panels -->"


def with_panels(text: str, rows: tuple[Row, ...]) -> str:
    """The README with its table as the rows say. Raises `ValueError` if it has lost the table's marks."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"README.md: expected the marks {BEGIN!r} and {END!r}.")
    return f"{before}{BEGIN}\n\n{table(rows)}\n{END}{after}"


def table(rows: tuple[Row, ...]) -> str:
    """One line a panel, in the board's order."""
    lines = ["| row | panel | what it says, and what to do |", "| --- | --- | --- |"]
    lines += [f"| {row.title} | {panel.title} | {panel.help} |" for row in rows for panel in row.panels]
    return "\n".join(lines) + "\n"
