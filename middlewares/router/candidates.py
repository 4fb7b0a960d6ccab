"""Candidates: the targets of a group in one pipeline; and the choice between them for one call, with what was found."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from ...pipeline.capabilities import context_tokens
from ...pipeline.facts import Considered, Skipped

if TYPE_CHECKING:
    from ...pipeline.call import Target
    from .board import Board
    from .group import Member
    from .traits import Traits

Score = float | Decimal | None

PASSING: frozenset[Skipped] = frozenset({"circuit_open", "latency"})
"""What may be otherwise in a moment: if every target has such a thing against it, the best of them is taken all the same."""

SMALLEST_WINDOW = 4_000
"""Tokens; a request that is certain to be shorter fits any model in use."""


_new_tuple = tuple.__new__
"""Makes a named one in one step: half the time of its own constructor."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One target of a group. The same object in every call of a pipeline."""

    name: str
    """As it is written in the group."""
    target: Target
    weight: float
    member: Member


class Candidates(NamedTuple):
    """The targets of a group in one pipeline, in order."""

    each: tuple[Candidate, ...]
    unremarkable: Mapping[str, Considered]
    """What is said of each when there is nothing to say."""

    @classmethod
    def of(cls, each: Iterable[Candidate]) -> Candidates:
        """These."""
        candidates = tuple(each)
        return cls(candidates, {one.name: Considered(one.name) for one in candidates})


class Choice:
    """One call's choice: what was found of the candidates. A strategy scores them here, or skips some."""

    __slots__ = ("board", "candidates", "said", "skips", "traits")

    def __init__(self, candidates: Candidates, traits: Traits, board: Board) -> None:
        self.candidates = candidates.each
        self.traits = traits
        self.board = board
        self.said = {**candidates.unremarkable}
        """Of each, in the order of the list."""
        self.skips: dict[str, tuple[Skipped, str]] = {}

    def score(self, candidate: Candidate, score: Score, detail: str = "") -> None:
        """What the strategy compares, and what else there is to say of it."""
        name = candidate.name
        self.said[name] = _new_tuple(Considered, (name, "", detail, score))

    def skip(self, candidate: Candidate, reason: Skipped, detail: str = "") -> None:
        """Do not take it, and say why."""
        self.skips[candidate.name] = reason, detail

    def unskipped(self, candidates: Sequence[Candidate]) -> Sequence[Candidate]:
        """Those that nothing stands against; where there is none, those with something against them that passes."""
        skips = self.skips
        if not skips:
            return candidates
        return [one for one in candidates if one.name not in skips] or [
            one for one in candidates if skips[one.name][0] in PASSING
        ]

    def considered(self) -> tuple[Considered, ...]:
        """What the record says, in the order of the list."""
        for name, (reason, detail) in self.skips.items():
            self.said[name] = self.said[name]._replace(skipped=reason, detail=detail)
        return tuple(self.said.values())


def judge(choice: Choice) -> None:
    """Skip those that cannot take the call, or whose circuit is open."""
    traits = choice.traits
    call = traits.call
    small = traits.surely_below(SMALLEST_WINDOW)
    images, tools = traits.has_images, traits.has_tools
    for candidate in choice.candidates:
        member = candidate.member
        if traits.stream and member.streaming is False:
            choice.skip(candidate, "streaming")
        elif images and member.vision is False:
            choice.skip(candidate, "vision")
        elif tools and member.tools is False:
            choice.skip(candidate, "tools")
        elif (not small or member.context_tokens is not None) and (detail := _too_small(candidate, traits)):
            choice.skip(candidate, "context", detail)
        elif call.state.circuits and call.circuit_open(candidate.target):
            choice.skip(candidate, "circuit_open")


def _too_small(candidate: Candidate, traits: Traits) -> str:
    target = candidate.target
    window = candidate.member.context_tokens or context_tokens(traits.call.vendor_of(target), target.model)
    if window is None or traits.surely_below(window):
        return ""
    needed = traits.prompt_tokens + (traits.max_tokens or 0)
    return f"about {needed} tokens asked, {window} fit" if needed > window else ""
