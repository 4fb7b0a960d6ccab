"""The table of published prices: whose, which, since when; and an independent judge of the sums."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from decimal import Decimal

import genai_prices
import pytest
from genai_prices.data import providers as published
from genai_prices.types import ConditionalPrice, TimeOfDateConstraint
from genai_prices.types import Usage as PublishedUsage
from hypothesis import given, settings
from hypothesis import strategies as st

from glassway.pipeline.pricing import Price, Sought, bill, default_prices, find_price
from glassway.pipeline.types import PromptTokensDetails, Usage
from glassway.providers.prices.table import _IDS

NOW = datetime(2026, 11, 15, 12, tzinfo=UTC)
TABLE = default_prices()


def price(provider: str | None, model: str, at: datetime = NOW, tier: str | None = None) -> Price:
    found = TABLE.price(provider, model, at, service_tier=tier)
    assert found is not None, f"{provider}/{model} has no price"
    return found


@pytest.mark.parametrize(
    ("provider", "model", "rate_in", "rate_out"),
    [
        ("openai", "gpt-4o-mini", "0.15", "0.60"),
        ("openai", "gpt-4o-mini-2024-07-18", "0.15", "0.60"),
        ("anthropic", "claude-sonnet-4-5-20250929", "3", "15"),
        ("vertex", "claude-sonnet-4-5@20250929", "3", "15"),
        ("gemini", "models/gemini-2.5-flash", "0.30", "2.50"),
        ("vertex", "publishers/google/models/gemini-2.5-flash", "0.30", "2.50"),
        ("azure", "gpt-4o", "2.50", "10"),
        ("bedrock", "us.anthropic.claude-sonnet-4-5-20250929-v1:0", "3.30", "16.50"),
        ("groq", "llama-3.3-70b-versatile", "0.59", "0.79"),
        ("openrouter", "openai/gpt-4o", "2.50", "10"),
        ("huggingface", "openai/gpt-oss-120b:groq", "0.15", "0.75"),
        ("together", "meta-llama/Llama-3.3-70B-Instruct-Turbo", "0.88", "0.88"),
        ("mistral", "mistral-large-latest", "2", "6"),
        ("cohere", "command-a-03-2025", "2.50", "10"),
        ("xai", "grok-4", "3", "15"),
        (None, "gpt-4o-mini", "0.15", "0.60"),
    ],
)
def test_names_resolve(provider: str | None, model: str, rate_in: str, rate_out: str) -> None:
    rates = price(provider, model).rates
    assert (rates.input, rates.output) == (Decimal(rate_in), Decimal(rate_out))


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("openai", "gpt-99-unheard-of"),
        ("azure", "our-deployment"),
        ("ollama", "gpt-4o-mini"),
        ("vllm", "deepseek-ai/DeepSeek-R1"),
        ("llamacpp", "mistral-large-latest"),
        ("openai_compatible", "gpt-4o"),
        ("my-box", "gpt-4o"),
        ("huggingface", "openai/gpt-oss-120b"),
        ("openrouter", "deepseek/deepseek-r1:free"),
        ("openai", "whisper-1"),
        (None, "our-model"),
        ("openai", ""),
    ],
)
def test_what_has_no_published_price_has_none(provider: str | None, model: str) -> None:
    assert TABLE.price(provider, model, NOW) is None


def test_price_says_where_it_comes_from() -> None:
    assert price("openai", "gpt-4o").table == f"genai-prices {genai_prices.__version__} ({TABLE.date})"
    assert TABLE.version == genai_prices.__version__


def test_prices_change_with_the_day() -> None:
    dates = {
        price("deepseek", "deepseek-v4-pro", datetime(2026, month, 20, 0, tzinfo=UTC)).rates.input for month in (7, 8)
    }
    assert dates == {Decimal("0.435"), Decimal("0.66")}


@pytest.mark.parametrize(
    ("hour", "minute", "rate"), [(0, 29, "0.135"), (0, 30, "0.27"), (16, 29, "0.27"), (16, 30, "0.135")]
)
def test_prices_change_with_the_hour(hour: int, minute: int, rate: str) -> None:
    assert price(
        "deepseek", "deepseek-chat", datetime(2026, 11, 15, hour, minute, 59, tzinfo=UTC)
    ).rates.input == Decimal(rate)


def test_all_hours_of_the_data_are_on_borders_of_our_slots() -> None:
    conditions = [
        p for owner in published for model in owner.models if isinstance(model.prices, list) for p in model.prices
    ]
    times = [
        p.constraint
        for p in conditions
        if isinstance(p, ConditionalPrice) and isinstance(p.constraint, TimeOfDateConstraint)
    ]
    assert times
    for constraint in times:
        for moment in (constraint.start_time, constraint.end_time):
            assert (moment.minute % 15, moment.second) == (0, 0)


def test_service_tiers_have_prices_of_their_own() -> None:
    standard = price("openai", "gpt-5.2").rates.input
    assert standard is not None
    assert price("openai", "gpt-5.2", tier="default").rates.input == standard
    assert price("openai", "gpt-5.2", tier="flex").rates.input == standard / 2
    assert price("openai", "gpt-5.2", tier="priority").rates.input == standard * 2


def test_long_prompts_are_in_a_tier() -> None:
    tiered = price("gemini", "gemini-2.5-pro")
    assert (tiered.rates_for(200_000).input, tiered.rates_for(200_001).input) == (Decimal("1.25"), Decimal("2.5"))


def test_the_model_that_answered_is_priced_before_the_one_that_was_asked_for() -> None:
    found = find_price(TABLE, Sought("azure", ("gpt-4o-2024-08-06", "our-deployment")), NOW)
    assert found == price("azure", "gpt-4o-2024-08-06")


def test_the_model_asked_for_is_priced_where_the_answering_one_is_unknown() -> None:
    assert find_price(TABLE, Sought("openai", ("gpt-secret", "gpt-4o")), NOW) == price("openai", "gpt-4o")


@pytest.mark.parametrize("model", ["gpt-4o", "gpt-4o-mini", "claude-sonnet-4-5", "text-embedding-3-small", "anything"])
def test_every_simulated_model_has_a_price(model: str) -> None:
    assert price("simulated", model).table == "simulated"
    assert price("simulated", model).rates.input


def test_the_data_is_not_imported_before_the_first_price() -> None:
    code = (
        "import sys, datetime\n"
        "from glassway.middlewares.cost import Cost\n"
        "from glassway.pipeline.pricing import default_prices\n"
        "Cost()\n"
        "now = datetime.datetime.now(datetime.UTC)\n"
        "assert default_prices().price('simulated', 'x', now)\n"
        "assert default_prices().price('ollama', 'x', now) is None\n"
        "assert 'genai_prices' not in sys.modules\n"
        "assert default_prices().price('openai', 'gpt-4o', now)\n"
        "assert 'genai_prices' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


_OURS = {theirs: ours for ours, theirs in _IDS.items() if ours != "vertex"}
_LISTED = [
    (_OURS[owner.id], owner.id, model.id)
    for owner in published
    if owner.id in _OURS
    for model in owner.models
    if owner.find_model(model.id) is not None
]
_DAYS = [datetime(2024, 6, 1, 3, tzinfo=UTC), datetime(2025, 9, 1, 17, tzinfo=UTC), NOW]


@settings(max_examples=400, deadline=None)
@given(
    st.sampled_from(_LISTED),
    st.sampled_from(_DAYS),
    st.integers(0, 300_000),
    st.integers(0, 100_000),
    st.integers(0, 100_000),
    st.integers(0, 100_000),
    st.integers(0, 100_000),
)
def test_sums_agree_with_the_publishers_own_calculator(
    model: tuple[str, str, str], at: datetime, fresh: int, cached: int, written: int, written_1h: int, output: int
) -> None:
    ours, theirs, name = model
    found = TABLE.price(ours, name, at)
    prompt = fresh + cached + written + written_1h
    details = {
        "cached_tokens": cached,
        "cache_write_tokens": written + written_1h,
        "ephemeral_1h_input_tokens": written_1h,
    }
    usage = Usage(
        prompt_tokens=prompt,
        completion_tokens=output,
        total_tokens=prompt + output,
        prompt_tokens_details=PromptTokensDetails.model_validate(details),
    )
    counted = PublishedUsage(
        input_tokens=prompt,
        output_tokens=output,
        cache_read_tokens=cached,
        cache_write_tokens=written + written_1h,
        cache_write_1h_tokens=written_1h,
    )
    verdict = genai_prices.calc_price(counted, name, provider_id=theirs, genai_request_timestamp=at).total_price
    if found is None:
        assert verdict == 0, "no price here, a price there"
        return
    cost = bill(usage, found)
    if cost.amount_usd is not None:
        assert cost.amount_usd == verdict
    else:
        assert sum((line.amount_usd for line in cost.lines), Decimal(0)) == verdict
