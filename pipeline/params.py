"""Keyword arguments of a call, told apart: fields of the request, options of the call, settings of the vendor."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from typing import Any, NamedTuple

from pydantic import SecretStr

from .call import NO_OPTIONS, CallOptions, options_of
from .errors import ConfigError
from .facts import TRANSLATION_POLICIES
from .types import Message, Request

OPTION_NAMES = frozenset(item.name for item in fields(CallOptions)) - {"metadata", "settings", "ran", "route"}
"""`metadata` is a field of OpenAI's request; the call's own goes by `options=CallOptions(metadata=...)`. `route` is one of OpenRouter's."""

VENDOR_SETTINGS = frozenset(
    {"api", "api_version", "region", "project", "location", "organization", "credentials", "deployment", "account"}
)
"""Settings that some vendor needs beside the request; never sent as parameters."""

NOT_OURS = {"timeout": "timeout_s", "api_base": "base_url", "num_retries": "retries", "max_retries": "retries"}


_NO_FIELDS = frozenset(NOT_OURS) | OPTION_NAMES | VENDOR_SETTINGS


class Params(NamedTuple):
    """A request and the call's options."""

    request: Request
    options: CallOptions


def split_params(params: Mapping[str, Any], options: CallOptions) -> tuple[Mapping[str, Any], CallOptions]:
    """(fields of the request, options). Raises `ConfigError` for names that other libraries use for our options."""
    if _NO_FIELDS.isdisjoint(params):
        return params, options
    request_fields = dict(params)
    changes: dict[str, Any] = {}
    settings: dict[str, Any] = {}
    for name in sorted(_NO_FIELDS.intersection(params)):
        value = request_fields.pop(name)
        if name in OPTION_NAMES:
            changes[name] = _option(name, value)
        elif name in NOT_OURS:
            raise ConfigError(f"{name}: unknown here. The option is called {NOT_OURS[name]}.")
        else:
            settings[name] = value
    if settings:
        changes["settings"] = {**options.settings, **settings}
    if options is NO_OPTIONS:
        return request_fields, options_of(changes)
    return request_fields, replace(options, **changes)


def _option(name: str, value: Any) -> Any:
    if name == "api_key" and isinstance(value, str):
        return SecretStr(value)
    if name == "timeout_s" and value is not None and not (_is_number(value) and 0 < value < math.inf):
        raise ConfigError(f"timeout_s: expected seconds above 0 or None, found {value!r}.")
    if name == "retries" and value is not None and not (_is_number(value) and isinstance(value, int) and value >= 0):
        raise ConfigError(f"retries: expected a whole number from 0, found {value!r}.")
    if name == "translation" and value not in (None, *TRANSLATION_POLICIES):
        raise ConfigError(f"translation: expected one of {', '.join(TRANSLATION_POLICIES)}, found {value!r}.")
    return _tags(value) if name == "tags" else value


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _tags(value: Any) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise ConfigError(f"tags: expected a list of names, found {type(value).__name__}.")
    return tuple(value)


def chat_messages(prompt: str, system: str | None) -> list[Message]:
    """One question as messages."""
    head = [Message(role="system", content=system)] if system is not None else []
    return [*head, Message(role="user", content=prompt)]
