"""How often a hit is wrong: a share of hits is asked for real, and the two answers are compared."""

from __future__ import annotations

import inspect
import logging
import math
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, Literal, NamedTuple

from ...pipeline.beside import BesideTasks, begin_beside, end_beside
from ...pipeline.billing import cost_of_call
from ...pipeline.call import Call
from ...pipeline.facts import COST, SEMANTIC_CHECK, SemanticChecked
from ...pipeline.outcome import Outcome, completed, outcome_of
from ...pipeline.pricing import PriceTable
from ...pipeline.stream import Handler, Stream
from ...pipeline.types import Response
from .embedding import Embedder
from .index import Found

logger = logging.getLogger("glassway")

Same = Callable[[Response, Response], bool | Awaitable[bool]]
"""`(the kept answer, the real one)` -> whether they say the same; plain or async."""

_Z = 1.959964
"""Of 95 %."""


class FalseHits(NamedTuple):
    """The share of hits whose answer was not what the vendor would have said, with its 95 % interval."""

    checked: int
    different: int
    rate: float | None
    """None before the first check."""
    low: float
    high: float

    @classmethod
    def of(cls, different: int, checked: int) -> FalseHits:
        """By Wilson's interval, which is honest for few checks and for rates near 0.

        Source: https://www.itl.nist.gov/div898/handbook/prc/section2/prc241.htm
        """
        if not checked:
            return cls(0, 0, None, 0.0, 1.0)
        rate, square = different / checked, _Z * _Z
        middle = (rate + square / (2 * checked)) / (1 + square / checked)
        reach = _Z * math.sqrt(rate * (1 - rate) / checked + square / (4 * checked**2)) / (1 + square / checked)
        return cls(checked, different, rate, min(rate, max(0.0, middle - reach)), max(rate, min(1.0, middle + reach)))


class Checks:
    """Checks under way, and what they came to, in this process."""

    def __init__(
        self,
        share: float,
        same: Same | None,
        same_from: float,
        embedder: Embedder,
        prices: PriceTable,
        timeout_s: float,
    ) -> None:
        self.tasks = BesideTasks("SemanticCache", _AT_ONCE)
        self.results: Counter[str] = Counter()
        self.dropped = 0
        self._share = share
        self._same = same
        self._same_from = same_from
        self._embedder = embedder
        self._prices = prices
        self._timeout_s = timeout_s

    @property
    def false_hits(self) -> FalseHits:
        """Of the checks that came to something."""
        return FalseHits.of(self.results["different"], self.results["same"] + self.results["different"])

    def wants(self, call: Call) -> bool:
        """Whether this hit is in the sample, and there is room for another check."""
        if int(call.id, 16) >= self._share * 2.0**64:
            return False
        self.dropped += self.tasks.full
        return not self.tasks.full

    async def run(self, call: Call, call_next: Handler, kept: Response, hit: Found) -> None:
        """Ask for real, beside the call, and compare. Raises nothing but cancellation."""
        request = call.request.but(stream=False) if call.request.stream else call.request
        beside = begin_beside(
            call, "SemanticCache", request, call.options, timeout_s=self._timeout_s, attempts=2
        ).with_target(call.target)
        result: Literal["same", "different", "failed"] = "failed"
        answers: float | None = None
        outcome = Outcome("cancelled")
        try:
            async with beside.clock.limit(self._timeout_s):
                reply = await call_next(beside)
                real = await reply.response() if isinstance(reply, Stream) else reply
                outcome = completed(real)
                same, answers = await self._compared(beside, call_next, kept, real)
                result = "same" if same else "different"
        except Exception as error:  # noqa: BLE001 - the check's own trouble, counted
            logger.info("A hit of the semantic cache could not be checked (%s).", type(error).__name__)
            outcome = outcome if outcome.ok else Outcome(outcome_of(error), error=error)
        finally:
            self.results[result] += 1
            beside.set(COST, cost_of_call(beside, outcome, self._prices))
            beside.set(SEMANTIC_CHECK, SemanticChecked(result, call.id, hit.known.id, hit.similarity, answers))
            end_beside(beside, outcome)

    async def _compared(
        self, beside: Call, call_next: Handler, kept: Response, real: Response
    ) -> tuple[bool, float | None]:
        if self._same is not None:
            said: Any = self._same(kept, real)
            return bool(await said if inspect.isawaitable(said) else said), None
        if kept.text == real.text:
            return True, 1.0
        texts = [kept.text or " ", real.text or " "]
        one, other = await self._embedder.vectors(beside, call_next, texts, billed=True)
        cosine = float(one @ other)
        return cosine >= self._same_from, cosine


_AT_ONCE = 4
"""Checks at once, at most."""
