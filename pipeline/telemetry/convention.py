"""The GenAI conventions' own metrics, in both generations."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..facts import Attempt
from ..record import Record
from ..types import Usage
from . import names
from .book import Book
from .schema import Generation, Metric

Common = tuple[str, str, str]
"""Operation, provider and model, bounded and in the convention's words."""

Exemplar = Mapping[str, str] | None
Count = Callable[[Book, Record, Common, Exemplar], None]


def convention_of(generation: Generation) -> Count:
    """What counts a call the way this generation wants it."""
    return _g2 if generation == "g2" else _g3


def answering(record: Record) -> Attempt | None:
    """The attempt that the caller's answer came from."""
    return next((attempt for attempt in record.attempts if attempt.useful), None)


def _g2(book: Book, record: Record, common: Common, exemplar: Exemplar) -> None:
    book.observe(names.G2_DURATION, (*common, record.error or ""), record.duration_s, exemplar)
    if record.usage is not None:
        book.observe(names.G2_TOKENS, (*common, "input"), record.usage.prompt_tokens)
        book.observe(names.G2_TOKENS, (*common, "output"), record.usage.completion_tokens)
    if record.stream:
        _chunks(book, record, common, names.G2_FIRST, names.G2_GAP)


def _g3(book: Book, record: Record, common: Common, exemplar: Exemplar) -> None:
    inference = common[0] in names.INFERENCE
    duration = names.G3_DURATION if inference else names.G2_DURATION
    book.observe(duration, (*common, record.error or ""), record.duration_s, exemplar)
    if inference and record.attempts:
        _g3_tokens(book, record, common)
    if inference and record.stream:
        _chunks(book, record, common, names.G3_FIRST, names.G3_GAP)


def _chunks(book: Book, record: Record, common: Common, first: Metric, gap: Metric) -> None:
    if record.first_chunk_s is None:
        return
    book.observe(first, common, record.first_chunk_s)
    attempt = answering(record)
    if attempt is not None and attempt.gaps_ns:
        book.observe_all(gap, common, [gap_ns / 1e9 for gap_ns in attempt.gaps_ns])


def _g3_tokens(book: Book, record: Record, common: Common) -> None:
    """The convention wants failed calls counted too, with 0 tokens."""
    usage = record.usage or Usage()
    labels = (*common, "text" if record.usage else "unknown")
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
        book.observe(names.G3_INPUT_SIZE, (*common, record.error or ""), usage.prompt_tokens)
        book.observe(names.G3_OUTPUT_SIZE, (*common, record.error or ""), usage.completion_tokens)
