"""Metrics of a call, made of its record when it has ended. Stages know nothing of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..facts import CACHE, COST, FALLBACKS, GUARDRAILS, RETRIES, TRANSLATION, Attempt
from ..record import Record
from ..types import Usage
from . import names
from .instruments import Families, Sink
from .schema import Generation

Exemplar = Mapping[str, str] | None


class CallMetrics:
    """Turns records into measurements. Label values are bounded here and nowhere else.

    A model's or vendor's name takes a place in its bound only on calls that are not the caller's own mistake: nobody
    fills the bound with made-up names.
    """

    def __init__(self, sinks: Sequence[Sink], families: Families, generation: Generation) -> None:
        self._sinks = sinks
        self._convention = _g2 if generation == "g2" else _g3
        self._model = families.bound(names.L_MODEL)
        self._provider = families.bound(names.L_PROVIDER)
        self._stage = families.bound(names.L_STAGE)
        self._target = families.bound(names.L_TARGET)
        self._rule = families.bound(names.L_RULE)
        self._parameter = families.bound(names.L_PARAMETER)
        self._tenant = families.bound(names.L_TENANT)

    def begin(self, *, stream: bool) -> None:
        """A call is in flight."""
        for sink in self._sinks:
            sink.add(names.IN_FLIGHT, ("true" if stream else "false",))

    def finish(self, record: Record, exemplar: Exemplar) -> None:
        """A call has ended. `exemplar` holds the ids of its trace if that is kept."""
        vendor = self._vendor(record.provider, record.model, record)
        for sink in self._sinks:
            self._call(sink, record, vendor, exemplar)
            self._stages(sink, record)
            self._attempts(sink, record)
            if record.stream:
                _stream(sink, record, vendor, exemplar)
            self._facts(sink, record, vendor)
            self._convention(sink, record, self._common(record, vendor), exemplar)

    def _vendor(self, provider: str | None, model: str | None, record: Record) -> tuple[str, str]:
        admit = record.fault != "caller"
        return self._provider(provider or names.NONE, admit=admit), self._model(model or record.requested, admit=admit)

    def _common(self, record: Record, vendor: tuple[str, str]) -> tuple[str, str, str]:
        return names.OPERATIONS[record.operation], names.PROVIDERS.get(vendor[0], vendor[0]), vendor[1]

    def _call(self, sink: Sink, record: Record, vendor: tuple[str, str], exemplar: Exemplar) -> None:
        stream = "true" if record.stream else "false"
        sink.add(names.IN_FLIGHT, (stream,), -1)
        sink.add(names.CALLS, (record.operation, *vendor, record.end, record.error or ""))
        sink.observe(names.CALL_DURATION, (record.operation, *vendor, stream), record.duration_s, exemplar)
        if record.tenant:
            sink.add(names.TENANT_CALLS, (self._tenant(record.tenant), record.end))

    def _stages(self, sink: Sink, record: Record) -> None:
        trace = record.trace
        if trace is None:
            return
        totals_ns: dict[int, int] = {}
        for frame, self_ns in trace.self_times().items():
            totals_ns[frame.index] = totals_ns.get(frame.index, 0) + self_ns
        for index, total_ns in totals_ns.items():
            name = "call" if index < 0 else record.stage_names[index]
            sink.observe(names.STAGE_SELF, (self._stage(name),), total_ns / 1e9)
        if trace.consumer_ns:
            sink.observe(names.STAGE_SELF, ("consumer",), trace.consumer_ns / 1e9)

    def _attempts(self, sink: Sink, record: Record) -> None:
        for attempt in record.attempts:
            vendor = self._vendor(attempt.provider, attempt.model, record)
            sink.add(names.ATTEMPTS_SENT, (*vendor, attempt.reason, attempt.error or ""))
            if attempt.end_ns is not None:
                sink.observe(names.ATTEMPT_DURATION, vendor, attempt.duration_s)
            if attempt.usage is not None:
                useful = "true" if attempt.useful else "false"
                for kind, tokens in _tokens(attempt.usage):
                    sink.add(names.TOKENS, (*vendor, kind, useful), tokens)
                for anomaly in attempt.usage.anomalies():
                    sink.add(names.ANOMALIES, (vendor[0], anomaly))

    def _facts(self, sink: Sink, record: Record, vendor: tuple[str, str]) -> None:
        facts = record.facts
        if COST.name in facts:
            self._cost(sink, record, vendor)
        if CACHE.name in facts:
            sink.add(names.CACHE, (facts[CACHE.name].verdict,))
        for verdict in facts.get(GUARDRAILS.name, ()):
            sink.add(names.GUARDRAILS, (self._rule(verdict.rule), verdict.side, verdict.verdict))
        for retried in facts.get(RETRIES.name, ()):
            sink.add(names.RETRIES, (*vendor, retried.error, retried.told_by))
            sink.add(names.RETRY_WAIT, (retried.told_by,), retried.wait_s)
        for moved in facts.get(FALLBACKS.name, ()):
            sink.add(names.FALLBACKS, (self._target(moved.source), self._target(moved.target), moved.error, record.end))
        for translated in facts.get(TRANSLATION.name, ()):
            sink.add(names.TRANSLATIONS, (vendor[0], self._parameter(translated.parameter), translated.action))

    def _cost(self, sink: Sink, record: Record, vendor: tuple[str, str]) -> None:
        cost = record.facts[COST.name]
        if cost.status == "unpriced" or cost.unpriced:
            sink.add(names.UNPRICED, vendor)
        if cost.saved_usd:
            sink.add(names.SAVED, vendor, float(cost.saved_usd))
        if cost.amount_usd is None:
            return
        sink.add(names.COST, (*vendor, "true", cost.status), float(cost.amount_usd - cost.wasted_usd))
        if cost.wasted_usd:
            sink.add(names.COST, (*vendor, "false", cost.status), float(cost.wasted_usd))
        if record.tenant:
            sink.add(names.TENANT_COST, (self._tenant(record.tenant),), float(cost.amount_usd))


def _tokens(usage: Usage) -> list[tuple[str, int]]:
    counts = [("input", usage.prompt_tokens), ("output", usage.completion_tokens)]
    if usage.prompt_tokens_details is not None:
        counts += [("cache_read", usage.cached_tokens), ("cache_write", usage.cache_write_tokens)]
    if usage.completion_tokens_details is not None:
        counts.append(("reasoning", usage.reasoning_tokens))
    return [(kind, tokens) for kind, tokens in counts if tokens > 0]


def _answering(record: Record) -> Attempt | None:
    return next((attempt for attempt in record.attempts if attempt.useful), None)


def _stream(sink: Sink, record: Record, vendor: tuple[str, str], exemplar: Exemplar) -> None:
    attempt = _answering(record)
    if attempt is None or record.trace is None:
        return
    start_ns = record.trace.root.start_ns
    if record.first_chunk_s is not None:
        sink.observe(names.FIRST_CHUNK_S, vendor, record.first_chunk_s, exemplar)
    if attempt.first_content_ns is not None:
        sink.observe(names.FIRST_CONTENT_S, vendor, (attempt.first_content_ns - start_ns) / 1e9, exemplar)
    if attempt.gaps_ns:
        sink.observe_all(names.CHUNK_GAP, vendor, [gap / 1e9 for gap in attempt.gaps_ns])


def _g2(sink: Sink, record: Record, common: tuple[str, str, str], exemplar: Exemplar) -> None:
    sink.observe(names.G2_DURATION, (*common, record.error or ""), record.duration_s, exemplar)
    if record.usage is not None:
        sink.observe(names.G2_TOKENS, (*common, "input"), record.usage.prompt_tokens)
        sink.observe(names.G2_TOKENS, (*common, "output"), record.usage.completion_tokens)
    if record.stream and record.first_chunk_s is not None:
        sink.observe(names.G2_FIRST, common, record.first_chunk_s, exemplar)
        if (attempt := _answering(record)) is not None and attempt.gaps_ns:
            sink.observe_all(names.G2_GAP, common, [gap / 1e9 for gap in attempt.gaps_ns])


def _g3(sink: Sink, record: Record, common: tuple[str, str, str], exemplar: Exemplar) -> None:
    inference = common[0] in names.INFERENCE
    sink.observe(
        names.G3_DURATION if inference else names.G2_DURATION,
        (*common, record.error or ""),
        record.duration_s,
        exemplar,
    )
    if inference and record.attempts:
        _g3_tokens(sink, record, common)
    if inference and record.stream and record.first_chunk_s is not None:
        sink.observe(names.G3_FIRST, common, record.first_chunk_s, exemplar)
        if (attempt := _answering(record)) is not None and attempt.gaps_ns:
            sink.observe_all(names.G3_GAP, common, [gap / 1e9 for gap in attempt.gaps_ns])


def _g3_tokens(sink: Sink, record: Record, common: tuple[str, str, str]) -> None:
    """The convention wants failed calls counted too, with 0 tokens."""
    usage = record.usage or Usage()
    labels = (*common, "text" if record.usage else "unknown")
    sink.add(names.G3_INPUT, labels, max(usage.prompt_tokens, 0))
    sink.add(names.G3_OUTPUT, labels, max(usage.completion_tokens, 0))
    parts = (
        (names.G3_CACHE_READ, usage.cached_tokens),
        (names.G3_CACHE_WRITE, usage.cache_write_tokens),
        (names.G3_REASONING, usage.reasoning_tokens),
    )
    for metric, tokens in parts:
        if tokens > 0:
            sink.add(metric, labels, tokens)
    if record.usage is not None:
        sink.observe(names.G3_INPUT_SIZE, (*common, record.error or ""), usage.prompt_tokens)
        sink.observe(names.G3_OUTPUT_SIZE, (*common, record.error or ""), usage.completion_tokens)
