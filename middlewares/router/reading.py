"""Rules and groups as people write them, with the path of what is wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...pipeline.errors import ConfigError
from .group import Group
from .rules import FIELDS, RouteRule


def read_rules(given: Sequence[RouteRule | Mapping[str, object]]) -> tuple[RouteRule, ...]:
    """Rules, each an object or a mapping of its settings."""
    if isinstance(given, (str, Mapping)) or not isinstance(given, Sequence):
        raise ConfigError(f"Router.rules: expected a list of rules, found {type(given).__name__}.")
    return tuple(_rule(one, f"Router.rules[{place}]") for place, one in enumerate(given))


def read_groups(given: Mapping[str, object]) -> Mapping[str, Group]:
    """Groups by name. A mapping that is not a plain dictionary is somebody's live view, and is kept as it is."""
    if not isinstance(given, Mapping):
        raise ConfigError(f"Router.groups: expected a mapping of names to groups, found {type(given).__name__}.")
    if not isinstance(given, dict):
        return given  # type: ignore[return-value]  # a view holds groups
    groups = {}
    for name, one in given.items():
        try:
            groups[name] = Group.of(one, name)
        except ConfigError as error:
            raise ConfigError(f"Router.groups.{name}: {error.message}") from error
    for name, group in groups.items():
        for place, member in enumerate(group.members):
            if member.target in groups:
                raise ConfigError(
                    f"Router.groups.{name}.targets[{place}]: {member.target!r} is a group itself"
                    f"{', this one' if member.target == name else ''}. Name its targets here, or 'vendor/model'."
                )
    return groups


def _rule(given: object, path: str) -> RouteRule:
    if isinstance(given, RouteRule):
        return given
    if not isinstance(given, Mapping):
        raise ConfigError(f"{path}: expected a RouteRule or a mapping of its settings, found {type(given).__name__}.")
    if unknown := sorted(str(key) for key in given if key not in FIELDS):
        raise ConfigError(f"{path}.{unknown[0]}: unknown key. Known here: {', '.join(FIELDS)}.")
    try:
        return RouteRule(**given)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error.message}") from error
    except TypeError as error:
        raise ConfigError(f"{path}: a condition is of the wrong type.") from error
