"""Whom a bound holds for: the calls that it is about, and who among them share one allowance."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, Literal, TypeVar, get_args

from .call import Call
from .errors import ConfigError
from .patterns import Patterns, matcher, patterns_of

Sharing = Literal["all", "tenant", "user", "model", "target", "provider", "key"]
"""One allowance for all calls; or one for each tenant, end user, model as it was asked for, target as it is now, provider, API key of the call."""

Per = Sharing | Sequence[Sharing] | Callable[[Call], str | None]
"""A word, several of them (each combination has its own), or a function of the call: None lets a call pass unbounded."""

T = TypeVar("T", bound="Scope")

NOBODY = "-"
"""Calls that name no tenant, user or key share one allowance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """The calls that a bound is about, and who shares it."""

    per: Per = "all"
    tenant: Patterns | None = None
    """Only calls of these tenants: `acme`, `team-*`, `re:^[a-f]`."""
    model: Patterns | None = None
    """Only calls that ask for these models: as they were asked for, or as `vendor/model` now."""
    name: str = ""
    """What it is called in records, metrics and the store. Two bounds of one name in one store count together."""
    _words: tuple[str, ...] | None = field(init=False, repr=False, compare=False)
    _matches: tuple[Callable[[str], bool] | None, Callable[[str], bool] | None] = field(
        init=False, repr=False, compare=False
    )

    def prepare(self, what: str, usual_name: str) -> None:
        """Check the settings, and what can be worked out once. Raises `ConfigError`."""
        words: tuple[str, ...] | None = None
        if not callable(self.per):
            words = (self.per,) if isinstance(self.per, str) else tuple(self.per)
            if unknown := [word for word in words if word not in get_args(Sharing)]:
                raise ConfigError(
                    f"{what}.per: expected one or several of {', '.join(get_args(Sharing))}, or a function of the call; found {unknown[0]!r}."
                )
            if not words:
                raise ConfigError(f"{what}.per: expected at least one of {', '.join(get_args(Sharing))}, found none.")
        object.__setattr__(self, "_words", None if words == ("all",) else words)
        named = [
            matcher(patterns_of(given, f"{what}.{word}")) if given is not None else None
            for word, given in (("tenant", self.tenant), ("model", self.model))
        ]
        object.__setattr__(self, "_matches", (named[0], named[1]))
        if not self.name:
            object.__setattr__(self, "name", usual_name)

    @property
    def is_one(self) -> bool:
        """Whether all calls share it."""
        return self._words is None and not callable(self.per)

    @property
    def is_plain(self) -> bool:
        """Whether it is about all calls, and all of them share it: then `share` is the empty text."""
        return self.is_one and self._matches == (None, None)

    def share(self, call: Call) -> str | None:
        """Whose allowance a call takes from; None if the bound is not about it."""
        of_tenant, of_model = self._matches
        if of_tenant is not None and not of_tenant(call.tenant or ""):
            return None
        if of_model is not None and not (of_model(call.state.requested) or of_model(str(call.target))):
            return None
        if callable(self.per):
            return self.per(call)
        if self._words is None:
            return ""
        return "|".join([_READ[word](call).replace("|", "||") for word in self._words])


def read_scopes(kind: type[T], given: object, path: str) -> tuple[T, ...]:
    """Bounds as people write them: objects, or mappings of their settings. Raises `ConfigError` with the path of what is wrong."""
    if isinstance(given, (str, dict)) or not isinstance(given, Sequence):
        raise ConfigError(f"{path}: expected a list, found {type(given).__name__}.")
    return tuple(_read(kind, one, f"{path}[{place}]") for place, one in enumerate(given))


def check_names(scopes: Sequence[Scope], path: str) -> None:
    """Raises `ConfigError` for two of one name."""
    seen: set[str] = set()
    for one in scopes:
        if one.name in seen:
            raise ConfigError(f"{path}: two are called {one.name!r}, and would count together. Give each a name.")
        seen.add(one.name)


def _read(kind: type[T], given: Any, path: str) -> T:
    if isinstance(given, kind):
        return given
    if not isinstance(given, dict):
        raise ConfigError(
            f"{path}: expected a {kind.__name__} or a mapping of its settings, found {type(given).__name__}."
        )
    known = [item.name for item in fields(kind) if item.init]
    if unknown := [key for key in given if key not in known]:
        raise ConfigError(f"{path}.{unknown[0]}: unknown key. Known here: {', '.join(known)}.")
    needed = [
        item.name for item in fields(kind) if item.init and item.default is MISSING and item.default_factory is MISSING
    ]
    if missing := [name for name in needed if name not in given]:
        raise ConfigError(f"{path}.{missing[0]}: expected a value, found none.")
    try:
        return kind(**given)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error.message}") from error


def _user(call: Call) -> str:
    user = getattr(call.request, "user", None)
    return user if isinstance(user, str) and user else NOBODY


def _key(call: Call) -> str:
    """A digest: a key is a secret, and names in stores are none."""
    key = call.options.api_key
    return hashlib.blake2b(key.get_secret_value().encode(), digest_size=8).hexdigest() if key is not None else NOBODY


_READ: dict[str, Callable[[Call], str]] = {
    "all": lambda _: "",
    "tenant": lambda call: call.tenant or NOBODY,
    "user": _user,
    "model": lambda call: call.state.requested,
    "target": lambda call: str(call.target),
    "provider": lambda call: call.target.provider or NOBODY,
    "key": _key,
}
