"""Totals: added up from three places that do not know of each other."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from prometheus_client import CollectorRegistry, Counter

from glassway.cli.totals import totals_of


@pytest.fixture
def registry() -> CollectorRegistry:
    registry = CollectorRegistry()
    counter = Counter("glassway_cost_usd_total", "US dollars spent.", ["model"], registry=registry)
    counter.labels("a").inc(0.1)
    counter.labels("b").inc(0.2)
    return registry


def test_the_counter_is_summed_over_its_labels(registry):
    assert totals_of([], registry, Decimal(0)).counter_usd == Decimal("0.3")


def test_sums_agree_to_the_micro_dollar(registry):
    totals = totals_of([], registry, Decimal("0.3"))
    assert replace(totals, records_usd=Decimal("0.3000000001")).agree
    assert not replace(totals, records_usd=Decimal("0.300001")).agree


def test_each_stage_keeps_its_own_time(fallen_back):
    record = fallen_back(False)
    totals = totals_of([record, record], CollectorRegistry(), Decimal(0))
    times = {stage.name: stage for stage in totals.stages}
    assert list(times) == ["call", "Callbacks", "Fallback", "Retry", "Timeout", "provider"]
    assert times["Retry"].self_s == pytest.approx(0.2)
    assert times["provider"].runs == 6
