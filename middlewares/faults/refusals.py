"""Failures before any output: an attempt like any other, that no vendor sees."""

from __future__ import annotations

from collections.abc import Callable

from ...pipeline.attempts import attempt, provider_of
from ...pipeline.call import Call, Limits
from ...pipeline.errors import (
    APIConnectionError,
    APIError,
    APITimeoutError,
    InternalServerError,
    RateLimitError,
    ResponseValidationError,
    ServiceUnavailableError,
    StreamInterruptedError,
)
from ...pipeline.stream import Handler, Reply
from .rules import FaultRule

OVERLOADED = 529
_SAYS = "A fault was injected on purpose (stage Faults): "


def error_of(rule: FaultRule, *, output: bool) -> APIError:
    """What the fault raises; `output` is whether chunks came before it."""
    made: dict[str, Callable[[], APIError]] = {
        "rate_limit": lambda: RateLimitError(
            f"{_SAYS}too many requests. Try again in {rule.retry_after_s:g} s.",
            status_code=429,
            retry_after_s=rule.retry_after_s,
        ),
        "overloaded": lambda: ServiceUnavailableError(f"{_SAYS}overloaded. Try again.", status_code=OVERLOADED),
        "server_error": lambda: InternalServerError(
            f"{_SAYS}status {rule.status}. Try again.", status_code=rule.status
        ),
        "timeout": lambda: APITimeoutError(f"{_SAYS}no answer within {rule.for_s:g} s. Try again."),
        "connection": lambda: APIConnectionError(f"{_SAYS}no connection. Try again."),
        "malformed_event": lambda: ResponseValidationError(f"{_SAYS}expected JSON, found half of one. Try again."),
        "error_event": lambda: InternalServerError(
            f"{_SAYS}the vendor's own error, in the middle of an answer.", status_code=None if output else 500
        ),
        "cut": lambda: (
            StreamInterruptedError(f"{_SAYS}the stream was cut. What had arrived is in `partial`.")
            if output
            else APIConnectionError(f"{_SAYS}the connection broke before the answer. Try again.")
        ),
    }
    return made[rule.kind]()


async def refuse(rule: FaultRule, call: Call) -> Reply:
    """Raise the fault's error out of an attempt. A timeout takes its time, or the call's limit's."""

    async def vendor(view: Call) -> Reply:
        if rule.kind == "timeout":
            await view.clock.sleep(rule.for_s)
        error = error_of(rule, output=False)
        if view.attempt is not None:
            view.attempt.vendor, view.attempt.status_code = call.vendor, error.status_code
        raise error

    return await attempt(call, provider_of(call), vendor)


async def delay(rule: FaultRule, call: Call, call_next: Handler) -> Reply:
    """The answer, `for_s` later; the error of the limit, where the call's limits do not allow that."""
    limits = [limit for limit in (call.limits.first_chunk_s, call.remaining_s()) if limit is not None]
    if limits and min(limits) <= rule.for_s:

        async def silence(view: Call) -> Reply:
            await view.clock.sleep(rule.for_s)
            raise APITimeoutError(f"{_SAYS}no answer within {rule.for_s:g} s. Try again.")

        return await attempt(call, provider_of(call), silence)
    await call.clock.sleep(rule.for_s)
    first_s = call.limits.first_chunk_s
    return await call_next(call if first_s is None else call.with_limits(Limits(first_chunk_s=first_s - rule.for_s)))
