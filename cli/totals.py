"""The tour added up: money three ways, and each stage's own time."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from ..pipeline.facts import COST

if TYPE_CHECKING:
    from collections.abc import Sequence

    from prometheus_client import CollectorRegistry

    from ..pipeline.record import Record

MICRO = Decimal("0.000001")
"""Prometheus counts in binary floating point: sums are compared to the micro-dollar."""


@dataclass(frozen=True, slots=True)
class StageTime:
    """One stage's own time over all calls; seconds."""

    name: str
    runs: int
    self_s: float


@dataclass(frozen=True, slots=True)
class Totals:
    """What all calls together came to."""

    calls: int
    completed: int
    attempts: int
    prompt_tokens: int
    completion_tokens: int
    records_usd: Decimal
    counter_usd: Decimal
    ledger_usd: Decimal
    wasted_usd: Decimal
    saved_usd: Decimal
    unpriced: int
    stages: tuple[StageTime, ...]

    @property
    def agree(self) -> bool:
        """Whether records, Prometheus counter and ledger give the same sum, to the micro-dollar."""
        return len({amount.quantize(MICRO) for amount in (self.records_usd, self.counter_usd, self.ledger_usd)}) == 1


def totals_of(records: Sequence[Record], registry: CollectorRegistry, ledger_usd: Decimal) -> Totals:
    """Add up. The three sums come from three places and are not derived from each other."""
    bills = [bill for record in records if (bill := record.get(COST)) is not None]
    used = [attempt.usage for record in records for attempt in record.attempts if attempt.usage is not None]
    return Totals(
        calls=len(records),
        completed=sum(record.end == "completed" for record in records),
        attempts=sum(len(record.attempts) for record in records),
        prompt_tokens=sum(usage.prompt_tokens for usage in used),
        completion_tokens=sum(usage.completion_tokens for usage in used),
        records_usd=sum((bill.amount_usd or Decimal(0) for bill in bills), Decimal(0)),
        counter_usd=_counted_usd(registry),
        ledger_usd=ledger_usd,
        wasted_usd=sum((bill.wasted_usd for bill in bills), Decimal(0)),
        saved_usd=sum((bill.saved_usd for bill in bills), Decimal(0)),
        unpriced=sum(bill.amount_usd is None for bill in bills),
        stages=_stage_times(records),
    )


def _counted_usd(registry: CollectorRegistry) -> Decimal:
    """What the counter holds, over all its labels."""
    samples = [sample for family in registry.collect() for sample in family.samples]
    return sum(
        (Decimal(str(sample.value)) for sample in samples if sample.name == "glassway_cost_usd_total"), Decimal(0)
    )


def _stage_times(records: Sequence[Record]) -> tuple[StageTime, ...]:
    """In the order of the pipeline, the vendors last."""
    found: dict[tuple[int, str], StageTime] = {}
    for record in records:
        for run in record.stages:
            before = found.get((run.index, run.name), StageTime(run.name, 0, 0.0))
            found[run.index, run.name] = StageTime(run.name, before.runs + 1, before.self_s + run.self_s)
    return tuple(found[key] for key in sorted(found))
