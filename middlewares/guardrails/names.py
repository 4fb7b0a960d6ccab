"""Rules by name, for configuration."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ...pipeline.errors import ConfigError
from .rules import PII, Check, DenyList, GuardRule, JSONSchema, MaxLength, Regex, Secrets, Verdict

_KINDS: dict[str, type[GuardRule]] = {
    "check": Check,
    "deny_list": DenyList,
    "json_schema": JSONSchema,
    "max_length": MaxLength,
    "pii": PII,
    "regex": Regex,
    "secrets": Secrets,
}

RuleLike = GuardRule | str | Mapping[str, Mapping[str, Any]] | Callable[[str], Verdict]
"""A rule; its name (`secrets`); its name with settings (`{"pii": {"kinds": ["email"]}}`); a function, which becomes a `Check`."""


def from_name(name: str, settings: Mapping[str, Any] | None = None) -> GuardRule:
    """The rule of this name. Raises `ConfigError` for an unknown name and for settings that do not fit."""
    kind = _KINDS.get(name)
    if kind is None:
        raise ConfigError(f"guardrails.rules: expected one of {', '.join(_KINDS)}; found {name!r}.")
    try:
        return kind(**(settings or {}))
    except TypeError as error:
        problem = str(error).partition(") ")[2] or str(error)
        raise ConfigError(f"guardrails.rules.{name}: the settings do not fit: {problem}.") from None


def rule_of(said: RuleLike) -> GuardRule:
    """The rule that was meant."""
    if isinstance(said, GuardRule):
        return said
    if isinstance(said, str):
        return from_name(said)
    if isinstance(said, Mapping) and len(said) == 1:
        ((name, settings),) = said.items()
        return from_name(name, settings)
    if callable(said):
        return Check(said)
    raise ConfigError(
        f"guardrails.rules: expected a rule, a rule's name, a name with settings, or a function; found {type(said).__name__}."
    )
