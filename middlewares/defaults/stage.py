"""The stage that completes requests."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, ClassVar

from ...pipeline.call import Call
from ...pipeline.errors import ConfigError
from ...pipeline.facts import DEFAULTS
from ...pipeline.plan import Rule
from ...pipeline.stream import Handler, Reply
from ...pipeline.types import Operation
from .merged import Merged
from .rules import DefaultsRule

_KEPT = "inside it, answers would be kept under a request that was not the one sent, and other defaults would go on giving old answers"
_ONCE = "a request is completed once, not once for each try"


@dataclass(frozen=True, slots=True)
class Defaults:
    """Fills in what a request did not say, forces what it may not choose, and caps what it may not exceed.

    `set`, `force`, `max` and the system prompt hold for all calls; `rules` for those that match. Every rule that matches
    counts, in order, and the stage's own values come last: the first that says something of a field wins, the lowest cap
    holds. A caller's value wins over `set` and loses against `force`; nothing is above `max`.

    Raises `ConfigError` for fields that no request has, values that none takes, and rules that say nothing.
    """

    rule: ClassVar[Rule] = Rule(
        outside={"Cache": _KEPT, "SemanticCache": _KEPT, "Deduplicate": _KEPT},
        better_outside={
            "Router": "rules that go by what is asked for then see what is sent",
            "Fallback": "a request is completed once, not once for each target",
            "Retry": _ONCE,
            "Hedge": _ONCE,
        },
        better_inside={"Guardrails": "guardrails then judge what the caller said, not your own system prompt"},
        provides=("defaults",),
    )

    set: Mapping[str, Any] = field(default_factory=dict)
    force: Mapping[str, Any] = field(default_factory=dict)
    max: Mapping[str, float] = field(default_factory=dict)
    system: str | None = field(default=None, repr=False)
    """The system prompt of conversations that have none."""
    system_prefix: str | None = field(default=None, repr=False)
    system_suffix: str | None = field(default=None, repr=False)
    rules: Sequence[DefaultsRule | Mapping[str, Any]] = ()
    _named: tuple[tuple[str, DefaultsRule], ...] = field(init=False, repr=False, compare=False, default=())
    _merged: Callable[[tuple[int, ...], Operation], Merged] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        own = DefaultsRule(
            self.set, self.force, self.max, self.system, self.system_prefix, self.system_suffix, name="own"
        )
        if isinstance(self.rules, (str, Mapping)):
            raise ConfigError(f"Defaults.rules: expected a list of rules, found {type(self.rules).__name__}.")
        rules = tuple(DefaultsRule.of(given, place) for place, given in enumerate(self.rules))
        for place, rule in enumerate(rules):
            if not rule.says_something:
                raise ConfigError(f"Defaults.rules[{place}]: expected something to set, force or cap, found nothing.")
        named = tuple((rule.name or f"rules[{place}]", rule) for place, rule in enumerate(rules))
        if own.says_something:
            named = (*named, ("own", own))
        if not named:
            raise ConfigError(
                "Defaults: expected something to set, force or cap, found nothing. Set a field: set={...}."
            )
        object.__setattr__(self, "rules", rules)
        object.__setattr__(self, "_named", named)
        object.__setattr__(self, "_merged", lru_cache(maxsize=256)(_merger(named)))

    async def __call__(self, call: Call, call_next: Handler) -> Reply:
        """The reply to the completed request."""
        matching = tuple([place for place, (_, rule) in enumerate(self._named) if rule.holds(call)])
        if not matching:
            return await call_next(call)
        request, done = self._merged(matching, call.request.operation).apply(call.request)
        for applied in done:
            call.add(DEFAULTS, applied)
        return await call_next(call if request is call.request else call.with_request(request))


def _merger(named: Sequence[tuple[str, DefaultsRule]]) -> Callable[[tuple[int, ...], Operation], Merged]:
    def merged(matching: tuple[int, ...], operation: Operation) -> Merged:
        return Merged.of([named[place] for place in matching], operation)

    return merged
