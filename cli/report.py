"""A record in words: attempts, the bill with its provenance, and the facts. Lines for a terminal, no longer than it is wide."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from ..pipeline.facts import CACHE, COST, GUARDRAILS, SEMANTIC, TRANSLATION
from .timeline import milliseconds

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..pipeline.facts import Attempt, CostLine, GuardrailVerdict
    from ..pipeline.record import Record

Line = tuple[str, str]
"""What it is about, and what it says."""

MOST_LINES = 12
"""A bill or a list of attempts that is longer is cut, and says so."""


def lines_of(record: Record) -> list[Line]:
    """What a person wants to know of a call, in the order of asking; what did not happen is left out."""
    return [
        ("ended", _end(record)),
        *_shortened("attempts", [_attempt(attempt) for attempt in record.attempts]),
        *_bill(record),
        *_facts(record),
        ("ids", _ids(record)),
    ]


def dollars(amount: Decimal | None, *, places: int | None = None) -> str:
    """An exact amount, all digits of it; rounded to `places` if given; `unknown` for None, for an unknown price is not 0."""
    if amount is None:
        return "unknown"
    if places is not None:
        return f"${amount:.{places}f}"
    text = f"{amount.normalize():f}" if amount else "0"
    return f"${text}"


def _end(record: Record) -> str:
    said = record.end if not record.error else f"{record.end}: {record.error} ({record.fault or 'unknown'}'s move)"
    where = f", {record.provider}/{record.model}" if record.provider else ", no vendor was asked"
    stream = f", first chunk after {milliseconds(record.first_chunk_s)}" if record.first_chunk_s is not None else ""
    return f"{said} in {milliseconds(record.duration_s)}{where}{stream}"


def _attempt(attempt: Attempt) -> str:
    said = " ".join(str(part) for part in (attempt.status_code, attempt.error) if part)
    chunks = f", {attempt.chunks} chunks" if attempt.chunks else ""
    return (
        f"#{attempt.number} {attempt.reason}: {attempt.provider}/{attempt.model} {said or 'answered'}"
        f" in {milliseconds(attempt.duration_s)}{chunks}"
    )


def _bill(record: Record) -> Iterator[Line]:
    cost = record.cost
    if cost is None:
        return
    parts = [f"{dollars(cost.amount_usd)} {cost.status}"]
    if cost.wasted_usd:
        parts.append(f"{dollars(cost.wasted_usd)} of it wasted")
    if cost.saved_usd:
        parts.append(f"{dollars(cost.saved_usd)} saved")
    if cost.unpriced:
        parts.append(f"no price for {', '.join(cost.unpriced)}")
    if cost.lines:
        parts.append(f"prices: {cost.price_table or 'none'}, tokens counted by: {cost.usage_source}")
    yield "cost", ", ".join(parts)
    yield from _shortened("", [_cost_line(line) for line in cost.lines])


def _cost_line(line: CostLine) -> str:
    measured = f"{line.tokens} tokens" if line.tokens else f"{line.units} units"
    rate = f" at {dollars(line.usd_per_million)}/M" if line.usd_per_million is not None else ""
    attempt = f", attempt #{line.attempt}" if line.attempt else ""
    return f"  {line.item}: {measured}{rate} = {dollars(line.amount_usd)}{attempt}"


def _facts(record: Record) -> Iterator[Line]:
    cache = record.get(CACHE)
    if cache is not None:
        yield "cache", " ".join(filter(None, (cache.verdict, f"({cache.reason})" if cache.reason else "")))
    similar = record.get(SEMANTIC)
    if similar is not None:
        cosine = f"similarity {similar.similarity:.3f}" if similar.similarity is not None else ""
        yield (
            "similar",
            " ".join(filter(None, (similar.verdict, cosine, f"({similar.reason})" if similar.reason else ""))),
        )
    verdicts = record.get(GUARDRAILS)
    if verdicts:
        yield "guardrails", _verdicts(verdicts)
    translated = [item for item in record.get(TRANSLATION) if item.action != "kept"]
    if translated:
        yield "translated", ", ".join(f"{item.parameter} {item.action}" for item in translated)


def _verdicts(verdicts: Sequence[GuardrailVerdict]) -> str:
    """What rules found, each by name; those that found nothing are counted."""
    said = []
    for verdict in verdicts:
        if verdict.verdict != "passed":
            count = f" {verdict.count}" if verdict.count else ""
            said.append(f"{verdict.rule} {verdict.verdict.replace('_', ' ')}{count} ({verdict.side})")
    passed = sum(verdict.verdict == "passed" for verdict in verdicts)
    return ", ".join([*said, f"{passed} passed"] if passed else said)


def _ids(record: Record) -> str:
    known = (("call", record.call_id), ("request", record.request_id), ("trace", record.trace_id))
    return ", ".join(f"{name} {value}" for name, value in known if value)


def _shortened(name: str, texts: Sequence[str]) -> Iterator[Line]:
    shown = list(texts[:MOST_LINES])
    if len(texts) > MOST_LINES:
        shown.append(f"... and {len(texts) - MOST_LINES} more")
    for number, text in enumerate(shown):
        yield ("" if number else name), text


def bill_of(record: Record) -> Decimal:
    """What the call cost as far as it is known; unknown counts as nothing here, and `unpriced` says so beside it."""
    cost = record.get(COST)
    return cost.amount_usd or Decimal(0) if cost else Decimal(0)
