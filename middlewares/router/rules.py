"""Rules: conditions on a call, and where it goes if they all hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import lru_cache

from ...pipeline.errors import ConfigError
from ...pipeline.patterns import Patterns, covers, matcher, patterns_of
from .traits import Traits

Check = Callable[[Traits], bool]

_NAMES = ("operation", "tenant", "user")
_NUMBERS = ("max_tokens", "temperature", "messages", "prompt_tokens")
_FLAGS = ("stream", "has_tools", "has_images")


@dataclass(frozen=True, slots=True)
class RouteRule:
    """Sends the calls for which every given condition holds to `target`. A condition that is None is not given.

    Patterns are globs (`gpt-*`) or regular expressions (`re:^o[0-9]`), one or a list of which one must hold. `_above` and
    `_below` are strict, and a number that the request does not have is neither. Raises `ConfigError` for conditions that
    contradict each other.
    """

    target: str = ""
    """`vendor/model`, or the name of a group."""
    name: str = ""
    """What the decision is called in records and metrics; by default the target."""
    model: Patterns | None = None
    """The model as it was asked for, with or without its vendor."""
    operation: Patterns | None = None
    tenant: Patterns | None = None
    user: Patterns | None = None
    tags: Sequence[str] = ()
    """All of them must be among the call's."""
    metadata: Mapping[str, Patterns] = field(default_factory=dict)
    max_tokens_above: int | None = None
    max_tokens_below: int | None = None
    temperature_above: float | None = None
    temperature_below: float | None = None
    messages_above: int | None = None
    messages_below: int | None = None
    prompt_tokens_above: int | None = None
    """By estimate: it costs some microseconds a hundred words."""
    prompt_tokens_below: int | None = None
    stream: bool | None = None
    has_tools: bool | None = None
    has_images: bool | None = None
    priority: int = 0
    """The highest is asked first; equal ones in the order of the list."""
    enabled: bool = True
    checks: tuple[Check, ...] = field(init=False, repr=False, compare=False)
    """The conditions, the cheap ones first."""

    def __post_init__(self) -> None:
        if not isinstance(self.target, str) or not self.target:
            raise ConfigError("RouteRule.target: expected 'vendor/model' or the name of a group, found none.")
        if isinstance(self.tags, str):
            raise ConfigError(f"RouteRule.tags: expected a list of tags, found {self.tags!r}.")
        for name in _NUMBERS:
            _check_range(name, getattr(self, f"{name}_above"), getattr(self, f"{name}_below"), name != "temperature")
        _check_operation(self)
        object.__setattr__(self, "name", self.name or self.target)
        object.__setattr__(self, "checks", tuple(_checks(self)))

    def holds(self, traits: Traits) -> bool:
        """Whether every condition holds."""
        for check in self.checks:  # noqa: SIM110 - a generator costs more than most checks
            if not check(traits):
                return False
        return True


def in_order(rules: Sequence[RouteRule]) -> tuple[RouteRule, ...]:
    """The enabled rules in the order in which they are asked. Raises `ConfigError` for one that can never be reached."""
    ordered = sorted((rule for rule in rules if rule.enabled), key=lambda rule: -rule.priority)
    for place, rule in enumerate(ordered):
        for earlier in ordered[:place]:
            if _covers(earlier, rule):
                raise ConfigError(
                    f"Router.rules[{_place(rules, rule)}]: never reached: whatever matches it matches rules[{_place(rules, earlier)}] "
                    f"({earlier.name!r}) before. Give it a higher priority, narrow the other one, or take it out."
                )
    return tuple(ordered)


def _place(rules: Sequence[RouteRule], rule: RouteRule) -> int:
    return next(place for place, one in enumerate(rules) if one is rule)


def _checks(rule: RouteRule) -> list[Check]:
    checks = [_flag(name, wanted) for name in _FLAGS if (wanted := getattr(rule, name)) is not None]
    if rule.model is not None:
        checks.append(_model(matcher(patterns_of(rule.model, "RouteRule.model"))))
    checks += [_name(name, found) for name in _NAMES if (found := _matcher(rule, name)) is not None]
    if rule.tags:
        checks.append(_tags(frozenset(rule.tags)))
    checks += [
        _metadata(key, matcher(patterns_of(wanted, f"RouteRule.metadata.{key}")))
        for key, wanted in rule.metadata.items()
    ]
    for name in _NUMBERS:  # the estimate of the prompt is the last
        above, below = getattr(rule, f"{name}_above"), getattr(rule, f"{name}_below")
        if above is not None or below is not None:
            checks.append(_between(name, above, below))
    return checks


def _matcher(rule: RouteRule, name: str) -> Callable[[str], bool] | None:
    given: Patterns | None = getattr(rule, name)
    return None if given is None else matcher(patterns_of(given, f"RouteRule.{name}"))


def _flag(name: str, wanted: bool) -> Check:
    return lambda traits: getattr(traits, name) is wanted


def _model(matches: Callable[[str], bool]) -> Check:
    @lru_cache(maxsize=1024)
    def known(model: str) -> bool:
        return matches(model) or matches(model.partition("/")[2])

    return lambda traits: known(traits.call.request.model)


def _name(name: str, matches: Callable[[str], bool]) -> Check:
    return lambda traits: (value := getattr(traits, name)) is not None and matches(value)


def _tags(wanted: frozenset[str]) -> Check:
    return lambda traits: wanted.issubset(traits.tags)


def _metadata(key: str, matches: Callable[[str], bool]) -> Check:
    return lambda traits: (value := traits.metadata.get(key)) is not None and matches(str(value))


def _between(name: str, above: float | None, below: float | None) -> Check:
    def check(traits: Traits) -> bool:
        value = getattr(traits, name)
        return value is not None and (above is None or value > above) and (below is None or value < below)

    return check


def _check_range(name: str, above: float | None, below: float | None, whole: bool) -> None:
    if above is None or below is None:
        return
    if above >= below or (whole and above + 1 >= below):
        raise ConfigError(
            f"RouteRule: nothing has {name} above {above} and below {below}: the rule can never match. Widen it."
        )


def _check_operation(rule: RouteRule) -> None:
    """Conditions on a conversation hold for no other operation."""
    if rule.operation is None or matcher(patterns_of(rule.operation, "RouteRule.operation"))("chat"):
        return
    for name in (*_FLAGS, "messages_above", "max_tokens_above", "max_tokens_below"):
        if name != "stream" and getattr(rule, name) not in (None, False):
            raise ConfigError(
                f"RouteRule.{name}: only chat has it, and operation is {rule.operation!r}: the rule can never match. Take one of them out."
            )


def _covers(outer: RouteRule, inner: RouteRule) -> bool:
    """Whether every call that `inner` matches is certain to match `outer`."""
    return (
        all(_names_cover(getattr(outer, name), getattr(inner, name)) for name in ("model", *_NAMES))
        and set(outer.tags) <= set(inner.tags)
        and all(_names_cover(wanted, inner.metadata.get(key)) for key, wanted in outer.metadata.items())
        and all(_range_covers(outer, inner, name) for name in _NUMBERS)
        and all(getattr(outer, name) in (None, getattr(inner, name)) for name in _FLAGS)
    )


def _names_cover(outer: Patterns | None, inner: Patterns | None) -> bool:
    if outer is None:
        return True
    return inner is not None and covers(patterns_of(outer, ""), patterns_of(inner, ""))


def _range_covers(outer: RouteRule, inner: RouteRule, name: str) -> bool:
    pairs = [(getattr(outer, f"{name}_{side}"), getattr(inner, f"{name}_{side}")) for side in ("above", "below")]
    (above, inner_above), (below, inner_below) = pairs
    if above is not None and (inner_above is None or inner_above < above):
        return False
    return below is None or (inner_below is not None and inner_below <= below)


FIELDS = tuple(item.name for item in fields(RouteRule) if item.init)
"""What a configuration may say of a rule."""
