"""Where spans and metrics go."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Mapping, Sequence
from contextvars import Context
from typing import TYPE_CHECKING, ClassVar

from ..trace import Trace
from .policy import KEEP_ALL, Keep, Trust
from .schema import Generation, Queueing, TraceCounts
from .setting import told

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import SpanProcessor
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.sdk.trace.sampling import Sampler
    from opentelemetry.trace import Tracer, TracerProvider
    from prometheus_client import CollectorRegistry

    from ..call import CallOptions
    from ..clock import Clock
    from ..outcome import Outcome
    from ..record import Record
    from ..types import Request
    from .foreign import ForeignTraces
    from .metrics import CallMetrics
    from .own import OwnTraces

logger = logging.getLogger("glassway")


class Telemetry:
    """Metrics of every call and, where somebody wants them, traces. Never breaks, delays or fails a call.

    Traces go to `span_processors` and `span_exporters` if there are any; otherwise to `tracer_provider`, or the global
    OpenTelemetry one if the application has set it; otherwise no span is made and nothing is paid.

    `metrics`: whether to count at all; into `registry`, the process's Prometheus registry by default, and into
    instruments of `meter_provider` if given.
    `sampler`: the head decision, an OpenTelemetry SDK sampler; None follows the caller's decision and samples new traces.
    `keep`: which finished traces are kept; a Tracing stage may say otherwise for its pipeline.
    `trust`: what becomes of a `traceparent` that a call brings in its options. A public gateway wants `link`.
    `generation`: of the GenAI conventions.
    `label_limits`: the most values of a bounded label, by its name.
    `queue_traces`: kept traces that may wait for export; more are dropped and counted. `delay_s`: how long one waits for
    others to be exported with it. `shutdown_s`: the most seconds that the process's exit waits for the rest.
    """

    _default: ClassVar[Telemetry | None] = None
    _default_lock: ClassVar[threading.Lock] = threading.Lock()

    def __init__(
        self,
        *,
        metrics: bool = True,
        registry: CollectorRegistry | None = None,
        meter_provider: MeterProvider | None = None,
        span_processors: Sequence[SpanProcessor] = (),
        span_exporters: Sequence[SpanExporter] = (),
        resource: Resource | None = None,
        tracer_provider: TracerProvider | None = None,
        sampler: Sampler | None = None,
        keep: Keep = KEEP_ALL,
        trust: Trust = "always",
        generation: Generation = "g2",
        label_limits: Mapping[str, int] | None = None,
        queue_traces: int = 2048,
        delay_s: float = 1.0,
        shutdown_s: float = 2.0,
        follow_global: bool = True,
        from_environment: bool = False,
        synchronous: bool = False,
    ) -> None:
        """`follow_global`: whether a global tracer provider is used where no processors are given.

        `from_environment`: whether the `OTEL_*` variables are read, at the first call.

        `synchronous`: make and hand over spans before the call returns. For tests.
        """
        self.generation: Generation = generation
        self.trust: Trust = trust
        self.keep = keep
        self.synchronous = synchronous
        self._counting = metrics
        self._registry = registry
        self._meter_provider = meter_provider
        self._limits = dict(label_limits or {})
        self._follow_global = follow_global
        self._provider = tracer_provider
        self._lock = threading.Lock()
        self._started = False
        self._metrics: tuple[CallMetrics, ...] = ()
        self._own: OwnTraces | None = None
        self._foreign: ForeignTraces | None = None
        self._from_environment = from_environment
        self._queueing = Queueing(queue_traces, delay_s, shutdown_s, synchronous)
        if span_processors or span_exporters:
            self.send_traces(span_processors, span_exporters, resource=resource, sampler=sampler)

    @classmethod
    def default(cls) -> Telemetry:
        """The process's one instance: metrics to the default registry, traces as the `OTEL_*` variables and `setup` say."""
        with cls._default_lock:
            if cls._default is None:
                cls._default = cls(from_environment=True)
            return cls._default

    def send_traces(
        self,
        span_processors: Sequence[SpanProcessor] = (),
        span_exporters: Sequence[SpanExporter] = (),
        *,
        resource: Resource | None = None,
        sampler: Sampler | None = None,
    ) -> None:
        """Keep traces from now on and hand them to these. A process that already sends some sends to these instead."""
        from .outbox import Outbox  # the OpenTelemetry SDK is loaded only where traces are kept
        from .own import OwnTraces
        from .spans import SpanMaker

        before = self._own
        maker = SpanMaker(self.generation, resource)
        outbox = Outbox(maker.make, span_processors, span_exporters, self._queueing)
        self._own = OwnTraces(self, maker, outbox, sampler)
        if before is not None:
            before.outbox.close()

    # -- what a pipeline calls

    def begin(self, request: Request, options: CallOptions, clock: Clock) -> Trace | None:
        """A call begins. None where nothing is recorded: the bare chain is enough."""
        try:
            if not self._started:
                self._start()
            for counted in self._metrics:
                counted.begin(stream=request.stream)
            return self._begin(request, options, clock)
        except Exception as error:  # noqa: BLE001 - telemetry never hurts, and the text of an error may hold content
            logger.error("Telemetry failed at a call's begin (%s); the call goes on untraced.", told(error))
            return Trace(clock) if self._metrics else None

    def begin_beside(self, request: Request, options: CallOptions, clock: Clock) -> Trace | None:
        """A call beside another begins: a trace of its own, linked to the other one's. It is not in flight."""
        try:
            return Context().run(self._begin, request, options, clock, "link")  # no span is current in it
        except Exception as error:  # noqa: BLE001 - as above
            logger.error(
                "Telemetry failed at the begin of a call beside another (%s); it goes on untraced.", told(error)
            )
            return None

    def finish_beside(self, record: Record) -> None:
        """A call beside another has ended: it is in the metrics of its stage, and in no other."""
        try:
            _finish_trace(record)
            for counted in self._metrics:
                counted.finish_beside(record)
        except Exception as error:  # noqa: BLE001 - as above
            logger.error("A call beside another could not be counted (%s).", told(error))

    def attach(self, trace: Trace) -> object:
        """Make the call's span the current one for the code of stages. Returns a token for `detach`."""
        return trace.telemetry.attach() if trace.telemetry is not None else None

    def detach(self, trace: Trace, token: object) -> None:
        """Undo `attach`."""
        if trace.telemetry is not None:
            trace.telemetry.detach(token)

    def finish(self, record: Record, outcome: Outcome) -> None:  # noqa: ARG002 - part of the interface
        """A call has ended: decide on its trace, count, and queue what is kept."""
        exemplar = None
        try:
            exemplar = _finish_trace(record)
        except Exception as error:  # noqa: BLE001 - as above
            logger.error("The spans of a call could not be made (%s); the call is not affected.", told(error))
        try:
            for counted in self._metrics:
                counted.finish(record, exemplar)
        except Exception as error:  # noqa: BLE001 - as above
            logger.error("A call could not be counted (%s); the call is not affected.", told(error))

    def flush(self, timeout_s: float = 5.0) -> bool:
        """Wait until everything kept so far is handed over, at most `timeout_s` seconds. Whether it all was."""
        return self._own.outbox.flush(timeout_s) if self._own is not None else True

    # -- for people

    def metrics_text(self) -> str:
        """The metrics in Prometheus' text format; empty where nothing is counted."""
        from prometheus_client import generate_latest

        if not self._started:
            self._start()
        return generate_latest(self.registry).decode() if self._counting else ""

    @property
    def registry(self) -> CollectorRegistry:
        """The Prometheus registry that the metrics are in."""
        if self._registry is None:
            from prometheus_client import REGISTRY

            self._registry = REGISTRY
        return self._registry

    def has_global_provider(self) -> bool:
        """Whether the application has set an OpenTelemetry tracer provider of its own."""
        return self._of_global() is not None

    def serve_as_provider(self) -> None:
        """Be OpenTelemetry's tracer provider too, if nobody is yet: spans of the application's own code go the same way."""
        import opentelemetry.trace as api

        if self._own is not None and not self.has_global_provider():
            api.set_tracer_provider(self._own.as_provider())

    def tracer(self) -> Tracer | None:
        """A tracer for what happens between calls, into the same place as their traces; None where there are none."""
        if self._own is not None:
            return self._own.tracer()
        foreign = self._of_global()
        return foreign.tracer if foreign is not None else None

    # -- inside

    def _start(self) -> None:
        with self._lock:
            if self._started:
                return
            if self._counting:
                self._start_metrics()
            if self._from_environment and self._own is None:
                from .otlp import configured_by_environment

                configured_by_environment(self)
            self._started = True

    def _start_metrics(self) -> None:
        from .health import Health  # importing glassway loads no metrics library
        from .instruments import MeterSink, Sink, families_of
        from .metrics import CallMetrics

        families = families_of(self.registry, self._limits)
        sinks: list[Sink] = [families.sink(self.generation)]
        if self._meter_provider is not None:
            sinks.append(MeterSink(self._meter_provider.get_meter("glassway")))
        Health.of(self.registry).watch(self)
        self._metrics = tuple(CallMetrics(sink, families, self.generation) for sink in sinks)

    def _begin(self, request: Request, options: CallOptions, clock: Clock, trust: Trust | None = None) -> Trace | None:
        keeper = self._own or self._of_global()
        if keeper is None:
            return Trace(clock) if self._metrics else None
        trace = Trace(clock, traced=True)
        keeper.begin(trace, request, options, trust or self.trust)
        return trace

    def _of_global(self) -> ForeignTraces | None:
        """The application's tracer provider, if it has set one; looked up at every call, for it may come late."""
        provider = self._provider or self._global_provider()
        if provider is None:
            return None
        if self._foreign is None or self._foreign.provider is not provider:
            from .foreign import ForeignTraces

            self._foreign = ForeignTraces(self, provider)
        return self._foreign if self._foreign.real else None

    def _global_provider(self) -> TracerProvider | None:
        api = sys.modules.get("opentelemetry.trace")
        if api is None or not self._follow_global:
            return None
        provider: TracerProvider = api.get_tracer_provider()
        return provider

    def trace_counts(self) -> TraceCounts:
        """What became of kept traces so far."""
        return self._own.outbox.counts() if self._own is not None else TraceCounts()


def _finish_trace(record: Record) -> dict[str, str] | None:
    """The ids for exemplars, of a trace that is kept: an exemplar must lead somewhere."""
    trace = record.trace
    if trace is None or trace.telemetry is None or not trace.telemetry.finish(record):
        return None
    return {"trace_id": f"{trace.trace_id:032x}", "span_id": f"{trace.span_id:016x}"}
