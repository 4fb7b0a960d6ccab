"""Another pipeline in the place of one that runs: new calls take the new one, calls under way end on the old one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any, cast

from .errors import ConfigError
from .stagenames import check_settings, snake
from .stream import Middleware


def changed_stages(
    stages: Mapping[str, Middleware], changes: Mapping[str, Mapping[str, Any] | None]
) -> Sequence[Middleware]:
    """The stages with other settings: `{"retry": {"attempts": 5}}`; None takes a stage out. Raises `ConfigError` for what is not there."""
    places = {_place(name): name for name in stages}
    for name in changes:
        if name not in places:
            raise ConfigError(f"{name}: no such stage in this pipeline. It has {', '.join(places) or 'none'}.")
    after = []
    for place, name in places.items():
        if place not in changes:
            after.append(stages[name])
        elif (settings := changes[place]) is not None:
            after.append(_with(place, stages[name], settings))
    return after


def _place(name: str) -> str:
    """`RateLimit#2` is `rate_limit_2`: keyword arguments have names."""
    return snake(name).replace("#", "_")


def _with(place: str, stage: object, settings: object) -> Middleware:
    if not isinstance(settings, Mapping):
        raise ConfigError(f"{place}: expected a mapping of settings or None, found {type(settings).__name__}.")
    if not is_dataclass(stage) or isinstance(stage, type):
        raise ConfigError(f"{place}: is a function, and has no settings. Give a whole list: update(stages=[...]).")
    try:
        check_settings(type(stage), settings)
    except ConfigError as error:
        raise ConfigError(f"{place}.{error.message}") from error
    changed: Any = replace(stage, **_kept_state(stage, settings), **settings)
    return cast("Middleware", changed)  # the same class, which can be called


def _kept_state(stage: Any, settings: Mapping[str, Any]) -> dict[str, Any]:
    """A stage that made its own store hands it on: an update forgets no entries, windows or states."""
    held = getattr(stage, "held_store", None)
    named = {item.name for item in fields(stage)}
    return {"store": held} if held is not None and "store" in named and "store" not in settings else {}
