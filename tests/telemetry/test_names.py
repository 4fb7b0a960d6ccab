"""One registry of names, and nothing beside it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes

from glassway.pipeline import facts
from glassway.pipeline.telemetry import docs, names

ROOT = Path(names.__file__).parents[2]
OURS = ("cli", "dashboards", "docs", "examples", "gateway", "middlewares", "pipeline", "providers", "stores", "testing")


def test_nothing_else_spells_a_convention_s_name() -> None:
    spelled = "gen_ai" + "."
    places = [path for folder in OURS for path in (ROOT / folder).rglob("*.py") if spelled in path.read_text()]
    assert places == [ROOT / "pipeline" / "telemetry" / "names.py"]


def test_the_page_of_names_is_up_to_date() -> None:
    assert (ROOT / "docs" / "telemetry.md").read_text() == docs.page(), (
        "run: python -m glassway.pipeline.telemetry.docs > docs/telemetry.md"
    )


@pytest.mark.parametrize("metric", names.METRICS.values(), ids=lambda metric: metric.name)
def test_a_metric_is_bounded_in_every_label(metric: names.Metric) -> None:
    assert all(label.values is not None or label.limit for label in metric.labels)
    assert re.fullmatch(r"[a-z][a-z0-9_]*", metric.prometheus)
    assert (metric.kind == "histogram") == bool(metric.buckets)
    assert list(metric.buckets) == sorted(metric.buckets)


@pytest.mark.parametrize("event", names.EVENTS.values(), ids=lambda event: event.name)
def test_an_event_s_fields_are_those_of_its_fact(event: names.Event) -> None:
    made_of = {
        "defaults": facts.DefaultApplied,
        "shadows": facts.ShadowBegun,
        "shadow": facts.Shadowed,
        "semantic_cache": facts.SemanticVerdict,
        "semantic_check": facts.SemanticChecked,
        "retries": facts.Retried,
        "retry_stops": facts.RetryStopped,
        "hedges": facts.Hedged,
        "fallback_skips": facts.FallbackSkipped,
        "splices": facts.Spliced,
        "fallbacks": facts.FellBack,
        "cache": facts.CacheVerdict,
        "guardrails": facts.GuardrailVerdict,
        "translation": facts.Translation,
        "store_failures": facts.StoreFailed,
        "circuits": facts.CircuitNoted,
        "pools": facts.Pooled,
        "deduplication": facts.Deduplicated,
        "batch": facts.Batched,
        "limits": facts.Limited,
        "budgets": facts.Budgeted,
        "route": facts.Route,
        "faults": facts.FaultInjected,
        "replays": facts.Replayed,
    }
    fact = made_of[event.fact]
    assert set(event.fields) <= set(getattr(fact, "_fields", None) or fact.__dataclass_fields__)


@pytest.mark.parametrize(
    "metric", [each for each in names.METRICS.values() if each.fact], ids=lambda metric: metric.name
)
def test_a_metric_s_fact_exists(metric: names.Metric) -> None:
    assert metric.fact in {slot.name for slot in vars(facts).values() if isinstance(slot, facts.Slot)}


def test_metrics_are_found_by_the_facts_that_they_are_made_of() -> None:
    assert names.metrics_of(["retries"]) == ("glassway_retries_total", "glassway_retry_wait_seconds_total")
    assert names.metrics_of([]) == ()


def test_attributes_of_the_second_generation_are_those_of_the_published_package() -> None:
    published = {value for name, value in vars(gen_ai_attributes).items() if name.isupper() and isinstance(value, str)}
    prefix = names.OPERATION.name.partition(".")[0]
    mine = {name for name, each in names.ATTRIBUTES.items() if name.startswith(prefix) and "g2" in each.generations}
    newer = {names.CACHE_WRITE_TOKENS.name, names.USAGE_COST.name}
    assert mine - published <= newer
