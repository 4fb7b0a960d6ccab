"""Prices of the user's own."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from glassway.pipeline.errors import ConfigError
from glassway.pipeline.overrides import with_overrides
from glassway.pipeline.pricing import OVERRIDE, Sought, bill, default_prices, find_price
from glassway.pipeline.types import Usage

TABLE = default_prices()
NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)
BEFORE = datetime(2025, 12, 31, 23, 59, tzinfo=UTC)


def test_an_override_prices_what_the_table_does_not_know() -> None:
    table = with_overrides(TABLE, {"vllm/our-model": {"input": 1.0, "output": "2.5"}})
    price = table.price("vllm", "our-model", NEW_YEAR)
    assert price is not None
    assert (price.rates.input, price.rates.output, price.table) == (Decimal("1.0"), Decimal("2.5"), OVERRIDE)


def test_an_override_wins_over_the_table() -> None:
    table = with_overrides(TABLE, {"openai/gpt-4o": {"input": 1, "output": 2}})
    price = table.price("openai", "gpt-4o", NEW_YEAR, service_tier="priority")
    assert price is not None
    assert price.rates.input == 1


def test_everything_else_keeps_the_tables_price() -> None:
    table = with_overrides(TABLE, {"openai/gpt-4o": {"input": 1, "output": 2}})
    assert table.price("openai", "gpt-4o-mini", NEW_YEAR) == TABLE.price("openai", "gpt-4o-mini", NEW_YEAR)
    assert table.price("azure", "gpt-4o", NEW_YEAR) == TABLE.price("azure", "gpt-4o", NEW_YEAR)
    assert (table.name, table.version, table.date) == (TABLE.name, TABLE.version, TABLE.date)


@pytest.mark.parametrize(
    "since",
    ["2026-01-01", date(2026, 1, 1), NEW_YEAR, "2026-01-01T01:00:00+01:00", datetime.fromisoformat("2026-01-01")],
)
def test_an_override_holds_from_its_date(since: object) -> None:
    table = with_overrides(TABLE, {"vllm/our-model": {"input": 1, "from": since}})
    assert table.price("vllm", "our-model", BEFORE) is None
    assert table.price("vllm", "our-model", NEW_YEAR) is not None


def test_a_list_of_overrides_is_a_history() -> None:
    table = with_overrides(TABLE, {"vllm/m": [{"input": 2, "from": "2026-01-01"}, {"input": 1}]})
    rates = [price.rates.input for at in (BEFORE, NEW_YEAR) if (price := table.price("vllm", "m", at))]
    assert rates == [1, 2]


def test_free_must_be_said() -> None:
    table = with_overrides(TABLE, {"ollama/llama3.2": {"input": 0, "output": 0}})
    price = table.price("ollama", "llama3.2", NEW_YEAR)
    assert price is not None
    assert bill(Usage(prompt_tokens=5, completion_tokens=5), price).amount_usd == 0
    assert table.price("ollama", "llama3.1", NEW_YEAR) is None


def test_an_override_of_the_name_asked_for_wins_over_the_tables_price_of_the_one_that_answered() -> None:
    table = with_overrides(TABLE, {"azure/ours": {"input": 9}})
    price = find_price(table, Sought("azure", ("gpt-4o", "ours")), NEW_YEAR)
    assert price is not None
    assert price.rates.input == 9


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"inptu": 1, "output": 2}, "prices.a/b: unknown key 'inptu'"),
        ({}, "prices.a/b: expected a mapping"),
        ({"from": "2026-01-01"}, "prices.a/b: expected a mapping"),
        ({"input": -1}, "prices.a/b.input: expected US dollars of at least 0"),
        ({"input": "dear"}, "prices.a/b.input: expected a number"),
        ({"input": 1, "from": "soon"}, "prices.a/b.from: expected an ISO date"),
        ({"input": 1, "from": 2026}, "prices.a/b.from: expected an ISO date"),
        ([{"input": 1}, "free"], "prices.a/b: expected a mapping"),
    ],
)
def test_a_wrong_entry_is_refused_with_its_path(entry: object, message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        with_overrides(TABLE, {"a/b": entry})  # type: ignore[dict-item]  # what a YAML file may hold
    assert message in str(refused.value)


def test_a_vendor_under_a_name_of_ones_own_is_overridden_by_that_name_and_by_the_vendors() -> None:
    sought = Sought("vllm", ("m",), provider="box")
    for name in ("box/m", "vllm/m"):
        assert find_price(with_overrides(TABLE, {name: {"input": 1}}), sought, NEW_YEAR) is not None


def test_a_name_of_ones_own_that_is_another_vendors_does_not_get_its_published_prices() -> None:
    assert (
        find_price(TABLE, Sought("openai_compatible", ("llama-3.3-70b-versatile",), provider="groq"), NEW_YEAR) is None
    )
