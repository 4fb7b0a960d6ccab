"""Calls beside a call: work that may outlive it, with deadline, attempts, facts and trace of its own.

Nothing of such a call is counted as the caller's: not in flight, not in statistics, not in the metrics of calls. Its trace is
one of its own, linked to that of the call it belongs to.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

from .call import Call, CallOptions
from .outcome import Outcome
from .record import Record
from .types import Request


class Host(Protocol):
    """The pipeline, as far as calls beside others need it."""

    def begin_beside(
        self, name: str, request: Request, options: CallOptions, *, timeout_s: float, attempts: int
    ) -> Call:
        """A call that its pipeline counts nowhere."""
        ...

    def end_beside(self, beside: Call, outcome: Outcome) -> Record:
        """Close it: its record, and its trace if that is kept."""
        ...


def begin_beside(
    call: Call, name: str, request: Request, options: CallOptions, *, timeout_s: float, attempts: int
) -> Call:
    """A call beside `call`, for what `name` says. It may be given to the rest of the chain, once or more; then `end_beside`.

    It has its own deadline, `timeout_s` from now, and its own budget of `attempts`.
    """
    host = call.state.host
    if host is None:
        raise ValueError("A call beside another needs that one to come from a pipeline.")
    options = replace(options, timeout_s=timeout_s, traceparent=_traceparent(call), ran=())
    return host.begin_beside(name, request, options, timeout_s=timeout_s, attempts=attempts)


def end_beside(beside: Call, outcome: Outcome) -> Record:
    """Its record, complete. Once for each call that `begin_beside` gave."""
    host = beside.state.host
    assert host is not None  # noqa: S101 - `begin_beside` made it
    return host.end_beside(beside, outcome)


def _traceparent(call: Call) -> str | None:
    """What its own trace is linked to."""
    trace = call.state.trace
    if trace is None or not trace.trace_id:
        return None
    return f"00-{trace.trace_id:032x}-{trace.span_id:016x}-{trace.flags:02x}"
