"""Which calls are struck, and how: settings alone, checked when they are made."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from fnmatch import fnmatchcase
from typing import Any, get_args

from ...pipeline.call import Call
from ...pipeline.errors import ConfigError
from ...pipeline.facts import FaultKind
from ...pipeline.types import Operation

KINDS: tuple[FaultKind, ...] = get_args(FaultKind)
REFUSALS: frozenset[FaultKind] = frozenset({"rate_limit", "server_error", "overloaded", "timeout", "connection"})
"""Nothing is sent: the error comes in the vendor's place."""
BREAKS: frozenset[FaultKind] = frozenset({"cut", "malformed_event", "error_event"})
"""A stream breaks behind `after_chunks`; a whole answer is refused."""

_STATUSES = range(500, 600)
_NOT_IN_TEXT = frozenset({"kind", "target", "tenant", "tag", "operation", "probability", "every", "first", "from_s", "until_s"})  # fmt: skip


@dataclass(frozen=True, slots=True)
class FaultRule:
    """One way to fail, and the requests that it strikes.

    | kind | what everything outside sees |
    | --- | --- |
    | `rate_limit` | `RateLimitError` 429, with `retry_after_s` |
    | `server_error` | `InternalServerError` of `status` |
    | `overloaded` | `ServiceUnavailableError` 529 |
    | `timeout` | silence for `for_s`, or until a limit of the call is over, then `APITimeoutError` |
    | `connection` | `APIConnectionError` |
    | `slow_first_chunk` | `for_s` more before the first chunk, or the whole answer |
    | `stall` | `for_s` of silence behind `after_chunks` chunks (a whole answer: as `slow_first_chunk`) |
    | `cut` | `StreamInterruptedError` behind `after_chunks` chunks (a whole answer: `APIConnectionError`) |
    | `malformed_event` | `ResponseValidationError` behind `after_chunks` chunks (a whole answer: at once) |
    | `error_event` | `InternalServerError` behind `after_chunks` chunks (a whole answer: at once) |
    | `duplicate_chunk` | chunk `after_chunks` comes twice (a whole answer is unharmed) |
    | `missing_usage` | no token counts anywhere |
    | `truncated_tool_json` | arguments of tool calls end in the middle (an answer without is unharmed) |
    | `wrong_content` | `text` in the place of the answer's text |

    `target` (`vendor/model`), `tenant` and `tag` are shell patterns, `operation` is a name; None means any. Of the requests
    that match, `first` are struck (None: no end), of these every `every`-th, of these a share of `probability`. `from_s` and
    `until_s` count from the stage's first call. A broken stream never reaches its finish, however large `after_chunks` is.

    Raises `ConfigError` for values out of range.
    """

    kind: FaultKind
    target: str | None = None
    tenant: str | None = None
    tag: str | None = None
    operation: Operation | None = None
    probability: float = 1.0
    every: int = 1
    first: int | None = None
    from_s: float = 0.0
    until_s: float | None = None
    status: int = 500
    retry_after_s: float = 1.0
    after_chunks: int = 4
    for_s: float = 30.0
    text: str = "This answer was put in the place of another."

    def __post_init__(self) -> None:
        _check("kind", self.kind in KINDS, f"one of {', '.join(KINDS)}", self.kind)
        _check("operation", self.operation in (None, *get_args(Operation)), "an operation's name", self.operation)
        _check("probability", 0 <= self.probability <= 1, "a share from 0 to 1", self.probability)
        _check("every", self.every >= 1, "at least 1", self.every)
        _check("first", self.first is None or self.first >= 1, "at least 1", self.first)
        _check("status", self.status in _STATUSES, "a status from 500 to 599", self.status)
        _check("until_s", self.until_s is None or self.until_s > self.from_s, "more than from_s", self.until_s)
        for name in ("from_s", "retry_after_s", "after_chunks", "for_s"):
            _check(name, getattr(self, name) >= 0, "0 or more", getattr(self, name))

    def matches(self, call: Call, age_s: float) -> bool:
        """Whether the request is one of those; `age_s` is seconds since the stage's first call."""
        if age_s < self.from_s or (self.until_s is not None and age_s >= self.until_s):
            return False
        if self.operation is not None and call.request.operation != self.operation:
            return False
        if self.target is not None and not fnmatchcase(str(call.target), self.target):
            return False
        if self.tenant is not None and not fnmatchcase(call.tenant or "", self.tenant):
            return False
        return self.tag is None or any(fnmatchcase(tag, self.tag) for tag in call.options.tags)


def rule_of_setting(setting: FaultRule | Mapping[str, Any] | str) -> FaultRule:
    """A rule as Python or YAML gives it: itself, its fields, or a text like `rate_limit;retry_after_s=2`. Raises `ConfigError`."""
    if isinstance(setting, FaultRule):
        return setting
    if isinstance(setting, str):
        return parse_rule(setting, allowed=frozenset(_TYPES))
    if not isinstance(setting, Mapping):
        raise ConfigError(f"Faults.rules: expected a fault's name or its settings, found {type(setting).__name__}.")
    if unknown := set(setting) - set(_TYPES):
        raise ConfigError(f"Faults.rules: unknown setting {min(unknown)!r}. Known are {', '.join(_TYPES)}.")
    return _made(setting)


def parse_rule(text: str, allowed: frozenset[str] | None = None) -> FaultRule:
    """A fault of a text: `stall;after_chunks=3;for_s=2`. Unless `allowed` says more, only how it fails can be said, not whom it strikes.

    Raises `ConfigError` naming the part that cannot be read.
    """
    kind, *settings = [part.strip() for part in re.split("[;,]", text)]
    values: dict[str, Any] = {"kind": kind}
    known = allowed if allowed is not None else frozenset(_TYPES) - _NOT_IN_TEXT
    for name, _, value in (setting.partition("=") for setting in settings if setting):
        if name not in known:
            raise ConfigError(f"fault: unknown setting {name[:40]!r}. Known are {', '.join(sorted(known - {'kind'}))}.")
        try:
            values[name] = _TYPES[name](value)
        except ValueError:
            raise ConfigError(f"fault: {name} expected {_TYPES[name].__name__}, found another text.") from None
    return _made(values)


def _types() -> dict[str, type]:
    plain: dict[str, type] = {"int": int, "float": float}
    return {item.name: plain.get(str(item.type).removesuffix(" | None"), str) for item in fields(FaultRule)}


_TYPES = _types()


def _made(values: Mapping[str, Any]) -> FaultRule:
    try:
        return FaultRule(**values)
    except TypeError:
        raise ConfigError(
            "Faults.rules: expected `kind` and numbers where numbers belong, found a missing kind or another type."
        ) from None


def _check(name: str, good: bool, expected: str, found: object) -> None:
    if not good:
        raise ConfigError(f"FaultRule.{name}: expected {expected}, found {str(found)[:40]!r}.")
