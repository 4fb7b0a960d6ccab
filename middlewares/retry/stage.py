"""Trying again."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, NamedTuple, Self

from ...pipeline.allowance import Allowance, check_allowance
from ...pipeline.call import Call
from ...pipeline.errors import APIError, ConfigError, GlasswayError, Kind
from ...pipeline.facts import RETRIES, RETRY_STOPS, Retried, RetryStopped, StopReason
from ...pipeline.plan import Rule
from ...pipeline.stream import Handler, Reply
from .policy import Backoff, RetryPolicy, Strategy, Tries, policies_from_config, tries_by_kind


class _Pause(NamedTuple):
    wait_s: float
    told_by: Literal["backoff", "retry_after"]


@dataclass(frozen=True, slots=True)
class Retry:
    """Sends a failed call again, after a pause, while it may help and there is time.

    Streams too, until their first chunk: after output nobody may retry silently. The pause is what the vendor asked for
    (`Retry-After`), or else grows by `strategy` from `initial_s` up to `maximum_s`. A pause that would end after the
    call's deadline, or that is longer than `longest_wait_s`, is not taken: the error goes on at once. So it does when the
    retry budget is spent: retries are at most a share of all calls, so that an outage does not multiply the load.
    """

    rule: ClassVar[Rule] = Rule(provides=("retries", "retry_stops"), reinvokes=True)

    attempts: int = 3
    """All tries together. `options.retries` of a call says otherwise: 0 means one try."""
    strategy: Strategy = "exponential_jitter"
    initial_s: float = 0.5
    maximum_s: float = 8.0
    multiplier: float = 2.0
    longest_wait_s: float = 60.0
    by_kind: Mapping[Kind, RetryPolicy | Literal["never"]] = field(default_factory=dict)
    """Kinds of errors with tries and pauses of their own. A kind that stands here is worth another try, unless it says `never`."""
    retry_if: Callable[[APIError], bool] | None = None
    """Which errors are worth another try; by default those that say so themselves (`error.retryable`)."""
    budget_share: float | None = 0.1
    """Retries for each call, at most, over `budget_window_s` and all calls of this stage; None means no budget."""
    budget_floor_per_s: float = 10.0
    """Retries a second that are always allowed: programs with few calls never meet the budget."""
    budget_window_s: float = 10.0
    random: Callable[[], float] = field(default=random.random, repr=False)
    _tries: Tries = field(init=False, repr=False, compare=False)
    _by_kind: Mapping[str, Tries | None] = field(init=False, repr=False, compare=False)
    _budget: Allowance | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.attempts < 1:
            raise ConfigError(f"Retry.attempts: expected at least 1 (the first try counts), found {self.attempts}.")
        if not self.longest_wait_s >= 0:
            raise ConfigError(f"Retry.longest_wait_s: expected seconds from 0, found {self.longest_wait_s}.")
        backoff = Backoff(self.strategy, self.initial_s, self.maximum_s, self.multiplier)
        backoff.check("Retry")
        own = Tries(self.attempts, backoff)
        object.__setattr__(self, "_tries", own)
        object.__setattr__(self, "_by_kind", tries_by_kind(self.by_kind, own, "Retry.by_kind"))
        object.__setattr__(self, "_budget", self._allowance())

    def _allowance(self) -> Allowance | None:
        if self.budget_share is None:
            return None
        limits = self.budget_share, self.budget_floor_per_s, self.budget_window_s
        check_allowance("Retry", ("budget_share", "budget_floor_per_s", "budget_window_s"), *limits)
        return Allowance(*limits)

    @classmethod
    def from_config(cls, settings: Mapping[str, Any]) -> Self:
        """Of what YAML can say: `by_kind: {rate_limited: {attempts: 6, initial_s: 2}, timeout: never}`."""
        policies = {"by_kind": policies_from_config(settings["by_kind"])} if "by_kind" in settings else {}
        return cls(**{**settings, **policies})

    async def __call__(self, call: Call, call_next: Handler) -> Reply:
        """The first try that works; else the last one's error."""
        if self._budget is not None:
            self._budget.count(call.clock.now_ns())
        number = 1
        view = call
        while True:
            try:
                return await call_next(view)
            except GlasswayError as error:
                pause = self._pause(call, error, number)
                if pause is None:
                    raise
                call.add(RETRIES, Retried(call.state.attempts_made, error.kind, *pause))
            await call.clock.sleep(pause.wait_s)
            number += 1
            view = call.because("retry")

    def _pause(self, call: Call, error: GlasswayError, number: int) -> _Pause | None:
        """What to wait before the next try; None if there is none, with a fact that says why where one might have helped."""
        if not self._may_pass(error):
            return None
        tries = self._by_kind.get(error.kind, self._tries)
        if tries is None:
            return None
        pause = self._length(tries.backoff, error, number)
        stopped = self._stopped(call, tries.attempts, number, pause.wait_s)
        if stopped is None:
            return pause
        call.add(RETRY_STOPS, RetryStopped(call.state.attempts_made, error.kind, stopped))
        return None

    def _may_pass(self, error: GlasswayError) -> bool:
        if error.kind in self._by_kind and "retryable" not in vars(error):  # else it knows better than its kind
            return True
        if not isinstance(error, APIError):
            return False
        return self.retry_if(error) if self.retry_if else error.retryable

    def _stopped(self, call: Call, tries: int, number: int, wait_s: float) -> StopReason | None:
        if number >= (tries if call.options.retries is None else call.options.retries + 1):
            return "tries_spent"
        if wait_s > self.longest_wait_s:
            return "wait_too_long"
        remaining_s = call.remaining_s()
        if remaining_s is not None and wait_s >= remaining_s:
            return "no_time_left"
        if call.state.attempts_left <= 0:
            return "attempt_budget_spent"
        if self._budget is not None and not self._budget.take(call.clock.now_ns()):
            return "retry_budget_spent"
        return None

    def _length(self, backoff: Backoff, error: GlasswayError, number: int) -> _Pause:
        if error.retry_after_s is not None:
            return _Pause(error.retry_after_s, "retry_after")
        return _Pause(backoff.pause_s(number, self.random), "backoff")
