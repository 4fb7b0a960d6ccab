"""Stages by name, for configuration files: `retry: {attempts: 3}` is `Retry(attempts=3)`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields
from importlib import import_module
from typing import Any, Union, get_args, get_origin, get_type_hints

from .errors import ConfigError
from .stream import Middleware


def stage_names() -> tuple[str, ...]:
    """The names that a configuration may use."""
    return tuple(sorted(_classes()))


def make_stage(name: str, settings: Mapping[str, Any]) -> Middleware:
    """The stage of that name with these settings. Raises `ConfigError` naming the key that is unknown or of the wrong type.

    A stage whose settings are objects in Python has `from_config(settings)`, which makes it of what YAML can say.
    """
    classes = _classes()
    if name not in classes:
        raise ConfigError(f"unknown stage {name!r}. Known are {', '.join(sorted(classes))}.")
    cls = classes[name]
    check_settings(cls, settings)
    make = getattr(cls, "from_config", None)
    stage: Middleware = make(settings) if make else cls(**settings)
    return stage


def keeps(name: str) -> bool:
    """Whether the stage of that name keeps something in a store."""
    cls = _classes().get(name)
    return cls is not None and any(item.name == "store" and item.init for item in fields(cls))


def _classes() -> dict[str, Any]:
    middlewares = import_module("..middlewares", __package__)
    classes = {name: getattr(middlewares, name) for name in middlewares.__all__}
    return {snake(name): cls for name, cls in classes.items() if isinstance(cls, type) and "__call__" in vars(cls)}


def snake(name: str) -> str:
    """`RateLimit` as configurations spell it: `rate_limit`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def check_settings(cls: Any, settings: Mapping[str, Any]) -> None:
    """Raise `ConfigError` for a key that the stage does not have, or a plain value of the wrong type."""
    known = [item.name for item in fields(cls) if item.init]
    hints = get_type_hints(cls)
    for key, value in settings.items():
        if key not in known:
            raise ConfigError(f"unknown key {key!r}. Known here: {', '.join(known) or 'none'}.")
        if not _fits(value, hints[key]):
            raise ConfigError(f"{key}: expected {_spell(hints[key])}, found {type(value).__name__}.")


def _fits(value: Any, hint: Any) -> bool:
    """Whether plain YAML data fits a plain annotation; annotations of objects are left to the stage."""
    options = get_args(hint) if _is_union(hint) else (hint,)
    plain = [option for option in options if option in (int, float, str, bool, type(None))]
    if len(plain) < len(options):
        return True
    if isinstance(value, bool):
        return bool in plain
    return any(isinstance(value, (int, float) if option is float else option) for option in plain)


def _is_union(hint: Any) -> bool:
    return get_origin(hint) is Union or type(hint).__name__ == "UnionType"


def _spell(hint: Any) -> str:
    options = get_args(hint) if _is_union(hint) else (hint,)
    return " or ".join("null" if option is type(None) else option.__name__ for option in options)
