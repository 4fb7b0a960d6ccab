"""The bill of a call: what its attempts cost, what was wasted, what a cache saved."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from .facts import ATTEMPTS, SIDE_COSTS, Attempt, Cost, CostLine, CostRange, SideCost, given_again
from .pricing import PriceTable, Sought, bill, default_prices, find_price, reported, second, total
from .tokens import estimate_request_tokens, estimate_response_tokens
from .types import ChatRequest, Request, Response, Usage, UsageSource

if TYPE_CHECKING:
    from .call import Call
    from .outcome import Outcome

_new_tuple = tuple.__new__  # half the time of a named tuple's own constructor

NOTHING = Cost(Decimal(0), "exact")
"""Nothing was generated, so nothing is charged."""

_MAYBE_CHARGED = frozenset({"timeout", "cancelled", "stream_interrupted"})
"""We hung up, or were hung up on, while the vendor was at work. Other failures without output are refusals, and free."""

_SOURCES: tuple[UsageSource, ...] = ("provider", "partial", "tokenizer", "missing")


def calculate_cost(
    model: str, usage: Usage | Response, *, prices: PriceTable | None = None, at: datetime | None = None
) -> Cost:
    """The exact cost of `usage`, or of a response's, at the price in force `at` (now, if None). Sends nothing.

    `model` is `vendor/model`, or a bare name for the vendor that makes it. Never raises for what has no price: then
    `amount_usd` is None and `status` is `unpriced`.
    """
    counted = usage.usage if isinstance(usage, Response) else usage
    if counted is None:
        return Cost(None, "unpriced", unpriced=(model,))
    provider, name = _split(model)
    tier = _tier(counted) or (getattr(usage, "service_tier", None) if isinstance(usage, Response) else None)
    return _priced(
        counted, "provider", Sought(provider, (name,), tier), prices or default_prices(), at or datetime.now(UTC)
    )


def estimate_cost(
    request: Request,
    *,
    provider: str | None = None,
    vendor: str | None = None,
    model: str | None = None,
    prices: PriceTable | None = None,
    at: datetime | None = None,
) -> CostRange:
    """What `request` would cost, without sending it: from no output at all to all that it allows.

    The prompt's tokens are estimated. `provider` and `model` default to those of `request.model`; `vendor` is the catalogue's
    name where `provider` is one of your own.
    """
    if model is None:
        provider, model = _split(request.model)
    table, at = prices or default_prices(), at or datetime.now(UTC)
    prompt = estimate_request_tokens(request, model)
    sought = Sought(vendor or provider, (model,), getattr(request, "service_tier", None), provider)
    limit = _output_limit(request)
    if prompt is None:
        return CostRange(None, None, 0, limit, unpriced=(_target(provider, model),))
    least, most = (_priced(_usage(prompt, output), "tokenizer", sought, table, at) for output in (0, limit or 0))
    return CostRange(
        least.amount_usd,
        most.amount_usd if limit is not None else None,
        prompt,
        limit,
        most.price_table,
        most.unpriced,
    )


def cost_of_call(call: Call, outcome: Outcome, table: PriceTable) -> Cost:
    """The bill of a call that has ended: all its attempts, or what a cache saved; and what stages spent for it beside them."""
    facts = call.state.facts
    own = _own_cost(call, outcome, table, facts.get(ATTEMPTS.name, ()))
    beside = facts.get(SIDE_COSTS.name)
    return _with_side_costs(own, beside) if beside else own


def _own_cost(call: Call, outcome: Outcome, table: PriceTable, attempts: Sequence[Attempt]) -> Cost:
    at = second(call.state.clock.wall_ns())
    if len(attempts) == 1 and attempts[0].useful:
        return _attempt_cost(attempts[0], call, outcome, table, at)
    if not attempts:
        return _unsent(call, outcome, table, at)
    answering = _answering(attempts)
    costs = [_attempt_cost(attempt, call, outcome if attempt is answering else None, table, at) for attempt in attempts]
    return _together(attempts, costs)


def _attempt_cost(attempt: Attempt, call: Call, outcome: Outcome | None, table: PriceTable, at: datetime) -> Cost:
    usage: Usage | None = attempt.usage
    source: UsageSource = "provider"
    if usage is None or attempt.usage_source != "provider" or not _any(usage):
        counted = _counted(attempt, call, outcome)
        if counted is None:
            return NOTHING
        usage, source = counted
    tier = attempt.service_tier or (_tier(usage) if usage is not None else None) or _answered_tier(call, outcome)
    names = (attempt.response_model, attempt.model)
    sought = _new_tuple(Sought, (attempt.vendor or attempt.provider, names, tier, attempt.provider))
    return _priced(usage, source, sought, table, at, attempt.number)


def _counted(attempt: Attempt, call: Call, outcome: Outcome | None) -> tuple[Usage | None, UsageSource] | None:
    """What an attempt used whose vendor has not counted all of it, and who says so; None if nothing was generated."""
    usage = attempt.usage if attempt.usage is not None and _any(attempt.usage) else None
    if not (attempt.useful or attempt.chunks or usage is not None or attempt.error in _MAYBE_CHARGED):
        return None
    prompt = usage.prompt_tokens if usage is not None else estimate_request_tokens(call.request, attempt.model)
    if prompt is None:
        return None, "missing"
    output = _output_estimate(attempt, outcome)
    if usage is None:
        return _usage(prompt, output), "tokenizer"
    # Until its end a stream's own count of output is a placeholder: Anthropic's first event says 1 or so.
    completion = max(usage.completion_tokens, output)
    return usage.model_copy(update={"completion_tokens": completion, "total_tokens": prompt + completion}), "partial"


def _output_estimate(attempt: Attempt, outcome: Outcome | None) -> int:
    if attempt.written_tokens is not None:
        return attempt.written_tokens
    response = None
    if outcome is not None:
        response = getattr(outcome.error, "partial", None) or outcome.response
    if response is not None:
        return estimate_response_tokens(response, attempt.model)
    # The text is gone with the attempt; a chunk is at least one token.
    return attempt.chunks


def _priced(
    usage: Usage | None, source: UsageSource, sought: Sought, table: PriceTable, at: datetime, attempt: int = 0
) -> Cost:
    vendor = sought.vendor
    if (
        usage is not None
        and usage.__pydantic_extra__  # where a vendor would say it
        and vendor
        and source == "provider"
        and (amount := reported(usage, vendor)) is not None
    ):
        line = CostLine("reported", amount, attempt=attempt)
        return Cost(amount, "exact", (line,), price_table=vendor, usage_source=source)
    price = find_price(table, sought, at) if usage is not None else None
    if usage is None or price is None:
        return Cost(None, "unpriced", usage_source=source, unpriced=(sought.target,))
    return bill(usage, price, target=sought.target, source=source, attempt=attempt)


def _unsent(call: Call, outcome: Outcome, table: PriceTable, at: datetime) -> Cost:
    """Nothing went to a vendor: a cache or a stage answered, or one refused."""
    response = outcome.response if given_again(call.state.facts) is not None else None
    if response is None or response.usage is None:
        return NOTHING
    names = (getattr(response, "model", None), call.target.model)
    sought = Sought(call.vendor, names, _tier(response.usage), call.target.provider)
    instead = _priced(response.usage, "provider", sought, table, at)
    saved = total(line.amount_usd for line in instead.lines)
    return Cost(
        Decimal(0),
        "exact",
        saved_usd=saved,
        price_table=instead.price_table,
        usage_source="provider",
        unpriced=instead.unpriced,
    )


def _together(attempts: Sequence[Attempt], costs: Sequence[Cost]) -> Cost:
    lines = tuple(line for cost in costs for line in cost.lines)
    known = all(cost.amount_usd is not None for cost in costs)
    estimated = any(cost.status == "estimated" for cost in costs)
    useless = {attempt.number for attempt in attempts if not attempt.useful}
    counted = [cost for cost in costs if cost is not NOTHING]
    return Cost(
        amount_usd=total(line.amount_usd for line in lines) if known else None,
        status=("estimated" if estimated else "exact") if known else "unpriced",
        lines=lines,
        wasted_usd=total(line.amount_usd for line in lines if line.attempt in useless),
        price_table=" + ".join(dict.fromkeys(cost.price_table for cost in counted if cost.price_table)),
        usage_source=max((cost.usage_source for cost in counted), key=_SOURCES.index, default="missing"),
        unpriced=tuple(dict.fromkeys(name for cost in costs for name in cost.unpriced)),
        anomalies=tuple(dict.fromkeys(name for cost in costs for name in cost.anomalies)),
    )


def _with_side_costs(own: Cost, beside: Sequence[SideCost]) -> Cost:
    side_lines = [line._replace(item=side.item, attempt=0) for side in beside for line in side.cost.lines]
    costs = [own, *(side.cost for side in beside)]
    known = all(cost.amount_usd is not None for cost in costs)
    estimated = any(cost.status == "estimated" for cost in costs)
    return own._replace(
        amount_usd=total(cost.amount_usd for cost in costs if cost.amount_usd is not None) if known else None,
        status=("estimated" if estimated else "exact") if known else "unpriced",
        lines=(*own.lines, *side_lines),
        price_table=" + ".join(dict.fromkeys(cost.price_table for cost in costs if cost.price_table)),
        unpriced=tuple(dict.fromkeys(name for cost in costs for name in cost.unpriced)),
    )


def _answering(attempts: Sequence[Attempt]) -> Attempt:
    for attempt in attempts:
        if attempt.useful:
            return attempt
    return attempts[-1]


def _tier(usage: Usage) -> str | None:
    """Anthropic says beside the counts how a request was served.

    Source: https://docs.claude.com/en/api/messages (usage.service_tier, usage.speed)
    """
    extra = usage.__pydantic_extra__
    if not extra:
        return None
    tier = extra.get("speed") if extra.get("speed") not in (None, "standard") else extra.get("service_tier")
    return tier if isinstance(tier, str) else None


def _answered_tier(call: Call, outcome: Outcome | None) -> str | None:
    """The tier that the answer names. A stream is not assembled for it: there the tier that the request asks for holds."""
    asked = getattr(call.request, "service_tier", None)
    if outcome is None or call.request.stream:
        return asked
    return getattr(outcome.response, "service_tier", None) or asked


def _output_limit(request: Request) -> int | None:
    if not isinstance(request, ChatRequest):
        return 0
    return None if request.output_limit is None else request.output_limit * (request.n or 1)


def _usage(prompt: int, completion: int) -> Usage:
    return Usage(prompt_tokens=prompt, completion_tokens=completion, total_tokens=prompt + completion)


def _any(usage: Usage) -> bool:
    counts = usage.__dict__  # pydantic's attributes cost several times as much
    return bool(counts["prompt_tokens"] or counts["completion_tokens"] or counts["total_tokens"])


def _split(model: str) -> tuple[str | None, str]:
    head, slash, tail = model.partition("/")
    return (head, tail) if slash else (None, model)


def _target(provider: str | None, model: str) -> str:
    return f"{provider}/{model}" if provider else model
