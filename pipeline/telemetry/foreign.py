"""Traces by the application's own tracer provider, through its public interface alone.

The call's span and the attempts' are real from the start; stages become spans when the call has ended, with the times
that they had. The provider's sampler decides; what is finished cannot be kept or dropped any more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry import trace as api

from ..facts import CACHE
from . import attributes as shown
from . import names
from .content import content_of
from .context import CurrentSpan
from .propagation import inbound
from .setting import version

if TYPE_CHECKING:
    from ..call import CallOptions
    from ..facts import Attempt
    from ..record import Record
    from ..trace import Frame, Trace
    from ..types import Request
    from .policy import Redact, TracePolicy, Trust
    from .telemetry import Telemetry

_PROXIES = (api.ProxyTracerProvider, api.NoOpTracerProvider)


class ForeignTraces:
    """Begins real spans."""

    def __init__(self, telemetry: Telemetry, provider: api.TracerProvider) -> None:
        self.provider = provider
        self.real = not isinstance(provider, _PROXIES)
        """Whether the application has set one at all."""
        self.telemetry = telemetry
        self.tracer = provider.get_tracer(names.SCOPE, version(), names.SCHEMA_URLS[telemetry.generation])

    def begin(self, trace: Trace, request: Request, options: CallOptions, trust: Trust) -> None:
        """Start the call's span and take over its ids."""
        parent, links = inbound(options.traceparent, trust)
        context = (
            api.set_span_in_context(api.NonRecordingSpan(parent)) if parent is not None and parent.is_remote else None
        )
        operation = names.OPERATIONS[request.operation]
        span = self.tracer.start_span(
            f"{operation} {request.model}",
            context,
            api.SpanKind.CLIENT,
            {names.OPERATION.name: operation, names.REQUEST_MODEL.name: request.model},
            links,
            start_time=trace.start_wall_ns,
        )
        ids = span.get_span_context()
        trace.trace_id, trace.span_id, trace.flags = ids.trace_id, ids.span_id, int(ids.trace_flags)
        trace.traced = span.is_recording()
        trace.telemetry = ForeignCall(self, trace, span)


class ForeignCall(CurrentSpan):
    """One call's real spans."""

    def __init__(self, traces: ForeignTraces, trace: Trace, span: api.Span) -> None:
        self._traces = traces
        self._trace = trace
        self._span = span
        self._inside = api.set_span_in_context(span)
        self._attempts: dict[int, api.Span] = {}
        self.prepare(span)

    def follow(self, policy: TracePolicy) -> None:
        """The provider's sampler has decided already; capture and redaction are read when the call has ended."""

    def attempt_begins(self, attempt: Attempt) -> None:
        """Start the attempt's span, so that its id goes upstream."""
        if not self._trace.traced:
            return
        span = self._traces.tracer.start_span(
            "attempt", self._inside, api.SpanKind.CLIENT, start_time=self._wall_ns(attempt.start_ns)
        )
        attempt.span_id = span.get_span_context().span_id
        self._attempts[attempt.number] = span

    def attempt_ends(self, attempt: Attempt) -> None:
        """End it."""
        span = self._attempts.pop(attempt.number, None)
        if span is None or attempt.end_ns is None:
            return
        span.update_name(shown.attempt_name(attempt))
        span.set_attributes(shown.redacted(shown.of_attempt(attempt), self._redact))
        if attempt.error is not None and attempt.error != "cancelled":
            span.set_status(api.StatusCode.ERROR)
        span.end(self._wall_ns(attempt.end_ns))

    def finish(self, record: Record) -> bool:
        """Make the stages' spans and end the call's."""
        trace, span = self._trace, self._span
        try:
            if trace.traced:
                self._describe(record)
                self._stages(record)
        finally:  # a redaction hook may raise; no span is left open
            for attempt in self._attempts.values():
                attempt.end(self._wall_ns(trace.end_ns))
            span.end(self._wall_ns(trace.end_ns))
        return trace.traced and span.get_span_context().trace_flags.sampled

    @property
    def _redact(self) -> Redact | None:
        return self._trace.meaning.policy.redact if self._trace.meaning is not None else None

    def _describe(self, record: Record) -> None:
        span, redact = self._span, self._redact
        generation = self._traces.telemetry.generation
        content, event = content_of(record, generation)
        own = shown.of_call(record, generation) | {names.SELF_S.name: self._trace.self_times()[self._trace.root] / 1e9}
        span.update_name(redact(shown.call_name(record)) if redact else shown.call_name(record))
        span.set_attributes(shown.redacted(own, redact) | content)
        self._add_events(span, self._trace.root)
        if event:
            span.add_event(names.CONTENT_EVENT, {**event}, self._wall_ns(self._trace.end_ns))
        if record.end in shown.FAILED:
            message = record.error_message or ""
            span.set_status(api.StatusCode.ERROR, redact(message) if redact else message)
        verdict = record.facts.get(CACHE.name)
        if verdict is not None and verdict.origin_trace_id:
            span.set_attribute(f"{names.CACHE_EVENT.name}.origin_trace_id", verdict.origin_trace_id)

    def _stages(self, record: Record) -> None:
        contexts: dict[Frame, Any] = {self._trace.root: self._inside}
        for frame, self_ns in self._trace.self_times().items():
            if frame.parent is None:
                continue
            name = record.stage_names[frame.index]
            span = self._traces.tracer.start_span(
                name, contexts[frame.parent], start_time=self._wall_ns(frame.start_ns)
            )
            contexts[frame] = api.set_span_in_context(span)
            span.set_attributes(shown.redacted(shown.of_stage(frame, name, self_ns), self._redact))
            self._add_events(span, frame)
            if shown.is_failure(frame.error):
                span.set_status(api.StatusCode.ERROR)
            span.end(self._wall_ns(frame.end_ns or self._trace.end_ns))

    def _add_events(self, span: api.Span, frame: Frame) -> None:
        for at_ns, slot, value in self._trace.facts.get(frame, ()):
            if (event := shown.of_fact(slot, value)) is not None:
                span.add_event(event[0], shown.redacted(event[1], self._redact), self._wall_ns(at_ns))

    def _wall_ns(self, at_ns: int) -> int:
        return self._trace.start_wall_ns + at_ns - self._trace.root.start_ns
