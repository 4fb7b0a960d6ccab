"""Choosing one target of a group for one call, and saying why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

from ...pipeline.errors import (
    BadRequestError,
    BudgetExceeded,
    ContextWindowExceededError,
    GlasswayError,
    UnpricedModel,
)
from .candidates import SMALLEST_WINDOW, Candidate, Choice, judge

if TYPE_CHECKING:
    from ...pipeline.facts import Skipped
    from .board import Board
    from .group import Group
    from .traits import Traits

_REFUSALS: dict[frozenset[Skipped], tuple[type[GlasswayError], str]] = {
    frozenset({"context"}): (ContextWindowExceededError, "Shorten it, or add a target with a larger context window."),
    frozenset({"price"}): (BudgetExceeded, "Raise ceiling_usd, ask for less output, or add a cheaper target."),
    frozenset({"unpriced"}): (UnpricedModel, "Give prices (overrides), or leave ceiling_usd out."),
}


def choose(group: Group, traits: Traits, board: Board) -> tuple[Choice, Sequence[Candidate]]:
    """What was found of the group's targets; and those that may take the call, the best first, at least one.

    Raises `ContextWindowExceededError`, `BudgetExceeded`, `UnpricedModel` or `BadRequestError` where none can take it.
    """
    choice = Choice(group.candidates(traits.call), traits, board)
    able: Sequence[Candidate] = choice.candidates
    if group.picky or traits.call.state.circuits or not traits.surely_below(SMALLEST_WINDOW):
        judge(choice)
        able = choice.unskipped(able)
    found = choice.unskipped(group.chooser.rank(able, choice)) if able else ()
    if not found:
        _refuse(group, choice)
    return choice, found


def _refuse(group: Group, choice: Choice) -> NoReturn:
    reasons = frozenset(reason for reason, _ in choice.skips.values())
    error, advice = _REFUSALS.get(reasons, (BadRequestError, "Ask otherwise, or add a target that can."))
    said = "; ".join(map(str, choice.considered()))
    raise error(f"No target of {group.name!r} can take this call ({said}). {advice}", model=group.name)
