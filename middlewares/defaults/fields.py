"""Fields that a default can be for, and values in the form that requests hold them in."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache
from typing import Any, get_args

from pydantic import TypeAdapter, ValidationError

from ...pipeline.errors import ConfigError
from ...pipeline.types import Operation, Request

OUTPUT_LIMITS = ("max_tokens", "max_completion_tokens")
"""OpenAI's two names of one limit: who says one of them has said it.

Source: https://platform.openai.com/docs/api-reference/chat/create
"""

_NOT_FOR_DEFAULTS = frozenset({"model", "stream", "stream_options"})
"""Where a call goes is the Router's to say, and how the answer comes the caller's."""

ByOperation = Mapping[Operation, Mapping[str, Any]]


def read_values(values: object, path: str) -> ByOperation:
    """The values as requests of each operation hold them. Raises `ConfigError` for a field that no request has, and a value that none takes."""
    if not isinstance(values, Mapping):
        raise ConfigError(f"{path}: expected fields with their values, found {type(values).__name__}.")
    found: dict[Operation, dict[str, Any]] = {operation: {} for operation in get_args(Operation)}
    for name, value in values.items():
        for operation, read in _read(str(name), value, f"{path}.{name}").items():
            found[operation][str(name)] = read
    return found


def read_caps(caps: object, path: str) -> Mapping[str, float]:
    """Numbers by field. Raises `ConfigError` for a field that is no number."""
    read_values(caps, path)
    assert isinstance(caps, Mapping)  # noqa: S101 - just checked
    for name, value in caps.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ConfigError(f"{path}.{name}: expected a number that the field may reach, found {value!r}.")
        if name in OUTPUT_LIMITS and value < 1:
            raise ConfigError(f"{path}.{name}: expected at least 1 token, found {value!r}.")
    return dict(caps)


def _read(name: str, value: object, path: str) -> dict[Operation, Any]:
    if value is None:
        raise ConfigError(f"{path}: expected a value, found none. Leave the field out.")
    taken: dict[Operation, Any] = {}
    kinds = _fields().get(name)
    if kinds is None:
        raise ConfigError(f"{path}: {_unknown(name)}")
    for operation, kind in kinds.items():
        try:
            taken[operation] = TypeAdapter(kind).validate_python(value)
        except ValidationError:
            continue
    if not taken:
        raise ConfigError(f"{path}: no request takes {type(value).__name__} here. See the request's fields.")
    return taken


def _unknown(name: str) -> str:
    if name in _NOT_FOR_DEFAULTS:
        return "not for defaults: the Router says where a call goes, and the caller how the answer comes."
    if any(name in kind.model_fields for kind in Request.__subclasses__()):
        return "it is what the caller asks, not a default. For the system prompt there are system, system_prefix and system_suffix."
    near = get_close_matches(name, _fields(), n=1)
    return f"no request has this field.{f' Did you mean {near[0]}?' if near else ''}"


@cache
def _fields() -> Mapping[str, Mapping[Operation, Any]]:
    """Each field's type by operation; what has no null is what is asked, and not in it."""
    found: dict[str, dict[Operation, Any]] = {}
    for kind in Request.__subclasses__():
        for name, item in kind.model_fields.items():
            if item.default is None and name not in _NOT_FOR_DEFAULTS:
                found.setdefault(name, {})[kind.operation] = item.annotation
    return found
