"""The GenAI conventions' own metrics, in both generations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from ..facts import Attempt
from ..record import Record
from ..types import Usage
from . import names
from .book import Book
from .instruments import Observes
from .schema import Generation, Metric

Common = tuple[str, str, str]
"""Operation, provider and model, bounded and in the convention's words."""

Exemplar = Mapping[str, str] | None


class Counter(Protocol):
    """Counts calls that ended alike."""

    def count(self, record: Record, exemplar: Exemplar) -> None:
        """One more of them. The book is locked by whoever calls."""
        ...


def convention_of(generation: Generation) -> Callable[[Book, Common, str], Counter]:
    """What counts calls with these labels and that kind of error (empty: none) the way this generation wants it."""
    return _G2 if generation == "g2" else _G3


def answering(record: Record) -> Attempt | None:
    """The attempt that the caller's answer came from."""
    return next((attempt for attempt in record.attempts if attempt.useful), None)


def observe(bound: Observes, value: float, exemplar: Exemplar) -> None:
    """One value, of a trace if one is kept."""
    if exemplar is None:
        bound.observe(value)
    else:
        bound.observe_in(value, exemplar)


class _G2:
    __slots__ = ("_book", "_common", "_duration", "_tokens")

    def __init__(self, book: Book, common: Common, error: str) -> None:
        self._book = book
        self._common = common
        self._duration = book.distribution(names.G2_DURATION, (*common, error))
        self._tokens: tuple[Observes, Observes] | None = None

    def count(self, record: Record, exemplar: Exemplar) -> None:
        observe(self._duration, record.duration_s, exemplar)
        usage = record.usage
        if usage is not None:
            read, written = self._tokens or self._bind_tokens()
            counts = usage.__dict__  # pydantic's attributes cost several times as much
            read.observe(counts["prompt_tokens"])
            written.observe(counts["completion_tokens"])
        if record.stream:
            _chunks(self._book, record, self._common, names.G2_FIRST, names.G2_GAP)

    def _bind_tokens(self) -> tuple[Observes, Observes]:
        """Only where tokens are counted: a scrape shows no empty families of them."""
        book, common = self._book, self._common
        self._tokens = (
            book.distribution(names.G2_TOKENS, (*common, "input")),
            book.distribution(names.G2_TOKENS, (*common, "output")),
        )
        return self._tokens


class _G3:
    __slots__ = ("_book", "_common", "_duration", "_error", "_inference")

    def __init__(self, book: Book, common: Common, error: str) -> None:
        self._book = book
        self._common = common
        self._error = error
        self._inference = common[0] in names.INFERENCE
        duration = names.G3_DURATION if self._inference else names.G2_DURATION
        self._duration = book.distribution(duration, (*common, error))

    def count(self, record: Record, exemplar: Exemplar) -> None:
        observe(self._duration, record.duration_s, exemplar)
        if self._inference and record.attempts:
            self._count_tokens(record)
        if self._inference and record.stream:
            _chunks(self._book, record, self._common, names.G3_FIRST, names.G3_GAP)

    def _count_tokens(self, record: Record) -> None:
        """The convention wants failed calls counted too, with 0 tokens."""
        book, usage = self._book, record.usage or Usage()
        labels = (*self._common, "text" if record.usage else "unknown")
        book.add(names.G3_INPUT, labels, max(usage.prompt_tokens, 0))
        book.add(names.G3_OUTPUT, labels, max(usage.completion_tokens, 0))
        parts = (
            (names.G3_CACHE_READ, usage.cached_tokens),
            (names.G3_CACHE_WRITE, usage.cache_write_tokens),
            (names.G3_REASONING, usage.reasoning_tokens),
        )
        for metric, tokens in parts:
            if tokens > 0:
                book.add(metric, labels, tokens)
        if record.usage is not None:
            book.observe(names.G3_INPUT_SIZE, (*self._common, self._error), usage.prompt_tokens)
            book.observe(names.G3_OUTPUT_SIZE, (*self._common, self._error), usage.completion_tokens)


def _chunks(book: Book, record: Record, common: Common, first: Metric, gap: Metric) -> None:
    if record.first_chunk_s is None:
        return
    book.observe(first, common, record.first_chunk_s)
    attempt = answering(record)
    if attempt is not None and attempt.gaps_ns:
        bound = book.distribution(gap, common)
        for gap_ns in attempt.gaps_ns:
            bound.observe(gap_ns / 1e9)
