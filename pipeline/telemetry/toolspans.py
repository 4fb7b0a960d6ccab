"""Spans of tools that run between the calls of one conversation, in the trace of the call that asked for them."""

from __future__ import annotations

from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from opentelemetry import trace as api

from . import names
from .context import CurrentSpan

if TYPE_CHECKING:
    from ..record import Record
    from .telemetry import Telemetry

T = TypeVar("T")


class ToolSpan(CurrentSpan):
    """One tool at work; without a span where the asking call's trace is not kept."""

    def __init__(self, span: api.Span | None) -> None:
        self._span = span
        if span is not None:
            self.prepare(span)

    def ended(self, outcome: str) -> None:
        """Say how it went."""
        if self._span is not None:
            self._span.set_attribute(names.TOOL_OUTCOME.name, outcome)
            if outcome != "returned":
                self._span.set_status(api.StatusCode.ERROR)


class ToolTraces:
    """The trace of one conversation: later calls join the first one's, unless the caller's code has a span of its own."""

    def __init__(self, telemetry: Telemetry | None) -> None:
        self._telemetry = telemetry
        self._first = CurrentSpan()
        self._joined = api.get_current_span().get_span_context().is_valid
        self._asking: api.SpanContext | None = None

    async def around(self, step: Awaitable[T]) -> T:
        """Await a call within the conversation's trace."""
        return await self._first.around(step)

    def asked(self, record: Record | None) -> None:
        """A call has ended; the tools that it asked for come next."""
        self._asking = _context_of(record)
        if self._asking is not None and not self._joined:
            self._joined = True
            self._first.prepare(api.NonRecordingSpan(self._asking))

    @contextmanager
    def tool(self, name: str, call_id: str) -> Iterator[ToolSpan]:
        """A span for one execution, if the asking call's trace is kept. It ends with the block."""
        tracer = self._telemetry.tracer() if self._telemetry is not None else None
        if tracer is None or self._asking is None or not self._asking.trace_flags.sampled:
            yield ToolSpan(None)
            return
        attributes = {
            names.OPERATION.name: names.EXECUTE_TOOL,
            names.TOOL_NAME.name: name,
            names.TOOL_CALL_ID.name: call_id,
            names.SPAN_KIND.name: "TOOL",
        }
        parent = api.set_span_in_context(api.NonRecordingSpan(self._asking))
        span = tracer.start_span(f"{names.EXECUTE_TOOL} {name}", parent, attributes=attributes)
        try:
            yield ToolSpan(span)
        finally:
            span.end()


def _context_of(record: Record | None) -> api.SpanContext | None:
    """The call's span; sampled only if its trace was kept in the end."""
    trace = record.trace if record is not None else None
    if trace is None or not trace.trace_id:
        return None
    kept = getattr(trace.telemetry, "kept", None)
    flags = trace.flags if kept is None else int(bool(kept))
    return api.SpanContext(trace.trace_id, trace.span_id, is_remote=False, trace_flags=api.TraceFlags(flags))
