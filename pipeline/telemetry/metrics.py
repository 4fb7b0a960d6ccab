"""Metrics of a call, made of its record when it has ended. Stages know nothing of them."""

from __future__ import annotations

from collections.abc import Sequence

from ..facts import SEMANTIC_CHECK, SHADOW, Attempt
from ..record import Record
from ..types import Usage
from . import names
from .book import Book
from .convention import Exemplar, answering, convention_of
from .factmetrics import FactMetrics, Vendor
from .instruments import Families, Observes, Sink
from .schema import Generation


class CallMetrics:
    """Turns records into measurements. Label values are bounded here and nowhere else.

    A model's or vendor's name takes a place in its bound only on calls that are not the caller's own mistake: nobody
    fills the bound with made-up names.
    """

    def __init__(self, sink: Sink, families: Families, generation: Generation) -> None:
        self._book = Book(sink)
        self._count_convention = convention_of(generation)
        self._stages_of: dict[tuple[str, ...], list[Observes]] = {}
        self._model = families.bound(names.L_MODEL)
        self._provider = families.bound(names.L_PROVIDER)
        self._stage = families.bound(names.L_STAGE)
        self._shadow = families.bound(names.L_SHADOW)
        self._tenant = families.bound(names.L_TENANT)
        self._facts = FactMetrics(self._book, families, self._vendor)

    def begin(self, *, stream: bool) -> None:
        """A call is in flight."""
        with self._book.lock:
            self._book.add(names.IN_FLIGHT, ("true" if stream else "false",))

    def finish(self, record: Record, exemplar: Exemplar) -> None:
        """A call has ended. `exemplar` holds the ids of its trace if that is kept."""
        with self._book.lock:
            vendor = self._vendor(record.provider, record.model, record)
            self._call(record, vendor, exemplar)
            self._stage_times(record)
            for attempt in record.attempts:
                self._attempt(record, attempt)
            if record.stream:
                self._stream(record, vendor, exemplar)
            self._facts.count(record, vendor)
            known = self._provider(record.vendor or names.NONE, admit=record.fault != "caller")
            common = names.OPERATIONS[record.operation], names.PROVIDERS.get(known, known), vendor[1]
            self._count_convention(self._book, record, common, exemplar)

    def finish_beside(self, record: Record) -> None:
        """A call beside another has ended: what its stage made of it, and nothing else."""
        checked = record.facts.get(SEMANTIC_CHECK.name)
        if checked is not None:
            with self._book.lock:
                self._book.add(names.SEMANTIC_CHECKS, (checked.result,))
        done = record.facts.get(SHADOW.name)
        if done is None:
            return
        with self._book.lock:
            book, shadow = self._book, self._shadow(done.shadow)
            book.add(names.SHADOW_RUNS, (shadow, done.verdict))
            if done.reply_s is not None and done.call_reply_s is not None:
                later_s = done.reply_s - done.call_reply_s
                book.observe(names.SHADOW_GAP, (shadow, "shadow" if later_s > 0 else "call"), abs(later_s))
            if done.cost_usd:
                book.add(names.SHADOW_COST, (shadow,), float(done.cost_usd))

    def _vendor(self, provider: str | None, model: str | None, record: Record) -> Vendor:
        admit = record.fault != "caller"
        return self._provider(provider or names.NONE, admit=admit), self._model(model or record.requested, admit=admit)

    def _call(self, record: Record, vendor: Vendor, exemplar: Exemplar) -> None:
        book = self._book
        stream = "true" if record.stream else "false"
        book.add(names.IN_FLIGHT, (stream,), -1)
        book.add(names.CALLS, (record.operation, *vendor, record.end, record.error or ""))
        book.observe(names.CALL_DURATION, (record.operation, *vendor, stream), record.duration_s, exemplar)
        if record.tenant:
            book.add(names.TENANT_CALLS, (self._tenant(record.tenant), record.end))

    def _stage_times(self, record: Record) -> None:
        trace = record.trace
        if trace is None:
            return
        stages = self._stages(record.stage_names)
        trace.measure()
        totals_ns = [0] * len(stages)
        for frame in trace.frames:
            totals_ns[frame.index] += frame.self_ns
        totals_ns[-1] = trace.root.self_ns
        ran = {frame.index for frame in trace.frames}
        for index in (*ran, -1):
            stages[index].observe(totals_ns[index] / 1e9)  # -1 is the call's own, the last
        if trace.consumer_ns:
            self._book.observe(names.STAGE_SELF, ("consumer",), trace.consumer_ns / 1e9)

    def _stages(self, stage_names: Sequence[str]) -> list[Observes]:
        key = tuple(stage_names)
        found = self._stages_of.get(key)
        if found is None:
            labels = [(self._stage(name),) for name in (*key, "call")]
            found = [self._book.distribution(names.STAGE_SELF, label) for label in labels]
            if len(self._stages_of) < _MOST_PIPELINES:
                self._stages_of[key] = found
        return found

    def _attempt(self, record: Record, attempt: Attempt) -> None:
        book, vendor = self._book, self._vendor(attempt.provider, attempt.model, record)
        book.add(names.ATTEMPTS_SENT, (*vendor, attempt.reason, attempt.error or ""))
        if attempt.end_ns is not None:
            book.observe(names.ATTEMPT_DURATION, vendor, attempt.duration_s)
        if attempt.usage is None:
            return
        useful = "true" if attempt.useful else "false"
        for kind, tokens in _tokens(attempt.usage):
            book.add(names.TOKENS, (*vendor, kind, useful), tokens)
        for anomaly in attempt.usage.anomalies():
            book.add(names.ANOMALIES, (vendor[0], anomaly))

    def _stream(self, record: Record, vendor: Vendor, exemplar: Exemplar) -> None:
        book, attempt = self._book, answering(record)
        if attempt is None or record.trace is None:
            return
        if record.first_chunk_s is not None:
            book.observe(names.FIRST_CHUNK_S, vendor, record.first_chunk_s, exemplar)
        if attempt.first_content_ns is not None:
            waited_ns = attempt.first_content_ns - record.trace.root.start_ns
            book.observe(names.FIRST_CONTENT_S, vendor, waited_ns / 1e9, exemplar)
        if attempt.gaps_ns:
            book.observe_all(names.CHUNK_GAP, vendor, [gap_ns / 1e9 for gap_ns in attempt.gaps_ns])


_MOST_PIPELINES = 1000
"""Pipelines whose stages are looked up once; programs that make more of them look up each time."""


def _tokens(usage: Usage) -> list[tuple[str, int]]:
    counts = [("input", usage.prompt_tokens), ("output", usage.completion_tokens)]
    if usage.prompt_tokens_details is not None:
        counts += [("cache_read", usage.cached_tokens), ("cache_write", usage.cache_write_tokens)]
    if usage.completion_tokens_details is not None:
        counts.append(("reasoning", usage.reasoning_tokens))
    return [(kind, tokens) for kind, tokens in counts if tokens > 0]
