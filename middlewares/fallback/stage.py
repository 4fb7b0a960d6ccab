"""Moving on to another target."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Self

from ...pipeline.call import Call
from ...pipeline.errors import AllAttemptsFailed, APIError, ConfigError, GlasswayError, Kind
from ...pipeline.facts import FALLBACKS, FellBack
from ...pipeline.plan import Rule
from ...pipeline.stream import Handler, Reply, Stream
from .mend import INSTRUCTION, How, Mender
from .targets import (
    VENDOR_FAILURES,
    FallbackTarget,
    Lists,
    Search,
    SlowTargetError,
    Targets,
    cause_of,
    targets_from_config,
)

_OUTSIDE = {
    "Retry": "each target is tried as often as Retry says before the call moves on; inside Retry the whole list would run again"
}
_PROVIDES = ("fallbacks", "fallback_skips", "splices")


class _Rules:
    """A stage that takes what the Router left needs a Router."""

    def __get__(self, stage: Fallback | None, owner: type[Fallback]) -> Rule:
        needs = ("route",) if stage is not None and stage.uses_route else ()
        return Rule(outside=_OUTSIDE, needs=needs, provides=_PROVIDES, reinvokes=True)


@dataclass(frozen=True, slots=True)
class Fallback:
    """Sends the call to the next target when one fails, until one answers.

    Streams too, until their first chunk, so a fallback is invisible to the consumer; what becomes of a stream that breaks
    after that is said by `mid_stream`. Raises the first error as it is if it is not of the kinds in `on`;
    `AllAttemptsFailed`, with every error, when all targets failed. No target is asked twice.
    """

    rule: ClassVar[Rule] = _Rules()  # type: ignore[assignment]  # a Rule, for a stage as for the class

    targets: Targets
    """`vendor/model`, in order; the call's own target is tried before them. `route`: what the Router would have taken next. Or such
    lists by kind of error: `{"context_length": [...], "latency": [...], "default": [...]}`.
    """
    on: Collection[Kind] = VENDOR_FAILURES
    """Kinds of errors that make the call move on along the default list; a kind with a list of its own does so anyway."""
    first_chunk_s: float | None = None
    """Seconds that a target has for its first chunk, or its whole unary answer, all its retries together; then the call moves on.
    It does not hold for the last target.
    """
    mid_stream: Literal["fail", "continue", "restart"] = "fail"
    """What becomes of a stream that breaks after output: an error; the next target goes on with the text so far; it begins anew, if
    less than `restart_under_tokens` had been handed out.
    """
    restart_under_tokens: int = 50
    instruction: str = field(default=INSTRUCTION, repr=False)
    """What tells the next target to go on."""
    _lists: Lists = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        lists = Lists(self.targets, self.on)
        object.__setattr__(self, "_lists", lists)
        if self.first_chunk_s is not None and not 0 < self.first_chunk_s < math.inf:
            raise ConfigError(f"Fallback.first_chunk_s: expected seconds above 0 or None, found {self.first_chunk_s}.")
        if self.first_chunk_s is None and lists.has("latency"):
            raise ConfigError("Fallback.targets: a list for latency needs first_chunk_s, which says what is slow.")
        if self.mid_stream not in ("fail", "continue", "restart"):
            raise ConfigError(f"Fallback.mid_stream: expected fail, continue or restart, found {self.mid_stream!r}.")
        if self.restart_under_tokens < 1:
            raise ConfigError(f"Fallback.restart_under_tokens: expected at least 1, found {self.restart_under_tokens}.")
        if not self.instruction.strip():
            raise ConfigError("Fallback.instruction: expected a text that tells the model to go on, found none.")

    @property
    def uses_route(self) -> bool:
        """Whether it takes what a Router left."""
        return self._lists.use_route

    @classmethod
    def from_config(cls, settings: Mapping[str, Any]) -> Self:
        """Of what YAML can say: texts, `{target, params}`, lists by kind."""
        if "targets" not in settings:
            raise ConfigError("targets: expected a list of 'vendor/model', found none.")
        return cls(**{**settings, "targets": targets_from_config(settings["targets"])})

    async def __call__(self, call: Call, call_next: Handler) -> Reply:
        """The first target's answer that works."""
        if self.first_chunk_s is None and self.mid_stream == "fail":
            try:
                return await call_next(call)
            except GlasswayError as error:
                return (await self._elsewhere(Search(self._lists, call), call, call_next, error))[1]
        return await self._attended(call, call_next)

    async def _attended(self, call: Call, call_next: Handler) -> Reply:
        """The answer with its time limited, or its stream mended."""
        search = Search(self._lists, call)
        view = call
        try:
            reply = await self._in_time(search, view, call_next)
        except GlasswayError as error:
            view, reply = await self._elsewhere(search, call, call_next, error)
        if self.mid_stream == "fail" or not isinstance(reply, Stream):
            return reply
        how = How(self.mid_stream, self.restart_under_tokens, self.instruction)
        return Mender(how, search, call, lambda again: self._in_time(search, again, call_next)).watch(view, reply)

    async def _elsewhere(
        self, search: Search, call: Call, call_next: Handler, error: GlasswayError
    ) -> tuple[Call, Reply]:
        """The view of the first further target that answers, and its answer."""
        errors = [error]
        view = call
        while (target := self._next(search, call, errors[-1])) is not None:
            because: Literal["latency", "error"] = "latency" if cause_of(errors[-1]) == "latency" else "error"
            call.add(FALLBACKS, FellBack(str(view.target), target.target, errors[-1].kind, because))
            view = _view(call, target, view)
            try:
                return view, await self._in_time(search, view, call_next)
            except GlasswayError as again:
                errors.append(again)
        raise _final(errors) from errors[-1]

    def _next(self, search: Search, call: Call, error: GlasswayError) -> FallbackTarget | None:
        if call.remaining_s() == 0 or call.state.attempts_left <= 0:
            return None
        return search.next(cause_of(error))

    async def _in_time(self, search: Search, view: Call, call_next: Handler) -> Reply:
        limit_s = self.first_chunk_s
        if limit_s is None or view.dry_run or view.state.attempts_left <= 1 or not search.may_follow("latency"):
            return await call_next(view)
        try:
            async with view.clock.limit(limit_s) as limit:
                return await call_next(view)
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise SlowTargetError(
                f"{view.target} gave nothing within {limit_s:.3g} s, and the call moves on (Fallback.first_chunk_s).",
                model=view.target.model,
                provider=view.target.provider,
            ) from error


def _view(call: Call, target: FallbackTarget, last: Call) -> Call:
    view = call.with_target(call.resolve(target.target)).because("fallback")
    if target.params:
        return view.with_request(call.request.but(**target.params))
    return view if last.request is call.request else view.with_request(call.request)


def _final(errors: list[GlasswayError]) -> GlasswayError:
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
