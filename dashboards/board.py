"""A board as data: rows of panels of queries."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from glassway.pipeline.telemetry.schema import Label

Look = Literal["number", "lines", "stack", "bars", "heatmap"]
Limits = tuple[tuple[float, str], ...]
"""From which value on a colour holds, ascending."""

GOOD, FAIR, POOR, BAD, QUIET = "green", "yellow", "orange", "red", "blue"


@dataclass(frozen=True, slots=True)
class Query:
    """One expression and how its lines are called; `{{label}}` is replaced by a label's value."""

    expr: str
    legend: str
    exemplars: bool = False
    """Whether dots on the panel lead to traces."""


@dataclass(frozen=True, slots=True)
class Panel:
    """One picture. `help` says what is shown, what bad looks like, and what to do then."""

    title: str
    help: str
    unit: str
    queries: tuple[Query, ...]
    look: Look = "lines"
    width: int = 8
    """Of 24 columns."""
    limits: Limits = ()
    colours: Mapping[str, str] = field(default_factory=dict)
    """By what a line is called."""
    highest: float | None = None
    """The axis' end, where the value has one."""

    def __post_init__(self) -> None:
        if not (self.title and self.help and self.unit and self.queries):
            raise ValueError(f"Panel {self.title!r}: expected a title, a help, a unit and a query.")


@dataclass(frozen=True, slots=True)
class Row:
    """Panels under one heading."""

    title: str
    panels: tuple[Panel, ...]
    height: int = 8


def legend(*labels: Label) -> str:
    """Calls a line by its labels' values."""
    return " ".join("{{" + label.name + "}}" for label in labels)
