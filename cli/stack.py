"""The stack of the demonstration: every stage of the tour, in front of two vendors that the embedded one plays."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING

from ..pipeline.pipeline import Pipeline
from ..pipeline.telemetry import Telemetry
from .report import bill_of
from .scenarios import BACKUP, BACKUP_MODEL, MAIN

if TYPE_CHECKING:
    from ..middlewares import CallEvent


@dataclass(slots=True)
class Bills:
    """What callbacks were told: a bill per call, as an application of its own would keep it."""

    entries: dict[str, Decimal] = field(default_factory=dict)

    def write(self, event: CallEvent) -> None:
        """Take a bill down. A call that is told twice stands there twice, and the totals no longer agree."""
        assert event.record is not None  # noqa: S101 - success and failure come with one
        name = event.call_id
        while name in self.entries:
            name += "'"
        self.entries[name] = bill_of(event.record)

    @property
    def total_usd(self) -> Decimal:
        """The sum of all bills."""
        return sum(self.entries.values(), Decimal(0))


def demo_pipeline(
    openai_base_url: str,
    anthropic_base_url: str,
    *,
    telemetry: Telemetry,
    ledger: Bills,
    seed: int = 0,
    waits: bool = True,
) -> Pipeline:
    """The whole stack over HTTP. `waits` false makes pauses between tries very short; `seed` fixes their jitter."""
    from ..middlewares import Cache, Callbacks, Cost, Fallback, Guardrails, Retry, Timeout, Tracing
    from ..providers import Simulated

    return Pipeline(
        [
            Tracing(),
            Callbacks(on_success=[ledger.write], on_failure=[ledger.write]),
            Cost(),
            Guardrails(["secrets", {"deny_list": {"words": ["ignore all previous instructions"]}}]),
            Cache(ttl_s=600),
            Fallback([BACKUP_MODEL]),
            Retry(attempts=2, initial_s=0.3 if waits else 0.01, random=random.Random(seed).random),  # noqa: S311 - jitter
            Timeout(first_chunk_s=10),
        ],
        providers=[
            Simulated(name=MAIN, base_url=openai_base_url, transport=None),
            Simulated(name=BACKUP, dialect="anthropic", base_url=anthropic_base_url, transport=None),
        ],
        telemetry=telemetry,
    )
