"""One request to a vendor: opened, limited in time, observed and closed here, so that providers need not."""

from __future__ import annotations

from collections.abc import Awaitable
from functools import partial
from typing import TypeVar

from .call import Call
from .errors import AllAttemptsFailed, APITimeoutError, GlasswayError, error_kind
from .facts import ATTEMPTS, Attempt
from .ids import random_id
from .outcome import Outcome, completed, notify, outcome_of
from .stream import Block, Handler, Reply, Source, Stream
from .tokens import estimate_response_tokens
from .types import Assemble, ChatResponse

T = TypeVar("T")


async def attempt(call: Call, provider: str, handler: Handler) -> Reply:
    """Send the call to a vendor once: `handler` gets a view with `call.attempt` to fill in.

    Raises `AllAttemptsFailed` when the call's attempt budget is spent and `APITimeoutError` when a limit is over:
    the deadline, the first chunk, or the time between chunks (then while the stream is read).
    """
    opened = _begin(call, provider)
    call = call.in_attempt(opened)
    try:
        reply = await within(call, call.limits.first_chunk_s, "first chunk", handler(call))
    except BaseException as error:
        notify(partial(_end, call, opened, None), Outcome(outcome_of(error), error=error))
        raise
    if isinstance(reply, Stream):
        attended = _Attended(call, reply.assemble)
        reply.attend(attended.take_over)
        return reply.when_done(partial(_end, call, opened, attended))
    notify(_end, call, opened, None, completed(reply))
    return reply


def traceparent(call: Call) -> str | None:
    """The W3C header for this attempt; None where no trace is kept. Baggage never goes to a vendor.

    Source: https://www.w3.org/TR/trace-context/#traceparent-header
    """
    trace = call.state.trace
    if trace is None or not trace.trace_id or call.attempt is None:
        return None
    return f"00-{trace.trace_id:032x}-{call.attempt.span_id:016x}-{trace.flags:02x}"


def _begin(call: Call, provider: str) -> Attempt:
    call.check_deadline()
    state = call.state
    if state.attempts_left <= 0:
        raise AllAttemptsFailed(
            f"The call's attempt budget is spent: {state.attempts_made} requests were sent. "
            "Raise `attempts` of the pipeline, or let retry and fallback try fewer times.",
            provider=provider,
            model=call.target.model,
        )
    state.attempts_left -= 1
    state.attempts_made += 1
    opened = Attempt(state.attempts_made, provider, call.target.model, state.clock.now_ns(), None, 0, call.reason)
    trace = state.trace
    if trace is not None and trace.telemetry is not None:
        trace.telemetry.attempt_begins(opened)  # those who keep real spans give it its `span_id`
        if trace.trace_id and not opened.span_id:
            opened.span_id = random_id(64)
    call.add(ATTEMPTS, opened)
    for watcher in state.watchers:
        watcher.attempt_began(opened)
    return opened


def _end(call: Call, opened: Attempt, attended: _Attended | None, outcome: Outcome) -> None:
    ok = outcome.ok
    opened.end_ns = call.state.clock.now_ns()
    opened.useful = ok or (outcome.error is None and outcome.chunks > 0)
    if outcome.error is not None:
        opened.error = error_kind(outcome.error)
        _name_target(outcome.error, opened)
    if ok and opened.usage is None and (response := outcome.response) is not None:
        opened.usage = response.usage
    if opened.usage is not None and opened.usage_source == "missing":
        opened.usage_source = "provider" if ok else "partial"
    if attended is not None:
        if opened.usage_source != "provider":
            opened.written_tokens = attended.written_tokens()
        attended.forget()
    trace = call.state.trace
    if trace is not None and trace.telemetry is not None:
        trace.telemetry.attempt_ends(opened)
    for watcher in call.state.watchers:
        watcher.attempt_ended(opened)


def _name_target(error: BaseException, opened: Attempt) -> None:
    if isinstance(error, GlasswayError):
        error.provider = error.provider or opened.provider
        error.model = error.model or opened.model
        error.request_id = error.request_id or opened.request_id


async def within(call: Call, limit_s: float | None, which: str, work: Awaitable[T]) -> T:
    """`await work`, within the nearer of `limit_s` and the deadline. Raises the `APITimeoutError` that says which one is over."""
    nearest_s, which = _nearest(call, limit_s, which)
    if nearest_s is None:
        return await work
    try:
        async with call.state.clock.limit(nearest_s) as limit:
            return await work
    except TimeoutError as error:
        if not limit.expired():  # the work's own
            raise
        raise _timed_out(which, nearest_s) from error


def provider_of(call: Call) -> str:
    """The name of the provider that the call goes to, for a stage that answers in its place."""
    return call.target.provider or next(iter(call.state.known), None) or "none"


def attempt_since(call: Call, made: int, *, answered: bool = True) -> Attempt | None:
    """The attempt behind what a stage sent on when the call had made `made` of them; None if nothing was sent.

    `answered`: whether it got a reply; else it is the last one that failed it. Hedges beside it are somebody else's.
    """
    fresh = call.trail(ATTEMPTS)[made:]
    mine = [one for one in fresh if one.reason == call.reason and one.model == call.target.model] or list(fresh)
    useful = [one for one in (*fresh, *mine) if one.useful] if answered else []
    found = useful or mine
    return found[-1] if found else None


def _nearest(call: Call, limit_s: float | None, which: str) -> tuple[float | None, str]:
    remaining_s = call.remaining_s()
    if remaining_s is not None and (limit_s is None or remaining_s <= limit_s):
        return remaining_s, "deadline"
    return limit_s, which


def _timed_out(which: str, limit_s: float) -> APITimeoutError:
    if which == "deadline":
        return APITimeoutError(
            f"The call's deadline passed while waiting for the vendor ({limit_s:.3g} s were left). Give it more time: timeout_s.",
            retryable=False,
        )
    return APITimeoutError(
        f"No {which} within {limit_s:.3g} s. Raise the limit of the Timeout stage if the vendor is only slow."
    )


class _Attended:
    """A vendor's source, read within its limits, with what it brings noted on the attempt."""

    _source: Source

    def __init__(self, call: Call, assemble: Assemble) -> None:
        self._call = call
        self._assemble = assemble
        assert call.attempt is not None  # noqa: S101 - `attempt` made the view
        self._attempt = call.attempt
        self._last_ns = call.clock.now_ns()
        self._blocks: list[Block] = []

    def take_over(self, source: Source, first: Block) -> _Attended:
        """Read `source` from now on, in its place."""
        self._source = source
        if first:
            self._attempt.first_chunk_ns = self._last_ns
            self._note(first)
        return self

    def written_tokens(self) -> int | None:
        """What the vendor wrote, by estimate, whatever became of it further out; None where nothing came, or no chat.

        Where something came it is one token at least: the vendor was at work.
        """
        response = self._assemble([chunk for block in self._blocks for chunk in block]) if self._blocks else None
        if not isinstance(response, ChatResponse):
            return None
        return max(1, estimate_response_tokens(response, self._attempt.model))

    def forget(self) -> None:
        """Let go of what came."""
        self._blocks = []

    async def read(self) -> Block:
        limit_s, which = _nearest(self._call, self._call.limits.between_chunks_s, "further chunk")
        asked_ns = self._call.clock.now_ns()
        if limit_s is None:
            block = await self._source.read()
        else:
            try:
                async with self._call.clock.limit(limit_s) as limit:
                    block = await self._source.read()
            except TimeoutError as error:
                if not limit.expired():
                    raise
                raise _timed_out(which, limit_s) from error
        now_ns = self._call.clock.now_ns()
        if block:
            if self._attempt.first_chunk_ns is None:
                self._attempt.first_chunk_ns = now_ns
            else:
                self._attempt.gaps_ns.append(now_ns - asked_ns)
            self._last_ns = now_ns
            self._note(block)
        return block

    async def aclose(self) -> None:
        await self._source.aclose()

    def _note(self, block: Block) -> None:
        attempt = self._attempt
        attempt.chunks += len(block)
        self._blocks.append(block)
        for chunk in block:
            if chunk.usage is not None:
                attempt.usage = chunk.usage
            if attempt.first_content_ns is None and chunk.has_content:
                attempt.first_content_ns = self._last_ns
