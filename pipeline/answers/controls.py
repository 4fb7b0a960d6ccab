"""What a call itself says about caching."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ..errors import ConfigError


class Controls(NamedTuple):
    """`no_cache`: take no kept answer. `no_store`: keep none. `ttl_s`: take none that is older, keep it for as long."""

    no_cache: bool = False
    no_store: bool = False
    ttl_s: float | None = None

    @property
    def bypass(self) -> bool:
        """Whether the cache is out of the call altogether."""
        return self.no_cache and self.no_store


NO_CONTROLS = Controls()
_NAMES = frozenset(Controls._fields)


def controls_of(said: Mapping[str, Any]) -> Controls:
    """Read `options.cache`. Raises `ConfigError` for a name that we do not know and a value of the wrong kind."""
    if not said:
        return NO_CONTROLS
    if not _NAMES.issuperset(said):
        unknown = sorted(set(said) - _NAMES)
        raise ConfigError(f"options.cache: expected {', '.join(Controls._fields)}; found {', '.join(unknown)}.")
    for name in said:
        if name != "ttl_s" and said[name].__class__ is not bool:
            raise ConfigError(f"options.cache.{name}: expected true or false, found {type(said[name]).__name__}.")
    ttl_s = said.get("ttl_s")
    check_ttl("options.cache.ttl_s", ttl_s)
    return Controls(said.get("no_cache", False), said.get("no_store", False), ttl_s)


def check_ttl(path: str, ttl_s: object) -> None:
    """Raises `ConfigError` unless `ttl_s` is a number of seconds above 0, or None."""
    if ttl_s is None:
        return
    if isinstance(ttl_s, bool) or not isinstance(ttl_s, (int, float)) or not 0 < ttl_s < float("inf"):
        raise ConfigError(f"{path}: expected seconds above 0, found {ttl_s!r}.")
