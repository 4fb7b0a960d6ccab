"""Trying again."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from ..pipeline.call import Call
from ..pipeline.errors import APIError, ConfigError
from ..pipeline.facts import RETRIES, Retried
from ..pipeline.plan import Rule
from ..pipeline.stream import Handler, Reply


@dataclass(frozen=True, slots=True)
class Retry:
    """Sends a failed call again, after a pause, while it may help and there is time.

    Streams too, until their first chunk: after output nobody may retry silently. The pause is what the vendor asked for
    (`Retry-After`), or else grows from `initial_s` by `multiplier` up to `maximum_s`, with full jitter. A pause that would
    end after the call's deadline, or that is longer than `longest_wait_s`, is not taken: the error goes on at once.
    """

    rule: ClassVar[Rule] = Rule(provides=("retries",), reinvokes=True)

    attempts: int = 3
    """All tries together. `options.retries` of a call says otherwise: 0 means one try."""
    initial_s: float = 0.5
    maximum_s: float = 8.0
    multiplier: float = 2.0
    jitter: bool = True
    longest_wait_s: float = 60.0
    retry_if: Callable[[APIError], bool] | None = None
    """Which errors are worth another try; by default those that say so themselves (`error.retryable`)."""
    random: Callable[[], float] = field(default=random.random, repr=False)

    def __post_init__(self) -> None:
        if self.attempts < 1:
            raise ConfigError(f"Retry.attempts: expected at least 1 (the first try counts), found {self.attempts}.")
        if not 0 <= self.initial_s <= self.maximum_s:
            raise ConfigError(
                f"Retry: expected 0 <= initial_s <= maximum_s, found {self.initial_s} and {self.maximum_s}."
            )
        if self.multiplier < 1:
            raise ConfigError(f"Retry.multiplier: expected at least 1, found {self.multiplier}.")

    async def __call__(self, call: Call, call_next: Handler) -> Reply:
        """The first try that works; else the last one's error."""
        tries = self.attempts if call.options.retries is None else call.options.retries + 1
        number = 1
        view = call
        while True:
            try:
                return await call_next(view)
            except APIError as error:
                pause = self._pause(error, number)
                if number >= tries or not self._worth_it(call, error, pause[0]):
                    raise
                call.add(RETRIES, Retried(call.state.attempts_made, error.kind, *pause))
            await call.clock.sleep(pause[0])
            number += 1
            view = call.because("retry")

    def _worth_it(self, call: Call, error: APIError, wait_s: float) -> bool:
        if not (self.retry_if(error) if self.retry_if else error.retryable):
            return False
        remaining_s = call.remaining_s()
        in_time = remaining_s is None or wait_s < remaining_s
        return in_time and wait_s <= self.longest_wait_s and call.state.attempts_left > 0

    def _pause(self, error: APIError, number: int) -> tuple[float, Literal["retry_after", "backoff"]]:
        if error.retry_after_s is not None:
            return error.retry_after_s, "retry_after"
        ceiling_s = min(self.maximum_s, self.initial_s * self.multiplier ** (number - 1))
        return ceiling_s * (self.random() if self.jitter else 1.0), "backoff"
