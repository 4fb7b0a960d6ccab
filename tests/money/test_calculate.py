"""Sums without a call."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from glassway.pipeline.billing import calculate_cost, estimate_cost
from glassway.pipeline.types import ChatRequest, ChatResponse, Message, Usage

NOW = datetime(2026, 11, 15, 12, tzinfo=UTC)
USAGE = Usage(prompt_tokens=1_000_000, completion_tokens=100_000, total_tokens=1_100_000)


@pytest.mark.parametrize(
    "model", ["openai/gpt-4o-mini", "gpt-4o-mini", "azure/gpt-4o-mini-2024-07-18", "openrouter/openai/gpt-4o-mini"]
)
def test_usage_has_a_cost(model: str) -> None:
    cost = calculate_cost(model, USAGE, at=NOW)
    assert (cost.amount_usd, cost.status) == (Decimal("0.21"), "exact")


def test_a_response_has_a_cost_at_the_tier_that_it_names() -> None:
    response = ChatResponse(model="gpt-5.2", usage=USAGE, service_tier="flex")
    assert calculate_cost("openai/gpt-5.2", response, at=NOW).amount_usd == Decimal("1.575")


@pytest.mark.parametrize(
    "model", ["openai/gpt-unheard-of", "ollama/gpt-4o-mini", "no-vendor/gpt-4o-mini", "unheard-of"]
)
def test_the_unknown_is_unpriced(model: str) -> None:
    cost = calculate_cost(model, USAGE, at=NOW)
    assert (cost.amount_usd, cost.status, cost.unpriced) == (None, "unpriced", (model,))


def test_a_response_without_counts_is_unpriced() -> None:
    assert calculate_cost("openai/gpt-4o", ChatResponse(model="gpt-4o")).amount_usd is None


def test_the_price_is_that_of_the_day() -> None:
    days = [datetime(2026, month, 20, 0, tzinfo=UTC) for month in (7, 8)]
    amounts = [calculate_cost("deepseek/deepseek-v4-pro", USAGE, at=day).amount_usd for day in days]
    assert amounts == [Decimal("0.522"), Decimal("0.858")]


def test_a_request_has_a_range() -> None:
    request = ChatRequest(
        model="openai/gpt-4o-mini", messages=(Message(role="user", content="Hello"),), max_completion_tokens=1000
    )
    expected = estimate_cost(request, at=NOW)
    assert (expected.prompt_tokens, expected.output_limit) == (8, 1000)
    assert (expected.minimum_usd, expected.maximum_usd) == (Decimal("0.0000012"), Decimal("0.0006012"))
    assert expected.price_table.startswith("genai-prices")
