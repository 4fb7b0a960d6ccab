"""Where a call may move on to, and for which errors. Pure: lists, checked once, and one call's way through them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from ...pipeline.call import Call, Target
from ...pipeline.errors import KINDS, APITimeoutError, ConfigError, GlasswayError, Kind
from ...pipeline.facts import FALLBACK_SKIPS, ROUTE, FallbackSkipped
from ...pipeline.stagenames import check_settings

VENDOR_FAILURES: frozenset[Kind] = frozenset(
    {
        "auth",
        "bad_response",
        "circuit_open",
        "connect",
        "exhausted",
        "not_found",
        "overloaded",
        "permission",
        "rate_limited",
        "server_error",
        "stream_interrupted",
        "timeout",
    }
)
"""Errors for which another target may do better. A request that is wrong in itself, or refused, is wrong anywhere."""

Cause = Kind | Literal["latency"]
"""Why a call moves on: the kind of an error, or that nothing came in time."""


class SlowTargetError(APITimeoutError):
    """A target gave nothing within the stage's `first_chunk_s`."""


def cause_of(error: GlasswayError) -> Cause:
    """Why a call moves on that failed with this."""
    return "latency" if isinstance(error, SlowTargetError) else error.kind


@dataclass(frozen=True, slots=True)
class FallbackTarget:
    """A target with parameters of its own, which replace the request's."""

    target: str
    """`vendor/model`"""
    params: Mapping[str, Any] = field(default_factory=dict)
    """`{"temperature": 0, "max_tokens": 500}`"""

    def __post_init__(self) -> None:
        if wrong := {"messages", "model", "stream"} & set(self.params):
            raise ConfigError(f"FallbackTarget.params: {', '.join(sorted(wrong))} cannot be replaced. Leave it out.")


TargetList = Sequence[str | FallbackTarget] | Literal["route"]
"""In order; `route`: what the Router would have taken next."""

Targets = TargetList | Mapping[Cause | Literal["default"], TargetList]

_Listed = tuple[FallbackTarget, ...] | Literal["route"]


class Lists:
    """The targets for each cause."""

    __slots__ = ("_by_cause", "_default", "_on")

    def __init__(self, targets: Targets, on: Collection[Kind]) -> None:
        """Raises `ConfigError`."""
        if isinstance(on, str) or (unknown := set(on) - KINDS):
            found = repr(on) if isinstance(on, str) else f"unknown kinds {sorted(unknown)}"
            raise ConfigError(f"Fallback.on: expected kinds of errors, found {found}; known are {sorted(KINDS)}.")
        lists = dict(targets) if isinstance(targets, Mapping) else {"default": targets}
        self._on = frozenset(on)
        self._by_cause: dict[str, _Listed] = {cause: _listed(cause, listed) for cause, listed in lists.items()}
        if not self._by_cause:
            raise ConfigError("Fallback.targets: expected a list of at least one 'vendor/model', or lists by kind.")
        self._default = self._by_cause.pop("default", ())

    @property
    def use_route(self) -> bool:
        """Whether one of them is what the Router left."""
        return "route" in (self._default, *self._by_cause.values())

    def has(self, cause: Cause) -> bool:
        """Whether there is a list for this alone."""
        return cause in self._by_cause

    def of(self, cause: Cause) -> tuple[str, _Listed]:
        """The list for a cause, and its name."""
        if cause in self._by_cause:
            return cause, self._by_cause[cause]
        return "default", self._default if cause in self._on or cause == "latency" else ()


class Search:
    """One call's way through the lists: no target is taken twice."""

    __slots__ = ("_call", "_lists", "_places", "_tried")

    def __init__(self, lists: Lists, call: Call) -> None:
        self._lists = lists
        self._call = call
        self._tried = [call.target]
        self._places: dict[str, int] = {}

    def covers(self, cause: Cause) -> bool:
        """Whether a call moves on for this at all."""
        return bool(self._lists.of(cause)[1])

    def next(self, cause: Cause) -> FallbackTarget | None:
        """The next target for this cause. What the call has tried is skipped, with a fact that says so."""
        name, listed = self._lists.of(cause)
        targets = self._rest() if listed == "route" else listed
        for place in range(self._places.get(name, 0), len(targets)):
            self._places[name] = place + 1
            resolved = self._call.resolve(targets[place].target)
            if resolved not in self._tried:
                self._tried.append(resolved)
                return targets[place]
            self._skip(resolved)
        return None

    def may_follow(self, cause: Cause) -> bool:
        """Whether there may be a next one."""
        name, listed = self._lists.of(cause)
        return self._places.get(name, 0) < len(self._rest() if listed == "route" else listed)

    def _rest(self) -> tuple[FallbackTarget, ...]:
        route = self._call.get(ROUTE)
        return tuple(FallbackTarget(target) for target in route.rest) if route is not None else ()

    def _skip(self, target: Target) -> None:
        own = target == self._tried[0]
        self._call.add(FALLBACK_SKIPS, FallbackSkipped(str(target), "own_target" if own else "tried"))


def targets_from_config(said: Any) -> Any:
    """Targets as YAML can say them: texts, or `{target: vendor/model, params: {...}}`."""
    if isinstance(said, Mapping) and "target" not in said:
        return {cause: targets_from_config(listed) for cause, listed in said.items()}
    if isinstance(said, Sequence) and not isinstance(said, str):
        return [_target_from_config(one) if isinstance(one, Mapping) else one for one in said]
    return said


def _target_from_config(said: Mapping[str, Any]) -> FallbackTarget:
    try:
        check_settings(FallbackTarget, said)
        return FallbackTarget(**said)
    except (ConfigError, TypeError) as error:
        raise ConfigError(f"targets: expected 'vendor/model' or {{target, params}}: {error}") from error


def _listed(cause: str, targets: TargetList) -> _Listed:
    where = "Fallback.targets" if cause == "default" else f"Fallback.targets[{cause!r}]"
    if cause not in KINDS and cause not in ("latency", "default"):
        raise ConfigError(f"{where}: expected default, latency or a kind of error ({', '.join(sorted(KINDS))}).")
    if targets == "route":
        return "route"
    if isinstance(targets, str) or not isinstance(targets, Sequence) or not targets:
        raise ConfigError(f"{where}: expected a list of at least one 'vendor/model', or 'route'; found {targets!r}.")
    listed = tuple(one if isinstance(one, FallbackTarget) else FallbackTarget(one) for one in targets)
    names = [one.target for one in listed]
    if wrong := [name for name in names if not isinstance(name, str) or not name]:
        raise ConfigError(f"{where}: expected texts like 'vendor/model', found {wrong[0]!r}.")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigError(f"{where}: {', '.join(twice)} stands there twice. A call goes to each target once.")
    return listed
