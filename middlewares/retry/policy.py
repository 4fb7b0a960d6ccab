"""How often a kind of error is tried again, and after which pauses. Pure: no call, no clock."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, NamedTuple, get_args

from ...pipeline.errors import KINDS, ConfigError, Kind
from ...pipeline.stagenames import check_settings

Strategy = Literal["linear", "exponential", "exponential_jitter"]
"""How pauses grow: by `initial_s` each time; by `multiplier` each time; the same, drawn at random from 0 up to that (full jitter).

Source: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
"""

STRATEGIES: tuple[Strategy, ...] = get_args(Strategy)

NEVER_PASS: frozenset[str] = frozenset({"cancelled", "config", "guardrail_blocked", "internal", "plan", "stage"})
"""Kinds that are the same at every try."""


class Backoff(NamedTuple):
    """The pauses between tries, seconds."""

    strategy: Strategy
    initial_s: float
    maximum_s: float
    multiplier: float

    def pause_s(self, number: int, random: Callable[[], float]) -> float:
        """The pause behind try `number`, from 1."""
        if self.strategy == "linear":
            return min(self.maximum_s, self.initial_s * number)
        ceiling_s = self._exponential_s(number)
        return ceiling_s if self.strategy == "exponential" else ceiling_s * random()

    def _exponential_s(self, number: int) -> float:
        try:
            return min(self.maximum_s, self.initial_s * self.multiplier ** (number - 1))
        except OverflowError:
            return self.maximum_s

    def check(self, where: str) -> None:
        """Raise `ConfigError` for what makes no sense."""
        if self.strategy not in STRATEGIES:
            raise ConfigError(f"{where}.strategy: expected {', '.join(STRATEGIES)}, found {self.strategy!r}.")
        if not 0 <= self.initial_s <= self.maximum_s < math.inf:
            raise ConfigError(
                f"{where}: expected 0 <= initial_s <= maximum_s, found {self.initial_s} and {self.maximum_s}."
            )
        if not 1 <= self.multiplier < math.inf:
            raise ConfigError(f"{where}.multiplier: expected at least 1, found {self.multiplier}.")


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """What holds for one kind of errors instead of the stage's own settings; None leaves a setting to the stage."""

    attempts: int | None = None
    """All tries of a call together, those that failed with other errors included."""
    strategy: Strategy | None = None
    initial_s: float | None = None
    maximum_s: float | None = None
    multiplier: float | None = None


class Tries(NamedTuple):
    """What holds for an error: so many tries together, with these pauses between them."""

    attempts: int
    backoff: Backoff


def tries_by_kind(
    by_kind: Mapping[Kind, RetryPolicy | Literal["never"]], own: Tries, where: str
) -> dict[str, Tries | None]:
    """Each kind's policy, filled up with the stage's own settings; None for never. Raises `ConfigError`."""
    if not isinstance(by_kind, Mapping):
        raise ConfigError(f"{where}: expected a mapping of kinds to policies, found {type(by_kind).__name__}.")
    return {kind: _tries(policy, own, f"{where}[{kind!r}]", kind) for kind, policy in by_kind.items()}


def policies_from_config(settings: Any) -> Any:
    """`by_kind` as YAML can say it: a mapping of kinds to `never` or to settings."""
    if not isinstance(settings, Mapping):
        return settings
    return {kind: _policy(kind, said) if isinstance(said, Mapping) else said for kind, said in settings.items()}


def _policy(kind: str, said: Mapping[str, Any]) -> RetryPolicy:
    try:
        check_settings(RetryPolicy, said)
    except ConfigError as error:
        raise ConfigError(f"by_kind.{kind}: {error.message}") from error
    return RetryPolicy(**said)


def _tries(policy: RetryPolicy | Literal["never"], own: Tries, where: str, kind: str) -> Tries | None:
    if kind not in KINDS or kind in NEVER_PASS:
        raise ConfigError(
            f"{where}: expected a kind of error that may pass ({', '.join(sorted(KINDS - NEVER_PASS))}), found {kind!r}."
        )
    if policy == "never":
        return None
    if not isinstance(policy, RetryPolicy):
        raise ConfigError(f"{where}: expected a RetryPolicy or 'never', found {policy!r}.")
    said = {item.name: value for item in fields(policy) if (value := getattr(policy, item.name)) is not None}
    attempts = said.pop("attempts", own.attempts)
    if attempts < 1:
        raise ConfigError(f"{where}.attempts: expected at least 1 (the first try counts), found {attempts}.")
    backoff = own.backoff._replace(**said)
    if policy.initial_s is not None and policy.maximum_s is None:
        backoff = backoff._replace(maximum_s=max(backoff.initial_s, backoff.maximum_s))
    backoff.check(where)
    return Tries(attempts, backoff)
