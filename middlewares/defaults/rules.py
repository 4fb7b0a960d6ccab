"""Rules: conditions on a call, and what holds for its request if they are met."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import lru_cache
from typing import Any, get_args

from ...pipeline.call import Call
from ...pipeline.errors import ConfigError
from ...pipeline.patterns import Patterns, matcher, patterns_of
from ...pipeline.types import Operation
from .fields import ByOperation, read_caps, read_values

_TEXTS = ("system", "system_prefix", "system_suffix")


@dataclass(frozen=True, slots=True)
class DefaultsRule:
    """Values for the requests for which every given condition holds. A condition that is None is not given.

    `set` fills in what the request did not say, `force` replaces what it said, `max` is the most that a field may reach.
    Patterns are globs (`gpt-*`) or regular expressions (`re:^o[0-9]`), one or a list of which one must hold.
    Raises `ConfigError` for a field that no request has and a value that no request takes.
    """

    set: Mapping[str, Any] = field(default_factory=dict)
    force: Mapping[str, Any] = field(default_factory=dict)
    max: Mapping[str, float] = field(default_factory=dict)
    system: str | None = field(default=None, repr=False)
    """The system prompt of conversations that have none."""
    system_prefix: str | None = field(default=None, repr=False)
    """Comes before the system prompt, an empty line between; alone where there is none."""
    system_suffix: str | None = field(default=None, repr=False)
    name: str = ""
    """What the fact calls it; by default its place in the list."""
    model: Patterns | None = None
    """The model as it was asked for, with or without its vendor."""
    operation: Patterns | None = None
    tenant: Patterns | None = None
    tags: Sequence[str] = ()
    """All of them must be among the call's."""
    filled: ByOperation = field(init=False, repr=False, compare=False, default_factory=dict)
    forced: ByOperation = field(init=False, repr=False, compare=False, default_factory=dict)
    _checks: tuple[Callable[[Call], bool], ...] = field(init=False, repr=False, compare=False, default=())

    def __post_init__(self) -> None:
        object.__setattr__(self, "filled", read_values(self.set, "Defaults.set"))
        object.__setattr__(self, "forced", read_values(self.force, "Defaults.force"))
        object.__setattr__(self, "max", read_caps(self.max, "Defaults.max"))
        for name in _TEXTS:
            text = getattr(self, name)
            if text is not None and (not isinstance(text, str) or not text):
                raise ConfigError(f"Defaults.{name}: expected text, found {type(text).__name__}. Leave it out.")
        if isinstance(self.tags, str):
            raise ConfigError(f"Defaults.tags: expected a list of tags, found {self.tags!r}.")
        _check_caps(self)
        object.__setattr__(self, "_checks", tuple(_checks(self)))

    @classmethod
    def of(cls, given: object, place: int) -> DefaultsRule:
        """A rule, or a mapping of its settings, as configurations have it."""
        if isinstance(given, DefaultsRule):
            return given
        if not isinstance(given, Mapping):
            raise ConfigError(f"Defaults.rules[{place}]: expected a rule, found {type(given).__name__}.")
        if unknown := sorted(set(given) - set(_SETTINGS)):
            raise ConfigError(
                f"Defaults.rules[{place}]: unknown key {unknown[0]!r}. Known here: {', '.join(_SETTINGS)}."
            )
        return cls(**given)

    @property
    def says_something(self) -> bool:
        """Whether it has any value at all."""
        return bool(self.set or self.force or self.max or any(getattr(self, name) for name in _TEXTS))

    def holds(self, call: Call) -> bool:
        """Whether every condition holds."""
        for check in self._checks:  # noqa: SIM110 - a generator costs more than most checks
            if not check(call):
                return False
        return True


_SETTINGS = tuple(item.name for item in fields(DefaultsRule) if item.init)


def _check_caps(rule: DefaultsRule) -> None:
    for path, values in (("set", rule.set), ("force", rule.force)):
        for name, most in rule.max.items():
            value = values.get(name)
            if isinstance(value, (int, float)) and value > most:
                raise ConfigError(
                    f"Defaults.{path}.{name}: expected at most its own cap of {most}, found {value}. Change one of the two."
                )


def _checks(rule: DefaultsRule) -> list[Callable[[Call], bool]]:
    checks: list[Callable[[Call], bool]] = []
    if rule.model is not None:
        checks.append(_model(matcher(patterns_of(rule.model, "Defaults.model"))))
    if rule.operation is not None:
        operations = matcher(patterns_of(rule.operation, "Defaults.operation"))
        if not any(map(operations, get_args(Operation))):
            raise ConfigError(
                f"Defaults.operation: {rule.operation!r} is none of {', '.join(get_args(Operation))}: the rule can never match."
            )
        checks.append(lambda call: operations(call.request.operation))
    if rule.tenant is not None:
        tenants = matcher(patterns_of(rule.tenant, "Defaults.tenant"))
        checks.append(lambda call: call.tenant is not None and tenants(call.tenant))
    if rule.tags:
        wanted = frozenset(rule.tags)
        checks.append(lambda call: wanted.issubset(call.options.tags))
    return checks


def _model(matches: Callable[[str], bool]) -> Callable[[Call], bool]:
    @lru_cache(maxsize=1024)
    def known(model: str) -> bool:
        return matches(model) or matches(model.partition("/")[2])

    return lambda call: known(call.request.model)
