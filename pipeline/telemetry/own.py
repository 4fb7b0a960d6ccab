"""Traces that we make ourselves: ids from the start, spans only when the call has ended and its trace is kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from opentelemetry import trace as api
from opentelemetry.trace.span import Span, SpanContext, TraceFlags, TraceState

from ..ids import random_id
from . import names
from .context import CurrentSpan
from .policy import Keep, TracePolicy, Trust
from .propagation import inbound
from .sampling import in_ratio, why_kept

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.sampling import Decision, Sampler
    from opentelemetry.util.types import Attributes, AttributeValue

    from ..call import CallOptions
    from ..facts import Attempt
    from ..record import Record
    from ..trace import Trace
    from ..types import Request
    from .outbox import Outbox
    from .spans import SpanMaker
    from .telemetry import Telemetry

_SAMPLED, _RANDOM = 1, 2
_MOST_NOTES = 64
"""Attributes and events each that code inside a call may add to its span."""


def first_span_id(trace_id: int) -> int:
    """The id of the call that began this trace: known from the trace's, so that whoever has only that can link to it."""
    return trace_id & 0xFFFF_FFFF_FFFF_FFFF or 1


class Note(NamedTuple):
    """An event that code inside the call added to its span."""

    at_ns: int
    name: str
    attributes: Attributes


class OwnTraces:
    """Begins traces and queues the finished ones."""

    def __init__(self, telemetry: Telemetry, maker: SpanMaker, outbox: Outbox, sampler: Sampler | None) -> None:
        self.telemetry = telemetry
        self.outbox = outbox
        self._maker = maker
        self._sampler = sampler
        self._between: api.Tracer | None = None

    def begin(self, trace: Trace, request: Request, options: CallOptions, trust: Trust) -> None:
        """Give the call its ids and the head decision."""
        parent, links = inbound(options.traceparent, trust)
        random = random_id(128)
        trace.span_id = first_span_id(random)
        if parent is None:
            trace.trace_id, trace.flags = random, _SAMPLED | _RANDOM
        else:
            trace.trace_id, trace.flags = parent.trace_id, int(parent.trace_flags)
        span = CallSpan(self, trace, parent, links)
        if self._sampler is not None:
            self._judge(self._sampler, span, request)
        trace.traced = bool(trace.flags & _SAMPLED)
        trace.telemetry = span
        span.judge_by(self.telemetry.keep)

    def tracer(self) -> api.Tracer:
        """For what happens between calls."""
        if self._between is None:
            self._between = self.as_provider().get_tracer(names.SCOPE)
        return self._between

    def as_provider(self) -> api.TracerProvider:
        """A tracer provider for code that is no pipeline, into the same processors and exporters."""
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor

        provider = TracerProvider(sampler=self._sampler, resource=self._maker.resource, shutdown_on_exit=False)
        kind = SimpleSpanProcessor if self.telemetry.synchronous else BatchSpanProcessor
        for processor in (*self.outbox.processors, *map(kind, self.outbox.exporters)):
            provider.add_span_processor(processor)
        self.outbox.close_with(provider)
        return provider

    def _judge(self, sampler: Sampler, span: CallSpan, request: Request) -> None:
        trace = span.trace
        operation = names.OPERATIONS[request.operation]
        attributes = {names.OPERATION.name: operation, names.REQUEST_MODEL.name: request.model}
        context = api.set_span_in_context(api.NonRecordingSpan(span.parent)) if span.parent else None
        result = sampler.should_sample(
            context, trace.trace_id, f"{operation} {request.model}", api.SpanKind.CLIENT, attributes, span.links
        )
        trace.flags = trace.flags | _SAMPLED if _is_sampled(result.decision) else trace.flags & ~_SAMPLED
        span.attributes.update(result.attributes or {})


def _is_sampled(decision: Decision) -> bool:
    return decision.name == "RECORD_AND_SAMPLE"


class CallSpan(CurrentSpan, Span):
    """The call's span while the call is under way: code inside may read its ids and add to it. The SDK's span is made later."""

    def __init__(
        self, traces: OwnTraces, trace: Trace, parent: SpanContext | None, links: tuple[api.Link, ...]
    ) -> None:
        self.trace = trace
        self.parent = parent
        self.links = links
        self.attributes: dict[str, Any] = {}
        self.notes: list[Note] = []
        self.kept = ""
        self._traces = traces
        self._keep = traces.telemetry.keep
        self.prepare(self)

    # -- for the chain

    def judge_by(self, keep: Keep) -> None:
        """Judge the finished call by `keep`.

        A trace that is not certain to be kept goes on without the sampled flag: what others record of it might lead nowhere.
        """
        self._keep = keep
        trace = self.trace
        if trace.traced and not self._parent_sampled:
            certain = in_ratio(trace.trace_id, keep.ratio)
            trace.flags = trace.flags | _SAMPLED if certain else trace.flags & ~_SAMPLED

    def follow(self, policy: TracePolicy) -> None:
        """Judge by the pipeline's own policy."""
        if policy.keep is not None:
            self.judge_by(policy.keep)

    def attempt_begins(self, attempt: Attempt) -> None:
        """Attempts are on the record already."""

    def attempt_ends(self, attempt: Attempt) -> None:
        """Attempts are on the record already."""

    def finish(self, record: Record) -> bool:
        """Queue the call if its trace is kept. Returns whether it was."""
        if not self.trace.traced:
            return False
        why = why_kept(record, self._keep, self.trace.trace_id, parent_sampled=self._parent_sampled)
        if why is None:
            return False
        self.kept = why
        return self._traces.outbox.put(record)

    @property
    def _parent_sampled(self) -> bool:
        return self.parent is not None and bool(self.parent.trace_flags & _SAMPLED)

    # -- for OpenTelemetry

    def get_span_context(self) -> SpanContext:
        """The call's ids, with the flags as they are now."""
        trace = self.trace
        state = self.parent.trace_state if self.parent is not None else TraceState()
        return SpanContext(
            trace.trace_id, trace.span_id, is_remote=False, trace_flags=TraceFlags(trace.flags), trace_state=state
        )

    def is_recording(self) -> bool:
        """Whether the call is traced and still under way."""
        return self.trace.traced and not self.trace.end_ns

    def set_attribute(self, key: str, value: AttributeValue) -> None:
        """Add to the call's span; a convention's own names cannot be replaced."""
        if self.is_recording() and (key in self.attributes or len(self.attributes) < _MOST_NOTES):
            self.attributes[key] = value

    def set_attributes(self, attributes: Mapping[str, AttributeValue]) -> None:
        """Add several."""
        for key, value in attributes.items():
            self.set_attribute(key, value)

    def add_event(self, name: str, attributes: Attributes = None, timestamp: int | None = None) -> None:  # noqa: ARG002 - our clock tells the time
        """Add an event at the present time of the call's clock."""
        if self.is_recording() and len(self.notes) < _MOST_NOTES:
            self.notes.append(Note(self.trace.clock.now_ns(), name, attributes))

    def record_exception(
        self,
        exception: BaseException,
        attributes: Attributes = None,
        timestamp: int | None = None,  # noqa: ARG002 - as above
        escaped: bool = False,  # noqa: ARG002 - the call's outcome tells
    ) -> None:
        """Note that it happened. Its text may hold content, so only its type is shown."""
        self.add_event("exception", {**(attributes or {}), "exception.type": type(exception).__name__})

    def end(self, end_time: int | None = None) -> None:
        """The pipeline ends it."""

    def update_name(self, name: str) -> None:
        """The pipeline names it."""

    def set_status(self, status: api.Status | api.StatusCode, description: str | None = None) -> None:
        """The outcome of the call decides."""
