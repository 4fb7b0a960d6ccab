"""What a call is routed to, before anything is chosen: a function, else a rule, else the group that the name stands for, else the default."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from inspect import isawaitable
from typing import NamedTuple

from ...pipeline.errors import ConfigError, StageError
from ...pipeline.facts import RouteDecider
from .group import Group, RouteFunction
from .rules import RouteRule
from .traits import Traits

_MOST_STEPS = 8
"""From a function to a group with a function, and so on: more than this goes round in a circle."""


_new_tuple = tuple.__new__  # half the time of a named tuple's own constructor


class Decision(NamedTuple):
    """One target, or a group to choose from; what led there first, and the rules and functions on the way."""

    decided_by: RouteDecider
    led: tuple[str, ...]
    goal: str | Group

    @property
    def route(self) -> str:
        """What it is called: by the group, else by the last that decided."""
        if isinstance(self.goal, Group):
            return self.goal.name
        return self.led[-1] if self.led else self.decided_by


@dataclass(frozen=True, slots=True)
class Routes:
    """What a router goes by."""

    route: RouteFunction | None
    rules: Sequence[RouteRule]
    groups: Mapping[str, Group]
    default: str | None

    @property
    def empty(self) -> bool:
        """Whether there is nothing to go by, as long as no call brings a group of its own."""
        return self.route is None and not self.rules and self.default is None and not self.groups

    def decide(self, traits: Traits) -> Decision | Awaitable[Decision | None] | None:
        """Where the call goes; None if the caller's own target stands. To be awaited where a function has to be asked."""
        if self.route is not None:
            return self._asked(self.route, traits)
        return self._unasked(traits)

    async def _asked(self, route: RouteFunction, traits: Traits) -> Decision | None:
        name = _name_of(route)
        if (goal := await _answer(route, name, traits)) is not None:
            return await self._followed("function", (name,), goal, traits)
        decision = self._unasked(traits)
        return decision if decision is None or isinstance(decision, Decision) else await decision

    def _unasked(self, traits: Traits) -> Decision | Awaitable[Decision] | None:
        for rule in self.rules:
            if rule.holds(traits):
                return self._follow("rule", (rule.name,), rule.target, traits)
        group = self._group(traits.call.request.model, traits)
        if group is not None:
            if group.route is None:
                return _new_tuple(Decision, ("group", (), group))
            return self._followed("group", (), group, traits)
        if self.default is not None and not _names_a_provider(traits):
            return self._follow("default", (), self.default, traits)
        return None

    def _follow(
        self, decided_by: RouteDecider, led: tuple[str, ...], goal: str, traits: Traits
    ) -> Decision | Awaitable[Decision]:
        group = self._group(goal, traits)
        if group is None or group.route is None:
            return _new_tuple(Decision, (decided_by, led, goal if group is None else group))
        return self._followed(decided_by, led, group, traits)

    async def _followed(
        self, decided_by: RouteDecider, led: tuple[str, ...], goal: str | Group, traits: Traits
    ) -> Decision:
        """Through names of groups, and the functions of groups."""
        for _ in range(_MOST_STEPS):
            group = goal if isinstance(goal, Group) else self._group(goal, traits)
            if group is None:
                return Decision(decided_by, led, goal)
            picked = None if group.route is None else await _answer(group.route, group.name, traits)
            if picked is None:
                if not group.members:
                    raise StageError(f"Router: the function of {group.name!r} gave no target. Return one.")
                return Decision(decided_by, led, group)
            decided_by = "function" if decided_by == "group" else decided_by
            led, goal = (*led, group.name), picked
        raise ConfigError(f"Router: {' -> '.join(led)} goes round in a circle. Let one of them give a target.")

    def _group(self, name: str, traits: Traits) -> Group | None:
        brought = traits.call.state.options.route
        if isinstance(brought, Group) and brought.name == name:
            return brought
        return self.groups.get(name)


async def _answer(function: RouteFunction, name: str, traits: Traits) -> str | Group | None:
    answer = function(traits)
    if isawaitable(answer):
        answer = await answer
    if answer is None or (isinstance(answer, str) and answer):
        return answer
    if isinstance(answer, Sequence) and answer and all(isinstance(one, str) and one for one in answer):
        return Group(tuple(dict.fromkeys(answer)), name=name)
    raise StageError(
        f"Router: {name!r} returned {type(answer).__name__}; expected 'vendor/model', the name of a group, a list of targets, or None."
    )


def _names_a_provider(traits: Traits) -> bool:
    head, slash, _ = traits.model.partition("/")
    return bool(slash) and head in traits.call.state.known


def _name_of(function: RouteFunction) -> str:
    name = getattr(function, "__name__", type(function).__name__)
    return "function" if name == "<lambda>" else name
