"""One shadow: a call of its own, through what is tried, compared with the call that it runs beside."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from typing import NamedTuple

from ...pipeline.beside import end_beside
from ...pipeline.billing import cost_of_call
from ...pipeline.call import Call
from ...pipeline.errors import PolicyError, error_kind
from ...pipeline.facts import COST, SHADOW, Shadowed, ShadowVerdict
from ...pipeline.outcome import Outcome, completed, outcome_of
from ...pipeline.pricing import PriceTable
from ...pipeline.record import Record
from ...pipeline.stream import Handler, Middleware, Reply, Stream
from ...pipeline.types import Request, Response
from .compare import Compare, compared
from .desk import Desk, ShadowReport
from .real import Real

logger = logging.getLogger("glassway")


class Tried(NamedTuple):
    """What is tried."""

    name: str
    stages: Sequence[Middleware]
    target: str | None
    """None: the stages are given the call's own answer, and nothing is sent."""
    compare: Compare | None
    prices: PriceTable
    timeout_s: float


class _NoAnswer(Exception):  # noqa: N818 - no failure of anybody
    """The call did not complete: there is nothing to give the stages."""


@dataclass(slots=True)
class Run:
    """A shadow under way. `run` raises nothing but cancellation."""

    tried: Tried
    desk: Desk
    real: Real
    asked: Call
    """The call as it came to the stage."""
    beside: Call
    call_next: Handler
    reached: Call | None = None
    """The view that came through the stages."""
    reply_s: float | None = None
    cost_usd: Decimal | None = None
    """What it cost, when it has ended; None: unknown."""
    response: Response | None = field(default=None, repr=False)

    async def run(self) -> None:
        """Ask, wait for the call, compare, tell."""
        error: BaseException | None = None
        try:
            async with self.beside.clock.limit(self.tried.timeout_s):
                self.response = await self._ask()
        except asyncio.CancelledError as cancelled:
            self._end(cancelled, "failed", ())
            raise
        except Exception as failure:  # noqa: BLE001 - whatever it is, it is the shadow's and is told
            error = failure
        try:
            if self.tried.target is not None:
                await self.desk.load(self.tried.prices)
            async with self.beside.clock.limit(self.tried.timeout_s):
                verdict, found = await self._judge(error)
        except asyncio.CancelledError as cancelled:
            self._end(cancelled, "failed", ())
            raise
        except Exception as failure:  # noqa: BLE001 - the call takes too long, or a comparison that is not ours
            if not isinstance(failure, TimeoutError):
                logger.warning("The comparison of shadow %s raised (%s).", self.tried.name, type(failure).__name__)
            verdict, found = "not_compared", ()
        self._end(error, verdict, found)

    async def _ask(self) -> Response:
        begun_ns = self.beside.clock.now_ns()
        handler: Handler = self._answer if self.tried.target is None else self._send
        for stage in reversed(self.tried.stages):
            handler = partial(_through, stage, handler)
        reply = await handler(self.beside)
        self.reply_s = (self.beside.clock.now_ns() - begun_ns) / 1e9
        if not isinstance(reply, Stream):
            return reply
        try:
            return await reply.response()
        finally:
            await reply.aclose()

    async def _send(self, call: Call) -> Reply:
        self.reached = call
        return await self.call_next(call)

    async def _answer(self, call: Call) -> Reply:
        """What the call itself was answered: stages are judged by what they make of it, and nothing is sent."""
        self.reached = call
        answer = await self.real.answer()
        if answer is None:
            raise _NoAnswer
        return answer

    async def _judge(self, error: BaseException | None) -> tuple[ShadowVerdict, tuple[str, ...]]:
        if isinstance(error, PolicyError) and self.tried.stages:
            await self.real.answer()
            return "would_refuse", ()
        answer = await self.real.answer()
        if isinstance(error, _NoAnswer):
            return "not_compared", ()
        if error is not None or self.response is None:
            return "failed", ()
        if answer is None:
            return "not_compared", ()
        found = (*self._changes(), *await compared(self.tried.compare, answer, self.response))
        if self.reached is None:
            return "would_answer", found
        return ("differed" if found else "agreed"), found

    def _changes(self) -> tuple[str, ...]:
        """What stages alone made of the request."""
        if self.reached is None or self.tried.target is not None:
            return ()
        changed = {
            "request": self.reached.request != self.beside.request,
            "target": self.reached.target != self.beside.target,
        }
        return tuple(name for name, differs in changed.items() if differs)

    def _end(self, error: BaseException | None, verdict: ShadowVerdict, found: tuple[str, ...]) -> None:
        beside = self.beside
        outcome = completed(self.response) if error is None else Outcome(outcome_of(error), error=error)
        cost = cost_of_call(beside, outcome, self.tried.prices)
        beside.set(COST, cost)
        self.cost_usd = cost.amount_usd
        result = self._result(error, verdict, found, cost.amount_usd)
        beside.set(SHADOW, result)
        record = end_beside(beside, outcome)
        call_response = self.real.outcome.response if self.real.outcome is not None and self.real.outcome.ok else None
        report = ShadowReport(result, self.asked.request, call_response, outcome.response, record)
        self.desk.ended(report, asyncio.get_running_loop())

    def _result(
        self, error: BaseException | None, verdict: ShadowVerdict, found: tuple[str, ...], cost_usd: Decimal | None
    ) -> Shadowed:
        real, view = self.real, self.reached or self.beside
        usage = self.response.usage if self.response is not None and self.tried.target is not None else None
        return Shadowed(
            self.tried.name,
            verdict,
            self.asked.id,
            _trace_id(self.asked),
            str(view.target),
            found,
            reply_s=self.reply_s if self.tried.target is not None else None,
            call_reply_s=real.reply_s,
            prompt_tokens=usage.prompt_tokens if usage else None,
            completion_tokens=usage.completion_tokens if usage else None,
            call_completion_tokens=_output_of(real.record),
            cost_usd=cost_usd,
            call_cost_usd=real.record.cost_usd if real.record is not None else None,
            error=error_kind(error) if error is not None and not isinstance(error, _NoAnswer) else None,
        )


async def _through(stage: Middleware, inner: Handler, call: Call) -> Reply:
    return await stage(call, inner)


def shadow_request(request: Request, target: str | None) -> Request:
    """What the shadow asks: of its own target; stages alone see whole answers, for nobody reads theirs as it comes."""
    if target is not None:
        return request.but(model=target)
    return request.but(stream=False) if request.stream else request


def _trace_id(call: Call) -> str | None:
    trace = call.state.trace
    return f"{trace.trace_id:032x}" if trace is not None and trace.trace_id else None


def _output_of(record: Record | None) -> int | None:
    return record.usage.completion_tokens if record is not None and record.usage is not None else None
