"""Metrics of a call, made of its record when it has ended. Stages know nothing of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from ..facts import ATTEMPTS, SEMANTIC_CHECK, SHADOW, Attempt
from ..record import Record
from ..types.usage import agree
from . import names
from .book import Book
from .convention import Counter, Exemplar, answering, convention_of, observe
from .factmetrics import FactMetrics, Vendor
from .instruments import Adds, Families, Observes, Sink
from .schema import Generation


class CallMetrics:
    """Turns records into measurements. Label values are bounded here and nowhere else.

    A model's or vendor's name takes a place in its bound only on calls that are not the caller's own mistake: nobody
    fills the bound with made-up names.
    """

    def __init__(self, sink: Sink, families: Families, generation: Generation) -> None:
        self._book = Book(sink)
        self._convention = convention_of(generation)
        self._finished = 0
        self._in_flight: dict[bool, Adds] = {}
        self._stages_of: dict[Sequence[str], list[Callable[[float], object]]] = {}
        self._alike: dict[tuple[object, ...], _Alike] = {}
        self._attempts_alike: dict[tuple[object, ...], _AttemptsAlike] = {}
        self._model = families.bound(names.L_MODEL)
        self._provider = families.bound(names.L_PROVIDER)
        self._stage = families.bound(names.L_STAGE)
        self._shadow = families.bound(names.L_SHADOW)
        self._tenant = families.bound(names.L_TENANT)
        self._facts = FactMetrics(self._book, families, self._vendor)

    def begin(self, *, stream: bool) -> None:
        """A call is in flight."""
        with self._book.lock:
            (self._in_flight.get(stream) or self._bound_in_flight(stream)).add(1)

    def _bound_in_flight(self, stream: bool) -> Adds:
        bound = self._in_flight[stream] = self._book.number(names.IN_FLIGHT, ("true" if stream else "false",))
        return bound

    def finish(self, record: Record, exemplar: Exemplar) -> None:
        """A call has ended. `exemplar` holds the ids of its trace if that is kept."""
        with self._book.lock:
            alike = self._alike_of(record)
            alike.in_flight.add(-1)
            alike.calls.add(1)
            observe(alike.duration, record.duration_s, exemplar)
            if record.tenant:
                self._book.add(names.TENANT_CALLS, (self._tenant(record.tenant), record.end))
            self._stage_times(record)
            for attempt in record.facts.get(ATTEMPTS.name, ()):
                self._attempt(record, attempt)
            if record.stream:
                self._stream(record, alike.vendor, exemplar)
            self._facts.count(record, alike.vendor)
            alike.convention.count(record, exemplar)
            self._finished += 1
            if not self._finished % _FOLD_EVERY:
                self._book.fold()

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

    def _alike_of(self, record: Record) -> _Alike:
        model = record.model or record.requested
        key = (record.provider, model, record.vendor, record.operation, record.stream, record.end, record.error)
        if record.fault == "caller":
            return self._bound(record)  # names that are no names yet may become some: that is not remembered
        found = self._alike.get(key)
        if found is None:
            found = _remember(self._alike, key, self._bound(record))
        return found

    def _bound(self, record: Record) -> _Alike:
        book, vendor = self._book, self._vendor(record.provider, record.model, record)
        stream, error = "true" if record.stream else "false", record.error or ""
        known = self._provider(record.vendor or names.NONE, admit=record.fault != "caller")
        common = names.OPERATIONS[record.operation], names.PROVIDERS.get(known, known), vendor[1]
        return _Alike(
            vendor,
            book.number(names.IN_FLIGHT, (stream,)),
            book.number(names.CALLS, (record.operation, *vendor, record.end, error)),
            book.distribution(names.CALL_DURATION, (record.operation, *vendor, stream)),
            self._convention(book, common, error),
        )

    def _stage_times(self, record: Record) -> None:
        trace = record.trace
        if trace is None:
            return
        stages = self._stages(record.stage_names)
        nested_ns = trace.nested_ns()
        if nested_ns is not None:
            for observe_s, self_ns in zip(stages, nested_ns):  # noqa: B905 - the innermost may not have run
                observe_s(self_ns / 1e9)
        else:
            ran: dict[int, int] = {}  # some more than once
            for frame, self_ns in trace.self_times().items():
                ran[frame.index] = ran.get(frame.index, 0) + self_ns
            for index, self_ns in ran.items():
                stages[index + 1](self_ns / 1e9)
        if trace.consumer_ns:
            self._book.observe(names.STAGE_SELF, ("consumer",), trace.consumer_ns / 1e9)

    def _stages(self, stage_names: Sequence[str]) -> list[Callable[[float], object]]:
        """What takes the call's own seconds, then each stage's."""
        found = self._stages_of.get(stage_names)
        if found is None:
            labels = [(self._stage(name),) for name in ("call", *stage_names)]
            found = [self._book.distribution(names.STAGE_SELF, label).observe for label in labels]
            if len(self._stages_of) < _MOST_PIPELINES:
                self._stages_of[stage_names] = found
        return found

    def _attempt(self, record: Record, attempt: Attempt) -> None:
        key = (attempt.provider, attempt.model, attempt.reason, attempt.error, attempt.useful)
        alike = None if record.fault == "caller" else self._attempts_alike.get(key)
        if alike is None:
            alike = self._bound_attempt(record, attempt)
            if record.fault != "caller":
                _remember(self._attempts_alike, key, alike)
        alike.sent.add(1)
        if attempt.end_ns is not None:
            alike.duration.observe((attempt.end_ns - attempt.start_ns) / 1e9)
        usage = attempt.usage
        if usage is None:
            return
        tokens = alike.tokens
        prompt, completion, _, cached, written, reasoning = parts = usage.parts()
        counts = (
            (prompt, completion, cached, written, reasoning) if cached or written or reasoning else (prompt, completion)
        )
        for kind, count in zip(_KINDS, counts):  # noqa: B905 - parts are seldom
            if count > 0:
                (tokens.get(kind) or self._bound_tokens(alike, kind, attempt)).add(count)
        if not agree(*parts):
            for anomaly in usage.anomalies():
                self._book.add(names.ANOMALIES, (alike.vendor[0], anomaly))

    def _bound_tokens(self, alike: _AttemptsAlike, kind: str, attempt: Attempt) -> Adds:
        labels = (*alike.vendor, kind, "true" if attempt.useful else "false")
        bound = alike.tokens[kind] = self._book.number(names.TOKENS, labels)
        return bound

    def _bound_attempt(self, record: Record, attempt: Attempt) -> _AttemptsAlike:
        book, vendor = self._book, self._vendor(attempt.provider, attempt.model, record)
        sent = book.number(names.ATTEMPTS_SENT, (*vendor, attempt.reason, attempt.error or ""))
        return _AttemptsAlike(vendor, sent, book.distribution(names.ATTEMPT_DURATION, vendor), {})

    def _stream(self, record: Record, vendor: Vendor, exemplar: Exemplar) -> None:
        book, attempt = self._book, answering(record)
        if attempt is None or record.trace is None:
            return
        if record.first_chunk_s is not None:
            observe(book.distribution(names.FIRST_CHUNK_S, vendor), record.first_chunk_s, exemplar)
        if attempt.first_content_ns is not None:
            waited_ns = attempt.first_content_ns - record.trace.root.start_ns
            observe(book.distribution(names.FIRST_CONTENT_S, vendor), waited_ns / 1e9, exemplar)
        if attempt.gaps_ns:
            gaps = book.distribution(names.CHUNK_GAP, vendor)
            for gap_ns in attempt.gaps_ns:
                gaps.observe(gap_ns / 1e9)


@dataclass(slots=True)
class _Alike:
    """What calls are counted by that ended alike: looked up once."""

    vendor: Vendor
    in_flight: Adds
    calls: Adds
    duration: Observes
    convention: Counter


@dataclass(slots=True)
class _AttemptsAlike:
    """The same of attempts; `tokens` by their kind."""

    vendor: Vendor
    sent: Adds
    duration: Observes
    tokens: dict[str, Adds]


_FOLD_EVERY = 256
"""Calls after which what waits in lists is taken into the numbers, if no scrape did it before."""
_MOST_ALIKE = 1000
"""Kinds of calls that are looked up once; where there are more, they are looked up again."""

_Bound = TypeVar("_Bound", _Alike, _AttemptsAlike)


def _remember(known: dict[tuple[object, ...], _Bound], key: tuple[object, ...], bound: _Bound) -> _Bound:
    if len(known) >= _MOST_ALIKE:
        known.clear()
    known[key] = bound
    return bound


_MOST_PIPELINES = 1000
"""Pipelines whose stages are looked up once; programs that make more of them look up each time."""


_KINDS = ("input", "output", "cache_read", "cache_write", "reasoning")
