"""The tour: every scenario does what its title says, over HTTP, through the whole stack."""

from __future__ import annotations

import json

import pytest
from prometheus_client import CollectorRegistry

from glassway.cli.demo import run_tour
from glassway.cli.scenarios import BACKUP, SCENARIOS, SECRET, run_scenarios
from glassway.cli.stack import Bills, demo_pipeline
from glassway.pipeline.facts import CACHE, GUARDRAILS, RETRIES
from glassway.pipeline.telemetry import Telemetry
from glassway.providers.simulated import SimulatedServer, SimulatedVendor, Timing

pytestmark = pytest.mark.over_http

NAMES = [scenario.name for scenario in SCENARIOS]


@pytest.fixture(scope="module")
def tour():
    """The results by name, and the totals."""
    results = {}
    totals = run_tour(
        SCENARIOS,
        fast=True,
        seed=0,
        show=lambda result, number: results.update({result.scenario.name: result}),
        waiting=False,
    )
    return results, totals


@pytest.fixture
def told(tour):
    """The calls of a scenario."""
    return lambda name: tour[0][name].calls


def test_every_scenario_is_there(tour):
    assert set(tour[0]) == {"unary", "stream", "tools", "cached", "retry", "fallback", "redacted", "blocked", "cut"}


@pytest.mark.parametrize("scenario", SCENARIOS, ids=NAMES)
def test_every_scenario_ends_as_it_says(told, scenario):
    assert told(scenario.name)[-1].record.end == scenario.ends


@pytest.mark.parametrize("scenario", SCENARIOS, ids=NAMES)
def test_every_call_has_a_bill(told, scenario):
    assert all(call.record.cost is not None and call.record.cost.amount_usd is not None for call in told(scenario.name))


@pytest.mark.parametrize("scenario", SCENARIOS, ids=NAMES)
def test_self_times_and_the_consumer_make_each_duration(told, scenario):
    for call in told(scenario.name):
        own_s = sum(run.self_s for run in call.record.stages)
        assert own_s + call.record.consumer_s == pytest.approx(call.record.duration_s, abs=1e-6)


def test_attempts_went_over_a_real_connection(told):
    [call] = told("unary")
    [attempt] = call.record.attempts
    assert attempt.server_address == "127.0.0.1"
    assert attempt.server_port


def test_the_stream_is_read_in_chunks(told):
    [call] = told("stream")
    assert call.record.stream
    assert call.record.chunks > 5
    assert call.record.first_chunk_s < call.record.duration_s


def test_the_model_asks_for_the_tool_and_answers_with_its_result(told):
    asked, answered = told("tools")
    assert [call.function.name for call in asked.response.tool_calls] == ["get_weather"]
    assert "21" in answered.response.text


def test_the_second_question_is_answered_by_the_cache(told):
    first, again = told("cached")
    assert again.record.get(CACHE).verdict == "hit"
    assert again.record.attempts == ()
    assert again.response.text == first.response.text
    assert again.record.cost.saved_usd == first.record.cost.amount_usd > 0


def test_a_limited_call_waits_and_is_answered(told):
    [call] = told("retry")
    assert [attempt.status_code for attempt in call.record.attempts] == [429, 200]
    assert [retried.told_by for retried in call.record.get(RETRIES)] == ["retry_after"]


def test_a_vendor_that_stays_down_is_left(told):
    [call] = told("fallback")
    assert [attempt.reason for attempt in call.record.attempts] == ["first", "retry", "fallback"]
    assert call.record.provider == BACKUP


def test_the_secret_reaches_nobody(told):
    [call] = told("redacted")
    assert "redacted" in [verdict.verdict for verdict in call.record.get(GUARDRAILS)]
    assert SECRET not in call.response.text
    assert SECRET not in json.dumps(call.record.to_dict())


def test_the_vendor_reads_the_redacted_prompt(tour):
    [read] = tour[0]["redacted"].received
    assert SECRET not in read
    assert read.startswith("Repeat after me: my key is ")


def test_a_refused_prompt_is_sent_nowhere(told):
    [call] = told("blocked")
    assert call.record.error == "guardrail_blocked"
    assert call.record.attempts == ()
    assert call.record.cost_usd == 0


def test_a_cut_stream_is_an_error_with_what_had_arrived(told):
    [call] = told("cut")
    assert call.record.error == "stream_interrupted"
    assert call.response.text
    assert call.record.cost.status == "estimated"


def test_the_money_is_the_same_in_three_places(tour):
    totals = tour[1]
    assert totals.agree
    assert totals.records_usd > 0


def test_the_same_seed_gives_the_same_answers_and_another_gives_others(tour):
    def answers(seed):
        texts = []
        chosen = [scenario for scenario in SCENARIOS if scenario.name == "stream"]
        run_tour(
            chosen,
            fast=True,
            seed=seed,
            show=lambda result, number: texts.append(result.calls[0].response.text),
            waiting=False,
        )
        return texts

    assert answers(0) == [tour[0]["stream"].calls[0].response.text]
    assert answers(1) != answers(0)


@pytest.mark.anyio
async def test_the_tour_can_be_run_again_and_again_on_one_stack():
    async with SimulatedServer(SimulatedVendor(timing=Timing(scale=0))) as server:
        pipeline = demo_pipeline(
            server.openai_base_url,
            server.base_url,
            telemetry=Telemetry(registry=CollectorRegistry()),
            ledger=Bills(),
            waits=False,
        )
        async with pipeline:
            tours = [await run_scenarios(pipeline, run=f"tour-{number}") for number in range(2)]
    for tour in tours:
        assert [result.calls[-1].record.end for result in tour] == [scenario.ends for scenario in SCENARIOS]
    first, second = ([[len(call.record.attempts) for call in result.calls] for result in tour] for tour in tours)
    assert first == second
