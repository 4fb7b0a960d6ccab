"""How one of several targets is chosen: by name, with settings, or an object of your own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from ....pipeline.errors import ConfigError
from .cost import Cheapest
from .latency import Fastest
from .load import LeastBusy, PowerOfTwo
from .spread import Priority, RoundRobin, Weighted
from .strategy import Slow, Strategy

STRATEGIES: Mapping[str, type[Strategy]] = {
    cls.name: cls for cls in (Priority, Weighted, RoundRobin, Cheapest, Fastest, LeastBusy, PowerOfTwo)
}
"""By the names that configurations use."""


def make_strategy(given: object) -> Strategy:
    """`"latency"`, `{"latency": {"ceiling_s": 2}}` or a strategy as it is. Raises `ConfigError` for what is none."""
    if isinstance(given, Strategy) and not isinstance(given, type):
        return given
    name, settings = _spelled(given)
    if name not in STRATEGIES:
        raise ConfigError(f"strategy: unknown {name!r}. Known are {', '.join(STRATEGIES)}.")
    known = [item.name for item in fields(STRATEGIES[name]) if item.init]  # type: ignore[arg-type]  # all of ours are dataclasses
    if unknown := sorted(key for key in settings if key not in known):
        raise ConfigError(f"strategy.{name}.{unknown[0]}: unknown key. Known here: {', '.join(known) or 'none'}.")
    try:
        return STRATEGIES[name](**settings)
    except ConfigError as error:
        raise ConfigError(f"strategy.{name}.{error.message}") from error
    except TypeError as error:
        raise ConfigError(f"strategy.{name}: a setting is of the wrong type.") from error


def _spelled(given: object) -> tuple[str, Mapping[str, Any]]:
    if isinstance(given, str):
        return given, {}
    if isinstance(given, Mapping) and len(given) == 1:
        [(name, settings)] = given.items()
        if settings is None or isinstance(settings, Mapping):
            return str(name), settings or {}
    raise ConfigError(
        f"strategy: expected a name such as 'latency', or one name with its settings, found {type(given).__name__}."
    )


__all__ = [
    "STRATEGIES",
    "Cheapest",
    "Fastest",
    "LeastBusy",
    "PowerOfTwo",
    "Priority",
    "RoundRobin",
    "Slow",
    "Strategy",
    "Weighted",
    "make_strategy",
]
