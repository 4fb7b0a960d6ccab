"""The bill of whole calls: what was sent is paid for, once, and waste and savings are named."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext
from typing import Any, ClassVar

import pytest

from glassway.middlewares import Guardrails
from glassway.middlewares.cost import Cost
from glassway.middlewares.guardrails import Regex
from glassway.pipeline.call import Call, CallOptions, Target
from glassway.pipeline.errors import (
    APIConnectionError,
    APIError,
    APITimeoutError,
    ConfigError,
    GuardrailViolation,
    InternalServerError,
    PlanError,
    RateLimitError,
    UnpricedModel,
)
from glassway.pipeline.facts import ATTEMPTS, CACHE, COST_RANGE, CacheVerdict, CostRange
from glassway.pipeline.facts import Cost as Bill
from glassway.pipeline.pipeline import Pipeline
from glassway.pipeline.plan import Rule
from glassway.pipeline.record import Record
from glassway.pipeline.stream import Handler, Reply, Stream
from glassway.pipeline.types import ChatRequest, ChatResponse, Choice, Message, Usage
from glassway.testing import FakeClock, FakeProvider, Scripted

pytestmark = pytest.mark.anyio

PRICES = {
    "fake/gpt": {"input": 2, "output": 10, "cached": 1},
    "other/gpt": {"input": 1, "output": 5},
}
USAGE = Usage(prompt_tokens=1000, completion_tokens=100, total_tokens=1100)
FREE = Decimal(0)
ONE = Decimal("0.003")
"""1000 tokens at 2 and 100 at 10 dollars a million."""


def ask(model: str = "fake/gpt", **fields: Any) -> ChatRequest:
    return ChatRequest(model=model, messages=(Message(role="user", content="Hello " * 100),), **fields)


async def try_again(call: Call, call_next: Handler) -> Reply:
    try:
        return await call_next(call)
    except APIError:
        return await call_next(call.because("retry"))


async def fall_back(call: Call, call_next: Handler) -> Reply:
    try:
        return await call_next(call)
    except APIError:
        return await call_next(call.with_target(Target("other", "gpt")).because("fallback"))


@dataclass(frozen=True, slots=True)
class Answering:
    """A cache that always hits."""

    rule: ClassVar[Rule] = Rule()

    usage: Usage | None = USAGE
    verdict: str = "hit"

    async def __call__(self, call: Call, call_next: Handler) -> Reply:
        call.set(CACHE, CacheVerdict(self.verdict))  # type: ignore[arg-type]  # a literal by parameter
        message = Message(role="assistant", content="stored")
        return ChatResponse(model="gpt", choices=(Choice(message=message, finish_reason="stop"),), usage=self.usage)


class Bench:
    """A pipeline with a Cost, a scripted vendor behind it, and the record of its last call."""

    def __init__(
        self, answers: Sequence[Scripted | APIError] = (), stages: Sequence[Any] = (), cost: Cost | None = None
    ) -> None:
        self.provider = FakeProvider(answers or (Scripted(usage=USAGE),))
        self.other = FakeProvider((Scripted(usage=USAGE),), name="other")
        stack = [cost or Cost(overrides=PRICES), *stages]
        self.pipeline = Pipeline(stack, providers=[self.provider, self.other], clock=FakeClock())

    async def record(self, request: ChatRequest | None = None, options: CallOptions | None = None) -> Record:
        request = request or ask()
        try:
            reply = await self.pipeline.send(request, options or CallOptions())
            if isinstance(reply, Stream):
                reply = await reply.response()
        except APIError as error:
            record = error.record
        else:
            assert isinstance(reply, ChatResponse)
            record = reply.record
        assert record is not None
        return record

    async def bill(self, request: ChatRequest | None = None) -> Bill:
        bill = (await self.record(request)).cost
        assert bill is not None
        return bill


@pytest.fixture(params=[False, True], ids=["unary", "stream"])
def streamed(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


async def test_an_answer_costs_what_the_vendor_counted(streamed: bool) -> None:
    bill = await Bench().bill(ask(stream=streamed))
    assert (bill.amount_usd, bill.status, bill.usage_source) == (ONE, "exact", "provider")
    assert [(line.item, line.tokens, line.attempt) for line in bill.lines] == [("input", 1000, 1), ("output", 100, 1)]
    assert (bill.wasted_usd, bill.saved_usd, bill.price_table) == (FREE, FREE, "override")


async def test_the_response_knows_its_cost() -> None:
    reply = await Bench().pipeline.send(ask())
    assert isinstance(reply, ChatResponse)
    assert reply.cost == ONE


async def test_an_unknown_model_is_unpriced_and_never_free(streamed: bool) -> None:
    bill = await Bench().bill(ask("fake/unheard-of", stream=streamed))
    assert (bill.amount_usd, bill.status, bill.unpriced) == (None, "unpriced", ("fake/unheard-of",))


async def test_a_refused_attempt_generated_nothing_and_costs_nothing(streamed: bool) -> None:
    bill = await Bench([RateLimitError("slow down", status_code=429), Scripted(usage=USAGE)], [try_again]).bill(
        ask(stream=streamed)
    )
    assert (bill.amount_usd, bill.status, bill.wasted_usd) == (ONE, "exact", FREE)


@pytest.mark.parametrize("error", [InternalServerError("down", status_code=500), APIConnectionError("no route")])
async def test_a_call_that_was_only_refused_costs_exactly_nothing(error: APIError) -> None:
    bill = await Bench([error]).bill()
    assert (bill.amount_usd, bill.status, bill.lines) == (FREE, "exact", ())


async def test_an_attempt_that_we_hung_up_on_may_have_been_charged(streamed: bool) -> None:
    bill = await Bench([APITimeoutError("too late"), Scripted(usage=USAGE)], [try_again]).bill(ask(stream=streamed))
    assert bill.status == "estimated"
    assert bill.wasted_usd > 0
    assert bill.amount_usd == ONE + bill.wasted_usd
    assert {line.item for line in bill.lines if line.attempt == 1} == {"input"}


async def test_a_fallback_is_billed_at_its_own_price(streamed: bool) -> None:
    record = await Bench([RateLimitError("slow down")], [fall_back]).record(ask(stream=streamed))
    assert record.cost_usd == Decimal("0.0015")
    assert record.provider == "other"


async def test_waste_that_has_no_price_makes_the_bill_unpriced() -> None:
    bench = Bench([APITimeoutError("too late")], [fall_back])
    bill = await bench.bill(ask("fake/unheard-of"))
    assert (bill.amount_usd, bill.status, bill.unpriced) == (None, "unpriced", ("fake/unheard-of",))
    assert [line.attempt for line in bill.lines] == [2, 2], "what is known is listed"


async def test_a_cut_stream_without_counts_is_estimated_from_what_came() -> None:
    bill = await Bench([Scripted(text="word " * 200, after_chunks=100)]).bill(ask(stream=True))
    assert (bill.status, bill.usage_source) == ("estimated", "tokenizer")
    output = next(line for line in bill.lines if line.item == "output")
    assert 80 <= output.tokens <= 160
    assert bill.wasted_usd == bill.amount_usd, "a failed call bought nothing"


async def test_an_answer_without_counts_is_estimated(streamed: bool) -> None:
    bill = await Bench([Scripted(text="word " * 200, usage=None)]).bill(ask(stream=streamed))
    assert (bill.status, bill.usage_source) == ("estimated", "tokenizer")
    assert bill.amount_usd
    assert {line.item for line in bill.lines} == {"input", "output"}


async def test_counts_of_zero_beside_an_answer_are_no_counts(streamed: bool) -> None:
    bill = await Bench([Scripted(text="word " * 200, usage=Usage())]).bill(ask(stream=streamed))
    assert (bill.status, bill.usage_source) == ("estimated", "tokenizer")
    assert bill.amount_usd


async def test_a_stream_that_the_caller_closes_is_estimated() -> None:
    bench = Bench([Scripted(text="word " * 200, usage=USAGE)])
    stream = await bench.pipeline.send(ask(stream=True))
    assert isinstance(stream, Stream)
    for _ in range(50):
        await anext(stream)
    await stream.aclose()
    assert stream.outcome is not None
    response = stream.outcome.response
    assert response is not None
    assert response.record is not None
    bill = response.record.cost
    assert bill is not None
    assert (bill.status, bill.usage_source, bill.wasted_usd) == ("estimated", "tokenizer", FREE)
    assert 40 <= next(line for line in bill.lines if line.item == "output").tokens <= 80


async def counted_early(call: Call, call_next: Handler) -> Reply:
    """What Anthropic's decoder does: the prompt is counted in the first event, the output with a placeholder."""
    reply = await call_next(call)
    call.trail(ATTEMPTS)[-1].usage = Usage(prompt_tokens=777, completion_tokens=1, total_tokens=778)
    return reply


async def test_a_vendors_early_count_is_kept_for_the_prompt_and_not_believed_for_the_output() -> None:
    bill = await Bench([Scripted(text="word " * 200, after_chunks=100)], [counted_early]).bill(ask(stream=True))
    assert (bill.status, bill.usage_source) == ("estimated", "partial")
    tokens = {line.item: line.tokens for line in bill.lines}
    assert tokens["input"] == 777
    assert 80 <= tokens["output"] <= 160


async def hedge(call: Call, call_next: Handler) -> Reply:
    """Sends twice; the slow one is cancelled."""
    slow = asyncio.ensure_future(call_next(call))
    await asyncio.sleep(0)
    try:
        return await call_next(call.with_target(Target("other", "gpt")).because("hedge"))
    finally:
        slow.cancel()
        await asyncio.wait([slow])


async def test_the_loser_of_a_hedge_is_waste() -> None:
    bill = await Bench([Scripted(delay_s=60)], [hedge]).bill()
    assert bill.status == "estimated"
    assert bill.amount_usd == Decimal("0.0015") + bill.wasted_usd
    assert bill.wasted_usd > 0


async def test_a_cache_hit_is_free_and_saves_what_it_would_have_cost(streamed: bool) -> None:
    bill = await Bench(stages=[Answering()]).bill(ask(stream=streamed))
    assert (bill.amount_usd, bill.status, bill.saved_usd, bill.lines) == (FREE, "exact", ONE, ())


async def test_an_answer_shared_with_another_call_is_saved_too() -> None:
    assert (await Bench(stages=[Answering(verdict="shared")]).bill()).saved_usd == ONE


async def test_a_hit_on_an_unpriced_model_is_free_and_says_that_the_saving_is_unknown() -> None:
    bill = await Bench(stages=[Answering()], cost=Cost()).bill()
    assert (bill.amount_usd, bill.status, bill.saved_usd, bill.unpriced) == (FREE, "exact", FREE, ("fake/gpt",))


async def test_an_answer_of_some_stages_own_is_neither_bill_nor_saving() -> None:
    bill = await Bench(stages=[Answering(verdict="bypassed")]).bill()
    assert (bill.amount_usd, bill.saved_usd) == (FREE, FREE)


async def test_contradicting_counts_are_an_estimate_and_named() -> None:
    odd = Usage(prompt_tokens=10, completion_tokens=5, total_tokens=40)
    bill = await Bench([Scripted(usage=odd)]).bill()
    assert (bill.status, bill.anomalies) == ("estimated", ("total_is_not_the_sum",))


async def test_what_the_vendor_says_it_charged_is_the_price() -> None:
    charged = Usage.model_validate(USAGE.to_dict() | {"cost": 0.00042})
    provider = FakeProvider([Scripted(usage=charged)], name="openrouter")
    reply = await Pipeline([Cost()], provider, telemetry=False).send(ask("openrouter/some/model"))
    assert isinstance(reply, ChatResponse)
    assert reply.record is not None
    assert reply.record.cost is not None
    assert (reply.record.cost_usd, reply.record.cost.price_table) == (Decimal("0.00042"), "openrouter")


async def test_with_a_key_of_ones_own_at_the_router_its_fee_is_not_the_price() -> None:
    charged = Usage.model_validate(USAGE.to_dict() | {"cost": 0.00042, "is_byok": True})
    provider = FakeProvider([Scripted(usage=charged)], name="openrouter")
    reply = await Pipeline([Cost(overrides={"openrouter/some/model": {"input": 2, "output": 10}})], provider).send(
        ask("openrouter/some/model")
    )
    assert isinstance(reply, ChatResponse)
    assert reply.cost == ONE


@dataclass(frozen=True, slots=True)
class Answered:
    """Notes on the attempt what a real provider learns from the answer."""

    noted: dict[str, str]

    async def __call__(self, call: Call, call_next: Handler) -> Reply:
        reply = await call_next(call)
        for name, value in self.noted.items():
            setattr(call.trail(ATTEMPTS)[-1], name, value)
        return reply


@pytest.mark.parametrize(
    ("noted", "amount"),
    [
        ({"response_model": "gpt-4o"}, "0.0035"),
        ({"vendor": "openai", "response_model": "gpt-4o-2024-08-06"}, "0.0035"),
        ({"vendor": "openai", "response_model": "gpt-4o", "overridden": "my-openai/our-deployment"}, "0.003"),
        ({"response_model": "gpt-5.2"}, "0.00315"),
        ({"response_model": "gpt-5.2", "service_tier": "priority"}, "0.0063"),
        ({"response_model": "gpt-5.2", "service_tier": "flex"}, "0.001575"),
    ],
)
async def test_the_price_is_that_of_vendor_model_and_tier_that_answered(noted: dict[str, str], amount: str) -> None:
    name = "my-openai" if "vendor" in noted else "openai"
    clock = FakeClock(start_s=1_794_700_000)  # a day of November 2026
    overrides = {noted["overridden"]: {"input": 2, "output": 10}} if "overridden" in noted else {}
    noted = {key: value for key, value in noted.items() if key != "overridden"}
    pipeline = Pipeline(
        [Cost(overrides=overrides), Answered(noted)], FakeProvider([Scripted(usage=USAGE)], name=name), clock=clock
    )
    reply = await pipeline.send(ask(f"{name}/our-deployment"))
    assert isinstance(reply, ChatResponse)
    assert reply.cost == Decimal(amount)


async def test_a_ledger_adds_up_over_retries_fallbacks_hits_and_streams() -> None:
    ledger: list[Decimal | None] = []
    for stream in (False, True):
        ledger.append((await Bench().record(ask(stream=stream))).cost_usd)
        ledger.append(
            (
                await Bench([RateLimitError("no"), Scripted(usage=USAGE)], [try_again]).record(ask(stream=stream))
            ).cost_usd
        )
        ledger.append((await Bench([RateLimitError("no")], [fall_back]).record(ask(stream=stream))).cost_usd)
        ledger.append((await Bench(stages=[Answering()]).record(ask(stream=stream))).cost_usd)
        ledger.append((await Bench([RateLimitError("no")]).record(ask(stream=stream))).cost_usd)
    by_hand = 2 * (Decimal("0.003") + Decimal("0.003") + Decimal("0.0015"))
    assert sum(amount for amount in ledger if amount is not None) == by_hand
    assert None not in ledger


async def test_unpriced_models_can_be_refused_before_they_are_sent() -> None:
    bench = Bench(cost=Cost(overrides=PRICES, on_unpriced="refuse"))
    with pytest.raises(UnpricedModel, match="fake/unheard-of") as refused:
        await bench.pipeline.send(ask("fake/unheard-of"))
    assert not bench.provider.calls
    assert refused.value.fault == "policy"
    assert (await bench.record()).cost_usd == ONE


async def test_a_dry_run_gives_a_range_and_no_bill() -> None:
    found = await Bench().pipeline.aexplain(ask(max_tokens=50, n=2))
    expected = found.facts[COST_RANGE.name]
    assert isinstance(expected, CostRange)
    assert expected.minimum_usd is not None
    assert expected.maximum_usd == expected.minimum_usd + Decimal("0.001")
    assert 80 <= expected.prompt_tokens <= 160
    assert "cost" not in found.facts


async def test_a_dry_run_without_an_output_limit_has_no_maximum() -> None:
    expected = (await Bench().pipeline.aexplain(ask())).facts[COST_RANGE.name]
    assert expected.minimum_usd
    assert expected.maximum_usd is None


async def test_a_dry_run_of_an_unpriced_model_says_so() -> None:
    expected = (await Bench().pipeline.aexplain(ask("fake/unheard-of", max_tokens=5))).facts[COST_RANGE.name]
    assert (expected.minimum_usd, expected.maximum_usd, expected.unpriced) == (None, None, ("fake/unheard-of",))


async def test_a_dry_run_that_a_stage_answers_costs_nothing() -> None:
    expected = (await Bench(stages=[Answering()]).pipeline.aexplain(ask())).facts[COST_RANGE.name]
    assert (expected.minimum_usd, expected.maximum_usd) == (0, 0)


@pytest.mark.parametrize("outer", ["Cache", "Retry", "Fallback", "Hedge"])
def test_cost_inside_what_calls_again_or_answers_is_refused(outer: str) -> None:
    stage = type(outer, (), {"__call__": Answering.__call__})()
    with pytest.raises(PlanError, match=f"Move Cost before {outer}"):
        Pipeline([stage, Cost()])


@pytest.mark.parametrize("inner", ["Tracing", "Callbacks"])
def test_cost_outside_who_reads_the_bill_is_refused(inner: str) -> None:
    stage = type(inner, (), {"__call__": Answering.__call__})()
    with pytest.raises(PlanError, match=f"Move Cost after {inner}"):
        Pipeline([Cost(), stage])


def test_settings_are_checked_when_they_are_made() -> None:
    with pytest.raises(ConfigError, match=r"prices\.a/b"):
        Cost(overrides={"a/b": {}})
    with pytest.raises(ConfigError, match="on_unpriced"):
        Cost(on_unpriced="maybe")  # type: ignore[arg-type]  # what a YAML file may hold


STORY = "one two three four five six seven eight nine ten eleven twelve"


async def test_what_a_guardrail_kept_back_was_written_all_the_same() -> None:
    """The caller sees nothing of the words that were held back when the rule struck; the vendor charges for them."""
    guard = Guardrails([Regex("eleven", name="eleven")], holdback_chars=200)
    bench = Bench([Scripted(text=STORY + " more" * 100)], [guard])
    stream = await bench.pipeline.send(ask(stream=True))
    assert isinstance(stream, Stream)
    seen: list[str] = []

    async def read() -> None:
        async for chunk in stream:
            seen.append(chunk.text)

    with pytest.raises(GuardrailViolation) as blocked:
        await read()
    record = blocked.value.record
    assert record is not None
    written = record.attempts[0].written_tokens
    assert ("".join(seen).split()[-1], written) == ("ten", 50)  # and 200 characters that were looked at together
    assert record.cost is not None
    assert (record.cost.status, record.cost.usage_source) == ("estimated", "tokenizer")
    assert sum(line.tokens for line in record.cost.lines if line.item == "output") == written


async def test_what_the_vendor_counted_to_the_end_is_not_estimated_beside_it() -> None:
    bench = Bench([Scripted(text=STORY, usage=USAGE)])
    stream = await bench.pipeline.send(ask(stream=True))
    assert isinstance(stream, Stream)
    record = (await stream.response()).record
    assert record is not None
    assert record.attempts[0].written_tokens is None
    assert record.cost is not None
    assert record.cost.status == "exact"


async def test_totals_are_exact_whatever_the_application_rounds_to() -> None:
    bench = Bench([Scripted(usage=USAGE)])
    with localcontext() as context:
        context.prec = 2
        for _ in range(37):
            await bench.pipeline.send(ask())
        stats = bench.pipeline.statistics.snapshot()
    assert stats.total.cost_usd == ONE * 37
    assert stats.by_target["fake/gpt"].cost_usd == ONE * 37
