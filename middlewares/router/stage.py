"""The stage that picks where a call goes."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

from ...pipeline.call import Call
from ...pipeline.errors import ConfigError
from ...pipeline.facts import ROUTE, Route
from ...pipeline.plan import Rule
from ...pipeline.stream import Handler, Reply
from .board import Board, Watch
from .choosing import choose
from .deciding import Decision, Routes
from .group import Group, RouteFunction
from .reading import read_groups, read_rules
from .rules import RouteRule, in_order
from .traits import Traits

_new_tuple = tuple.__new__  # half the time of a named tuple's own constructor

_RULE = Rule(
    outside={
        "Fallback": "Fallback goes on with the targets that the route left; a Router inside it would choose again, over the fallback's choice",
        "CircuitBreaker": "a breaker judges the target that was chosen; outside the Router it knows only the name that was asked for",
    },
    better_outside={
        "Retry": "inside Retry each try is chosen anew, and a Fallback cannot go on with the rest",
        "Hedge": "inside Hedge the second request may be sent where the first one is",
        "Pool": "a pool then holds a place at the target that was chosen",
    },
    better_inside={
        "Cache": "outside Cache, answers are kept for the target that was chosen, and the next choice finds none",
        "Deduplicate": "outside Deduplicate, identical calls that are sent to different targets are not shared",
    },
    provides=("route",),
)


@dataclass(frozen=True, slots=True)
class Router:
    """Picks the target before the rest of the chain, and says why: the whole decision is the call's `ROUTE` fact.

    What is asked first wins: `route`, a function of the call; `rules`; the group that the model's name stands for, in
    `groups` or registered with the client; `default`, for names that name no provider. Otherwise the caller's own target
    stands. Whoever leads to a group's name leaves the choice to the group's strategy. Targets that cannot take the call
    are skipped. The rest of the group is for `Fallback(targets="route")`.

    Raises `ConfigError` for rules that can never match, and for settings that cannot be.
    """

    rule: ClassVar[Rule] = _RULE

    route: RouteFunction | None = None
    """Sync or async: gets the call's `Traits`, returns a target, the name of a group, a list of targets, or None for no opinion."""
    rules: Sequence[RouteRule] = ()
    groups: Mapping[str, Group] = field(default_factory=dict)
    """By name. Values may be written as lists of targets or mappings of a group's settings."""
    default: str | None = None
    """Where calls go that nothing above holds for and that name no provider: a target, or a group."""
    fallback: str | None = None
    """A target that is put behind the rest of every route."""
    board: Board = field(default_factory=Board, repr=False)
    """Live data on targets, for the strategies that go by it. Several routers may share one."""
    _routes: Routes = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.route is not None and not callable(self.route):
            raise ConfigError(f"Router.route: expected a function of the call, found {type(self.route).__name__}.")
        for name in ("default", "fallback"):
            if (value := getattr(self, name)) is not None and (not isinstance(value, str) or not value):
                raise ConfigError(f"Router.{name}: expected 'vendor/model', found {value!r}.")
        rules, groups = read_rules(self.rules), read_groups(self.groups)
        object.__setattr__(self, "rules", rules)
        object.__setattr__(self, "groups", groups)
        object.__setattr__(self, "_routes", Routes(self.route, in_order(rules), groups, self.default))

    @classmethod
    def from_config(cls, settings: Mapping[str, Any]) -> Self:
        """A configuration can say all but functions: those are registered in Python."""
        if "route" in settings or "board" in settings:
            raise ConfigError("route, board: are made in Python. Use rules here, or register(name, route=...).")
        return cls(**settings)

    async def open(self) -> None:
        """Load what the strategies need before the first call; what is live is watched from now on."""
        for group in self.groups.values():
            await group.prepare()
            self.board.used |= group.chooser.live

    def __call__(self, call: Call, call_next: Handler) -> Awaitable[Reply]:
        """The reply of the target that was picked."""
        if call.state.options.route is None and self._routes.empty:
            return call_next(self._passed_by(call) if self.board.used else call)
        traits = Traits(call)
        decision = self._routes.decide(traits)
        if decision is not None and not isinstance(decision, Decision):
            return self._decided_later(call, call_next, traits, decision)
        return self._decided(call, call_next, traits, decision)

    async def _decided_later(
        self, call: Call, call_next: Handler, traits: Traits, decision: Awaitable[Decision | None]
    ) -> Reply:
        return await self._decided(call, call_next, traits, await decision)

    def _decided(self, call: Call, call_next: Handler, traits: Traits, decision: Decision | None) -> Awaitable[Reply]:
        if decision is None:
            call.set(ROUTE, Route("caller", str(call.target), "caller"))
            return call_next(self._passed_by(call))
        goal = decision.goal
        if isinstance(goal, Group):
            if goal.ready:
                return call_next(self._by_choice(call, decision, goal, traits))
            return self._prepared(call, call_next, traits, decision, goal)
        rest = self._with_fallback(goal, ())
        call.set(ROUTE, Route(decision.route, goal, decision.decided_by, rest=rest, rules=decision.led))
        return call_next(self._passed_by(call).with_target(call.resolve(goal)))

    async def _prepared(
        self, call: Call, call_next: Handler, traits: Traits, decision: Decision, group: Group
    ) -> Reply:
        await group.prepare()
        return await call_next(self._by_choice(call, decision, group, traits))

    def _passed_by(self, call: Call) -> Call:
        """Nothing was chosen here; how it goes is worth knowing all the same."""
        if self.board.used and not call.dry_run:
            call.watch_attempts(Watch(self.board))
        return call

    def _by_choice(self, call: Call, decision: Decision, group: Group, traits: Traits) -> Call:
        board = self.board
        choice, ranked = choose(group, traits, board)
        best = ranked[0]
        rest = tuple([one.name for one in ranked[1:]])
        chooser = group.chooser
        if self.fallback is not None:
            rest = self._with_fallback(best.name, rest)
        least_bad = best.name in choice.skips
        route = (
            group.name,
            best.name,
            decision.decided_by,
            chooser.name,
            rest,
            choice.considered(),
            decision.led,
            least_bad,
        )
        call.set(ROUTE, _new_tuple(Route, route))
        if (board.used or chooser.live) and not call.dry_run:
            watch = board.watch(best.target)
            call.watch_attempts(watch)
            call.when_recorded(watch)
        return call.with_target(best.target)

    def _with_fallback(self, target: str, rest: tuple[str, ...]) -> tuple[str, ...]:
        missing = self.fallback is not None and self.fallback != target and self.fallback not in rest
        return (*rest, str(self.fallback)) if missing else rest
