"""SDK spans of a finished call, made off its path: the call, its stages, its requests to vendors."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from ..facts import ATTEMPTS, Attempt, given_again
from ..ids import random_id
from . import attributes as shown
from . import names
from .content import content_of
from .own import CallSpan, first_span_id
from .policy import Redact
from .setting import version

if TYPE_CHECKING:
    from ..record import Record
    from ..trace import Frame, Trace
    from .schema import Generation


class _Finished(NamedTuple):
    """One call on its way to spans."""

    record: Record
    trace: Trace
    span: CallSpan
    context: SpanContext
    redact: Redact | None

    def wall_ns(self, at_ns: int) -> int:
        return self.trace.start_wall_ns + at_ns - self.trace.root.start_ns


class SpanMaker:
    """Makes the spans of finished calls. Used by one thread at a time."""

    def __init__(self, generation: Generation, resource: Resource | None) -> None:
        """`resource` None: from the `OTEL_*` variables, the service named `glassway` if they name none."""
        self._generation: Generation = generation
        self._resource = resource
        self._scope = InstrumentationScope(names.SCOPE, version(), names.SCHEMA_URLS[generation])

    @property
    def resource(self) -> Resource:
        """Who sends these spans."""
        if self._resource is None:
            self._resource = default_resource()
        return self._resource

    def make(self, record: Record) -> list[ReadableSpan]:
        """The call's span first, then stages and attempts in the order in which they began."""
        trace = record.trace
        span = trace.telemetry if trace is not None else None
        if trace is None or not isinstance(span, CallSpan):
            return []
        redact = trace.meaning.policy.redact if trace.meaning is not None else None
        finished = _Finished(record, trace, span, _kept(span.get_span_context()), redact)
        contexts = {trace.root: finished.context}
        times_ns = trace.self_times()
        spans = [self._call(finished, times_ns[trace.root])]
        for frame, self_ns in times_ns.items():
            if frame is not trace.root:
                contexts[frame] = _beside(finished.context, _new_id())
                spans.append(self._stage(finished, frame, self_ns, contexts))
                spans += [self._attempt(finished, attempt, contexts[frame]) for attempt in _attempts_of(trace, frame)]
        return spans

    def _call(self, finished: _Finished, self_ns: int) -> ReadableSpan:
        record, trace, span = finished.record, finished.trace, finished.span
        own = shown.of_call(record, self._generation) | {names.KEPT.name: span.kept, names.SELF_S.name: self_ns / 1e9}
        content, event = content_of(record, self._generation)
        events = [*_notes(finished), *_events(finished, trace.root)]
        if event:
            events.append(Event(names.CONTENT_EVENT, {**event}, finished.wall_ns(trace.end_ns)))
        failed = record.end in shown.FAILED
        return self._span(
            finished,
            shown.call_name(record),
            finished.context,
            (trace.root.start_ns, trace.end_ns),
            span.attributes | own,
            parent=span.parent,
            kind=SpanKind.CLIENT,
            error=(record.error_message or "") if failed else None,
            events=events,
            links=[*span.links, *_origin(record)],
            exact=content,
        )

    def _stage(
        self, finished: _Finished, frame: Frame, self_ns: int, contexts: Mapping[Frame, SpanContext]
    ) -> ReadableSpan:
        name = finished.record.stage_names[frame.index]
        return self._span(
            finished,
            name,
            contexts[frame],
            (frame.start_ns, _shown_end_ns(finished.trace, frame)),
            shown.of_stage(frame, name, self_ns),
            parent=contexts[frame.parent or finished.trace.root],
            kind=SpanKind.INTERNAL,
            error=getattr(frame.error, "message", type(frame.error).__name__)
            if shown.is_failure(frame.error)
            else None,
            events=_events(finished, frame),
        )

    def _attempt(self, finished: _Finished, attempt: Attempt, parent: SpanContext) -> ReadableSpan:
        found = shown.of_attempt(attempt)
        return self._span(
            finished,
            shown.attempt_name(attempt),
            _beside(finished.context, attempt.span_id or _new_id()),
            (attempt.start_ns, attempt.end_ns or finished.trace.end_ns),
            found,
            parent=parent,
            kind=SpanKind.CLIENT,
            error="" if names.ERROR_TYPE.name in found else None,
        )

    def _span(
        self,
        finished: _Finished,
        name: str,
        context: SpanContext,
        times_ns: tuple[int, int],
        attributes: Mapping[str, Any],
        *,
        parent: SpanContext | None,
        kind: SpanKind,
        error: str | None,
        events: Sequence[Event] = (),
        links: Sequence[Link] = (),
        exact: Mapping[str, str] | None = None,
    ) -> ReadableSpan:
        """`error`: the status text of a failure, "" where there is none; None for no failure. `exact` is redacted already."""
        redact = finished.redact
        return ReadableSpan(
            redact(name) if redact else name,
            context,
            parent,
            self.resource,
            shown.redacted(attributes, redact) | dict(exact or {}),
            [Event(event.name, shown.redacted(event.attributes or {}, redact), event.timestamp) for event in events]
            if redact
            else events,
            links,
            kind,
            status=_status(error, redact),
            start_time=finished.wall_ns(times_ns[0]),
            end_time=finished.wall_ns(times_ns[1]),
            instrumentation_scope=self._scope,
        )


def default_resource() -> Resource:
    """What the standard variables say of this process; the service is `glassway` if they do not name it."""
    named = bool(os.environ.get("OTEL_SERVICE_NAME")) or "service.name=" in os.environ.get(
        "OTEL_RESOURCE_ATTRIBUTES", ""
    )
    return Resource.create({} if named else {"service.name": "glassway"})


def _status(error: str | None, redact: Redact | None) -> Status:
    if error is None:
        return Status(StatusCode.UNSET)
    return Status(StatusCode.ERROR, (redact(error) if redact else error) or None)


def _kept(context: SpanContext) -> SpanContext:
    """Sampled, whatever the flag said while the call was under way: processors skip spans that are not."""
    flags = TraceFlags(context.trace_flags | TraceFlags.SAMPLED)
    return SpanContext(
        context.trace_id, context.span_id, is_remote=False, trace_flags=flags, trace_state=context.trace_state
    )


def _beside(context: SpanContext, span_id: int) -> SpanContext:
    return SpanContext(
        context.trace_id, span_id, is_remote=False, trace_flags=context.trace_flags, trace_state=context.trace_state
    )


def _new_id() -> int:
    return random_id(64)


def _attempts_of(trace: Trace, frame: Frame) -> list[Attempt]:
    return [value for _, slot, value in trace.facts.get(frame, ()) if slot == ATTEMPTS.name]


def _events(finished: _Finished, frame: Frame) -> list[Event]:
    events = []
    for at_ns, slot, value in finished.trace.facts.get(frame, ()):
        if (event := shown.of_fact(slot, value)) is not None:
            events.append(Event(event[0], event[1], finished.wall_ns(at_ns)))
    return events


def _notes(finished: _Finished) -> list[Event]:
    return [Event(note.name, note.attributes, finished.wall_ns(note.at_ns)) for note in finished.span.notes]


def _shown_end_ns(trace: Trace, frame: Frame) -> int:
    """A stage whose stream went on after it had returned is shown until the stream's end, so that no child outlives its parent."""
    end_ns = frame.end_ns or trace.end_ns
    if trace.root.end_ns >= trace.end_ns:
        return end_ns
    outer: Frame | None = frame
    while outer is not None:
        if outer.error is not None:
            return end_ns
        outer = outer.parent
    return trace.end_ns


def _origin(record: Record) -> list[Link]:
    """A link to the trace that filled the cache entry."""
    verdict = given_again(record.facts)
    if verdict is None or not verdict.origin_trace_id:
        return []
    trace_id = int(verdict.origin_trace_id, 16)
    return [
        Link(SpanContext(trace_id, first_span_id(trace_id), is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED)))
    ]
