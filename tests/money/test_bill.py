"""A bill is exact, adds up, and never calls the unknown free."""

from __future__ import annotations

import decimal
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glassway.pipeline.pricing import ContextTier, Price, Rates, bill, usd
from glassway.pipeline.types import CompletionTokensDetails, PromptTokensDetails, Usage

FULL = Price(
    Rates(
        input=Decimal(3),
        cached=Decimal("0.30"),
        cache_write=Decimal("3.75"),
        cache_write_1h=Decimal(6),
        output=Decimal(15),
        reasoning=Decimal(20),
        input_audio=Decimal(40),
        output_audio=Decimal(80),
        input_image=Decimal(5),
        output_image=Decimal(30),
    ),
    request_usd=Decimal("0.005"),
    web_search_usd=Decimal("0.01"),
    table="test 1",
)
PLAIN = Price(Rates(input=Decimal("0.15"), output=Decimal("0.60")), table="test 1")


def usage(prompt: int = 0, completion: int = 0, **extra: object) -> Usage:
    return Usage.model_validate(
        {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion} | extra
    )


def lines_of(cost: object) -> dict[str, int]:
    return {line.item: line.tokens for line in cost.lines}  # type: ignore[attr-defined]  # a Cost


def test_amount_is_exact_to_the_last_digit() -> None:
    cost = bill(usage(1_234_567, 7), PLAIN)
    assert cost.amount_usd == Decimal("0.18518505") + Decimal("0.0000042")
    assert cost.status == "exact"
    assert cost.price_table == "test 1"


def test_application_decimal_context_changes_nothing() -> None:
    with decimal.localcontext(prec=2, rounding=decimal.ROUND_UP):
        assert bill(usage(1_234_567, 7), PLAIN).amount_usd == Decimal("0.18518925")


def test_each_part_of_the_prompt_is_billed_once() -> None:
    details = {
        "cached_tokens": 500,
        "cache_write_tokens": 300,
        "ephemeral_1h_input_tokens": 100,
        "audio_tokens": 50,
        "image_tokens": 20,
    }
    assert lines_of(bill(usage(1000, 0, prompt_tokens_details=details), FULL)) == {
        "request": 0,
        "cached": 500,
        "cache_write": 200,
        "cache_write_1h": 100,
        "input_audio": 50,
        "input_image": 20,
        "input": 130,
    }


def test_anthropics_lifetimes_of_cache_writes_are_read() -> None:
    details = {"cache_write_tokens": 60, "ephemeral_5m_input_tokens": 20, "ephemeral_1h_input_tokens": 40}
    counted = usage(100, 0, prompt_tokens_details=details)
    lines = lines_of(bill(counted, FULL))
    assert (lines["cache_write"], lines["cache_write_1h"], lines["input"]) == (20, 40, 40)


def test_reasoning_without_a_price_of_its_own_stays_in_the_output_line() -> None:
    counted = usage(10, 100, completion_tokens_details={"reasoning_tokens": 80})
    assert lines_of(bill(counted, PLAIN)) == {"input": 10, "output": 100}


def test_reasoning_with_a_price_of_its_own_is_a_line() -> None:
    counted = usage(0, 100, completion_tokens_details={"reasoning_tokens": 80})
    cost = bill(counted, FULL)
    assert lines_of(cost) == {"request": 0, "reasoning": 80, "output": 20}
    assert cost.amount_usd == Decimal("0.005") + Decimal("0.0016") + Decimal("0.0003")


def test_web_searches_are_a_fee() -> None:
    cost = bill(usage(1, 0, server_tool_use={"web_search_requests": 3}), FULL)
    assert next(line for line in cost.lines if line.item == "web_search").amount_usd == Decimal("0.03")


def test_searches_without_a_price_make_the_bill_unpriced() -> None:
    cost = bill(usage(1, 0, server_tool_use={"web_search_requests": 3}), PLAIN, target="a/b")
    assert (cost.amount_usd, cost.status, cost.unpriced) == (None, "unpriced", ("a/b",))
    assert cost.lines, "what is known is still listed"


def test_output_without_a_price_makes_the_bill_unpriced() -> None:
    cost = bill(usage(10, 1), Price(Rates(input=Decimal(1))), target="a/embedder")
    assert (cost.amount_usd, cost.status, lines_of(cost)) == (None, "unpriced", {"input": 10})


def test_a_price_of_zero_is_a_price() -> None:
    cost = bill(usage(10, 10), Price(Rates(input=Decimal(0), output=Decimal(0))))
    assert (cost.amount_usd, cost.status) == (Decimal(0), "exact")


@pytest.mark.parametrize(("prompt", "per_million"), [(200_000, "1.25"), (200_001, "2.5"), (900_000, "4")])
def test_a_tier_holds_for_all_tokens_of_a_longer_prompt(prompt: int, per_million: str) -> None:
    price = Price(
        Rates(Decimal("1.25"), output=Decimal(10)),
        (
            ContextTier(200_000, Rates(Decimal("2.5"), output=Decimal(15))),
            ContextTier(800_000, Rates(Decimal(4), output=Decimal(20))),
        ),
    )
    assert bill(usage(prompt, 0), price).amount_usd == Decimal(per_million) * prompt / 1_000_000


def test_cached_tokens_larger_than_the_prompt_are_taken_as_not_counted_in_it() -> None:
    cost = bill(usage(10, 0, prompt_tokens_details={"cached_tokens": 90}), FULL)
    assert (cost.status, cost.anomalies) == ("estimated", ("cached_exceeds_prompt",))
    assert lines_of(cost) == {"request": 0, "cached": 90, "input": 10}


def test_reasoning_larger_than_the_completion_is_taken_as_not_counted_in_it() -> None:
    cost = bill(usage(0, 2, completion_tokens_details={"reasoning_tokens": 256}), PLAIN)
    assert (cost.status, lines_of(cost)) == ("estimated", {"output": 258})


def test_tokens_that_only_the_total_knows_of_are_output() -> None:
    cost = bill(Usage(prompt_tokens=10, completion_tokens=5, total_tokens=40), PLAIN)
    assert (cost.status, cost.anomalies, lines_of(cost)) == (
        "estimated",
        ("total_is_not_the_sum",),
        {"input": 10, "output": 30},
    )


def test_a_missing_total_is_no_anomaly() -> None:
    assert bill(Usage(prompt_tokens=10, completion_tokens=5), PLAIN).status == "exact"


def test_counts_of_our_own_make_an_estimate() -> None:
    assert bill(usage(10, 5), PLAIN, source="tokenizer").status == "estimated"


@pytest.mark.parametrize("value", ["-1", -0.5, "dear", float("nan"), float("inf"), True, None, [1]])
def test_what_is_no_price_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="expected"):
        usd(value)


def test_a_float_price_is_taken_as_it_was_written() -> None:
    assert usd(0.1) == Decimal("0.1")


counts = st.integers(0, 5_000_000)
rates = st.none() | st.decimals(0, 1000, places=6)


@st.composite
def consistent_usages(draw: st.DrawFn) -> Usage:
    cached, written, written_1h, fresh = draw(counts), draw(counts), draw(counts), draw(counts)
    spoken, thought = draw(counts), draw(counts)
    prompt, completion = cached + written + written_1h + fresh, spoken + thought
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        total_tokens=prompt + completion,
        prompt_tokens_details=PromptTokensDetails.model_validate(
            {
                "cached_tokens": cached,
                "cache_write_tokens": written + written_1h,
                "ephemeral_1h_input_tokens": written_1h,
                "audio_tokens": draw(st.integers(0, fresh + cached)),
            }
        ),
        completion_tokens_details=CompletionTokensDetails(
            reasoning_tokens=thought, audio_tokens=draw(st.integers(0, completion))
        ),
    )


prices = st.builds(
    Price,
    st.builds(Rates, *[rates] * 10),
    st.lists(st.builds(ContextTier, st.integers(1, 10_000_000), st.builds(Rates, *[rates] * 10)), max_size=2).map(
        lambda tiers: tuple(sorted(tiers, key=lambda tier: tier.above_tokens))
    ),
)
PROMPT_LINES = {"input", "cached", "cache_write", "cache_write_1h", "input_audio", "input_image"}


@given(consistent_usages(), prices)
def test_lines_add_up_to_amount_and_tokens(counted: Usage, price: Price) -> None:
    cost = bill(counted, price, target="v/m")
    if cost.amount_usd is None:
        assert cost.status == "unpriced"
        return
    assert cost.amount_usd == sum((line.amount_usd for line in cost.lines), Decimal(0))
    assert sum(line.tokens for line in cost.lines if line.item in PROMPT_LINES) == counted.prompt_tokens
    assert sum(line.tokens for line in cost.lines if line.item not in PROMPT_LINES) == counted.completion_tokens
    assert cost.status == "exact"


whatever = st.none() | st.integers(-1000, 1000)


@given(
    st.builds(
        Usage,
        prompt_tokens=st.integers(-1000, 1000),
        completion_tokens=st.integers(-1000, 1000),
        total_tokens=st.integers(-1000, 3000),
        prompt_tokens_details=st.none()
        | st.builds(PromptTokensDetails, cached_tokens=whatever, cache_write_tokens=whatever, audio_tokens=whatever),
        completion_tokens_details=st.none()
        | st.builds(CompletionTokensDetails, reasoning_tokens=whatever, audio_tokens=whatever),
    )
)
def test_nonsense_is_never_negative_and_never_exact(counted: Usage) -> None:
    cost = bill(counted, FULL)
    assert all(line.amount_usd >= 0 and line.tokens >= 0 for line in cost.lines)
    assert cost.amount_usd is not None
    if counted.anomalies():
        assert cost.status == "estimated"


def test_no_tokens_at_a_price_cost_nothing() -> None:
    assert bill(usage(), PLAIN).amount_usd == 0


def test_what_the_vendor_bills_wins_over_what_it_read() -> None:
    usage = Usage.model_validate(
        {
            "prompt_tokens": 1563,
            "completion_tokens": 20,
            "total_tokens": 1583,
            "billed_units": {"input_tokens": 47.0, "output_tokens": 20.0},
        }
    )
    cost = bill(usage, Price(Rates(input=Decimal("2.5"), output=Decimal(10))))
    assert [(line.item, line.tokens) for line in cost.lines] == [("input", 47), ("output", 20)]
    assert (cost.amount_usd, cost.status) == (Decimal("0.0003175"), "exact")
