"""Groups: several targets under one name, and how one of them is chosen."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

from ...pipeline.call import Call
from ...pipeline.errors import ConfigError
from .candidates import Candidate, Candidates
from .strategies import Slow, Strategy, make_strategy
from .traits import Traits

RouteFunction = Callable[[Traits], str | Sequence[str] | Awaitable[str | Sequence[str] | None] | None]
"""A target (`vendor/model`, or the name of a group), a list of targets, or None for no opinion."""


@dataclass(frozen=True, slots=True)
class Member:
    """One target of a group. What is None is looked up where it is known; a model of which nothing is known is not left out."""

    target: str
    weight: float = 1.0
    """Its share (`weighted`), or how much more of it there is (`latency`, `least_busy`, `power_of_two`). 0: only when no other can."""
    context_tokens: int | None = None
    """Prompt and output together."""
    vision: bool | None = None
    tools: bool | None = None
    streaming: bool | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.target, str) or not self.target:
            raise ConfigError(f"target: expected 'vendor/model', found {self.target!r}.")
        if not isinstance(self.weight, (int, float)) or not 0 <= self.weight < math.inf:
            raise ConfigError(f"{self.target}: weight: expected a number from 0, found {self.weight!r}.")
        if self.context_tokens is not None and self.context_tokens < 1:
            raise ConfigError(f"{self.target}: context_tokens: expected at least 1, found {self.context_tokens}.")

    @property
    def says_something(self) -> bool:
        """Whether it is said what it can take."""
        return (self.context_tokens, self.vision, self.tools, self.streaming) != (None, None, None, None)


MemberLike = Member | str | Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Group:
    """Targets that one name stands for. Raises `ConfigError` for none, for one named twice, for weights that nothing reads.

    `route`, a function, is asked first where there is one; without an opinion of its, or without it, `strategy` chooses.
    """

    targets: Sequence[MemberLike] = ()
    strategy: Strategy | str | Mapping[str, Any] = "priority"
    """`priority`, `weighted`, `round_robin`, `cost`, `latency`, `least_busy`, `power_of_two`, with settings: `{"latency": {...}}`."""
    route: RouteFunction | None = None
    name: str = ""
    picky: bool = field(default=False, init=False, repr=False, compare=False)
    """Whether a member says what it can take."""
    slow: bool = field(default=False, init=False, repr=False, compare=False)
    """Whether the strategy has to load something."""
    _resolved: list[tuple[object, Candidates]] = field(default_factory=list, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if isinstance(self.targets, (str, Mapping)):
            raise ConfigError(f"targets: expected a list of targets, found {type(self.targets).__name__}.")
        members = tuple(_member(given, place) for place, given in enumerate(self.targets))
        object.__setattr__(self, "targets", members)
        object.__setattr__(self, "strategy", make_strategy(self.strategy))
        if self.route is not None and not callable(self.route):
            raise ConfigError(f"route: expected a function, found {type(self.route).__name__}.")
        if not members and self.route is None:
            raise ConfigError("targets: expected at least one 'vendor/model', found none.")
        _check_members(members, self.chooser)
        object.__setattr__(self, "slow", isinstance(self.strategy, Slow))
        object.__setattr__(self, "picky", any(member.says_something for member in members))

    @property
    def members(self) -> tuple[Member, ...]:
        """The targets, as they were understood."""
        return self.targets  # type: ignore[return-value]  # made so above

    def candidates(self, call: Call) -> Candidates:
        """The members among the providers of the call's pipeline, worked out once for each pipeline in turn."""
        known = call.state.known
        for of, candidates in self._resolved:
            if of is known:
                return candidates
        candidates = Candidates.of(_candidate(member, call) for member in self.members)
        self._resolved[:] = [(known, candidates)]
        return candidates

    @property
    def chooser(self) -> Strategy:
        """The strategy, as it was understood."""
        return self.strategy  # type: ignore[return-value]  # made so above

    @property
    def ready(self) -> bool:
        """Whether its strategy has loaded what it needs."""
        return not self.slow or bool(self.chooser.ready)  # type: ignore[attr-defined]  # what is slow has it

    async def prepare(self) -> None:
        """Load what the strategy needs; quick from the second time on."""
        if not self.ready:
            await self.chooser.prepare()  # type: ignore[attr-defined]  # what is slow has it

    def called(self, name: str) -> Group:
        """The same under another name."""
        return self if name == self.name else replace(self, name=name)

    @classmethod
    def of(cls, given: object, name: str) -> Group:
        """A group as a configuration may write it: a list of targets, or a mapping of its settings."""
        if isinstance(given, Group):
            return given.called(name)
        if isinstance(given, Sequence) and not isinstance(given, str):
            return cls(given, name=name)
        if not isinstance(given, Mapping):
            raise ConfigError(f"expected a list of targets or a mapping with `targets`, found {type(given).__name__}.")
        known = [item.name for item in fields(cls) if item.init and item.name != "name"]
        if unknown := sorted(str(key) for key in given if key not in known):
            raise ConfigError(f"unknown key {unknown[0]!r}. Known here: {', '.join(known)}.")
        return cls(**given, name=name)


def _candidate(member: Member, call: Call) -> Candidate:
    return Candidate(member.target, call.resolve(member.target), member.weight, member)


def _member(given: MemberLike, place: int) -> Member:
    if isinstance(given, Member):
        return given
    path = f"targets[{place}]"
    if isinstance(given, Mapping):
        known = [item.name for item in fields(Member) if item.init]
        if unknown := sorted(str(key) for key in given if key not in known):
            raise ConfigError(f"{path}: unknown key {unknown[0]!r}. Known here: {', '.join(known)}.")
        if "target" not in given:
            raise ConfigError(f"{path}.target: expected 'vendor/model', found none.")
    elif not isinstance(given, str):
        raise ConfigError(f"{path}: expected 'vendor/model' or {{target: ..., weight: ...}}, found {given!r}.")
    try:
        return Member(**given) if isinstance(given, Mapping) else Member(given)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error.message}") from error


def _check_members(members: Sequence[Member], strategy: Strategy) -> None:
    names = [member.target for member in members]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ConfigError(f"targets: {twice!r} stands there twice. Take one out, or give it a weight.")
    if members and not any(member.weight for member in members):
        raise ConfigError("targets: every weight is 0, so that nothing would ever be chosen. Give one more than 0.")
    if not strategy.weighs and (heavy := next((member for member in members if member.weight != 1), None)):
        raise ConfigError(
            f"targets: {heavy.target!r} has a weight, which the strategy {strategy.name!r} does not read. "
            "Take it out, or use weighted, latency, least_busy or power_of_two."
        )
