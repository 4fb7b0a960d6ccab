"""Moving on to another target."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import ClassVar

from ..pipeline.call import Call
from ..pipeline.errors import KINDS, AllAttemptsFailed, APIError, ConfigError, GlasswayError, Kind
from ..pipeline.facts import FALLBACKS, FellBack
from ..pipeline.plan import Rule
from ..pipeline.stream import Handler, Reply

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


@dataclass(frozen=True, slots=True)
class Fallback:
    """Sends the call to the next of `targets` when one fails, until one answers.

    Streams too, until their first chunk, so a fallback is invisible to the consumer. Raises the first error as it is if
    it is not of the kinds in `on`; `AllAttemptsFailed`, with every error, when all targets failed.
    """

    rule: ClassVar[Rule] = Rule(
        outside={
            "Retry": "each target is tried as often as Retry says before the call moves on; inside Retry the whole list would run again"
        },
        provides=("fallbacks",),
        reinvokes=True,
    )

    targets: Sequence[str]
    """`vendor/model`, in order; the call's own target is tried before them."""
    on: Collection[Kind] = VENDOR_FAILURES
    """Kinds of errors that make the call move on. Add `context_length` for models with a larger window behind."""

    def __post_init__(self) -> None:
        if isinstance(self.targets, str) or not self.targets:
            raise ConfigError("Fallback.targets: expected a list of at least one 'vendor/model'.")
        if unknown := set(self.on) - KINDS:
            raise ConfigError(f"Fallback.on: unknown kinds {sorted(unknown)}; known are {sorted(KINDS)}.")

    async def __call__(self, call: Call, call_next: Handler) -> Reply:
        """The first target's answer that works."""
        errors: list[GlasswayError] = []
        view = call
        for target in (None, *self.targets):
            if target is not None:
                call.add(FALLBACKS, FellBack(str(view.target), target, errors[-1].kind))
                view = call.with_target(call.resolve(target)).because("fallback")
            try:
                return await call_next(view)
            except GlasswayError as error:
                errors.append(error)
                if not self._moves_on(call, error):
                    break
        raise self._final(errors) from errors[-1]

    def _moves_on(self, call: Call, error: GlasswayError) -> bool:
        return error.kind in self.on and call.remaining_s() != 0 and call.state.attempts_left > 0

    def _final(self, errors: list[GlasswayError]) -> GlasswayError:
        if len(errors) == 1:
            return errors[0]
        last = errors[-1]
        said = "; ".join(f"{error.provider or '?'}/{error.model or '?'}: {error.kind}" for error in errors)
        return AllAttemptsFailed(
            f"{len(errors)} targets failed ({said}). The last one said: {last.message}",
            errors=tuple(errors),
            provider=last.provider,
            model=last.model,
            request_id=last.request_id,
            status_code=last.status_code,
            retry_after_s=min((e.retry_after_s for e in errors if e.retry_after_s is not None), default=None),
            retryable=any(error.retryable for error in errors if isinstance(error, APIError)),
        )
