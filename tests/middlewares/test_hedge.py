"""A second request when the first is slow."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest
from builders import Ends, ask, make, read_texts, server_error

from glassway import Pipeline
from glassway.middlewares import Cost, Fallback, Hedge, Retry, Timeout
from glassway.middlewares.hedge.delays import Delays
from glassway.pipeline.call import CallOptions
from glassway.pipeline.errors import (
    APITimeoutError,
    BadRequestError,
    ConfigError,
    InternalServerError,
    PlanError,
    RateLimitError,
)
from glassway.pipeline.facts import HEDGES, Hedged
from glassway.pipeline.stagenames import make_stage
from glassway.pipeline.stream import Stream
from glassway.pipeline.types import ModerationRequest, Usage
from glassway.testing import FakeClock, FakeProvider, Scripted
from glassway.testing.telemetry import assert_conformant, record_telemetry

pytestmark = pytest.mark.anyio

SLOW = Scripted(text="slow", delay_s=30)
QUICK = Scripted(text="quick", delay_s=0.5)


async def text_of(reply: Any) -> str:
    return "".join(await read_texts(reply)) if isinstance(reply, Stream) else reply.text


def tasks() -> int:
    """Those that are left; the test's own and its runner's are not."""
    return len(
        [task for task in asyncio.all_tasks() if "anyio" not in repr(task) and task is not asyncio.current_task()]
    )


@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
async def test_a_slow_first_request_is_overtaken(stream: bool) -> None:
    setup = make([Hedge(after_s=2)], [SLOW, QUICK])
    assert await text_of(await setup.send(stream=stream)) == "quick"
    assert setup.clock.slept_s == 2.5
    assert setup.record.get(HEDGES) == (Hedged("fake/fake-model", 2, "hedge_won", "", (1,)),)
    assert [(a.reason, a.error, a.useful) for a in setup.record.attempts] == [
        ("first", "cancelled", False),
        ("hedge", None, True),
    ]
    assert (setup.provider.open_streams, tasks()) == (0, 0)


@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
async def test_a_first_request_may_still_win(stream: bool) -> None:
    setup = make([Hedge(after_s=2)], [Scripted(text="first", delay_s=3), SLOW])
    assert await text_of(await setup.send(stream=stream)) == "first"
    assert setup.clock.slept_s == 3
    assert setup.record.get(HEDGES) == (Hedged("fake/fake-model", 2, "first_won", "", (2,)),)
    assert [(a.error, a.useful) for a in setup.record.attempts] == [(None, True), ("cancelled", False)]
    assert (setup.provider.open_streams, tasks()) == (0, 0)


async def test_a_quick_answer_is_asked_for_once_in_the_callers_own_task_and_says_nothing() -> None:
    made: list[asyncio.Task[Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_task_factory(lambda loop, work, **more: made.append(asyncio.Task(work, loop=loop, **more)) or made[-1])
    try:
        setup = make([Hedge(after_s=2)], [QUICK])
        await setup.answer()
    finally:
        loop.set_task_factory(None)
    assert made == []
    assert setup.record.get(HEDGES) == ()
    assert len(setup.provider.calls) == 1


@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
async def test_of_two_answers_at_once_the_first_is_taken_and_the_other_is_waste(stream: bool) -> None:
    setup = make([Hedge(after_s=2)], [Scripted(text="first", delay_s=3), Scripted(text="second", delay_s=1)])
    assert await text_of(await setup.send(stream=stream)) == "first"
    assert setup.record.get(HEDGES)[0].result == "first_won"
    assert [a.useful for a in setup.record.attempts] == [True, False]
    assert setup.provider.open_streams == 0


async def test_the_second_request_may_go_elsewhere() -> None:
    one, other, ends = FakeProvider([SLOW], name="one"), FakeProvider([QUICK], name="other"), Ends()
    pipeline = Pipeline([ends, Hedge(after_s=1, target="other/b")], providers=[one, other], clock=FakeClock())
    assert (await pipeline.send(ask())).text == "quick"  # type: ignore[union-attr]  # no stream
    assert str(other.calls[0].target) == "other/b"
    assert ends.record.get(HEDGES)[0].target == "other/b"
    assert (ends.record.provider, ends.record.model) == ("other", "b")


async def test_an_error_before_the_delay_is_an_error() -> None:
    error = server_error()
    setup = make([Hedge(after_s=2)], [error, QUICK])
    with pytest.raises(InternalServerError) as caught:
        await setup.send()
    assert caught.value is error
    assert setup.record.get(HEDGES) == ()


async def test_an_error_that_may_pass_sends_the_second_at_once_if_it_is_told_to() -> None:
    setup = make([Hedge(after_s=2, on_error=True)], [server_error(), QUICK])
    assert (await setup.answer()).text == "quick"
    assert setup.clock.slept_s == 0.5
    refused = make([Hedge(after_s=2, on_error=True)], [BadRequestError("bad"), QUICK])
    with pytest.raises(BadRequestError):
        await refused.send()
    assert len(refused.provider.calls) == 1


@pytest.mark.parametrize(
    ("answers", "text", "result"),
    [
        ([Scripted(delay_s=3, error=server_error()), Scripted(text="second", delay_s=5)], "second", "hedge_won"),
        ([Scripted(text="first", delay_s=9), server_error()], "first", "first_won"),
    ],
    ids=["the first fails", "the second fails"],
)
async def test_a_failure_of_one_leaves_the_other_to_answer(answers: Any, text: str, result: str) -> None:
    setup = make([Hedge(after_s=2)], answers)
    assert (await setup.answer()).text == text
    assert setup.record.get(HEDGES)[0].result == result


async def test_when_both_fail_the_first_one_s_error_goes_on() -> None:
    first, second = server_error(), RateLimitError("slow")
    setup = make([Hedge(after_s=2)], [Scripted(delay_s=5, error=first), Scripted(delay_s=1, error=second)])
    with pytest.raises(InternalServerError) as caught:
        await setup.send()
    assert caught.value is first
    assert setup.record.get(HEDGES) == (Hedged("fake/fake-model", 2, "neither_won", "", (1, 2)),)


@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
@pytest.mark.parametrize("at_s", [1, 3], ids=["before the second", "with both under way"])
async def test_a_caller_that_goes_away_takes_both_along(stream: bool, at_s: float) -> None:
    setup = make([Hedge(after_s=2)], [SLOW, SLOW])
    task = asyncio.ensure_future(setup.send(stream=stream))
    await setup.clock.sleep(at_s)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert (setup.provider.open_streams, setup.pipeline.in_flight, tasks()) == (0, 0, 0)
    assert {attempt.error for attempt in setup.record.attempts} == {"cancelled"}
    assert all(attempt.end_ns for attempt in setup.record.attempts)


async def test_a_caller_s_cancellation_is_not_taken_for_that_of_the_loser() -> None:
    """The first request takes its time to go, and is not disturbed at it when the second one answers meanwhile."""
    gone_s: list[float] = []

    async def slow_to_go(call: Any, call_next: Any) -> Any:
        try:
            return await call_next(call)
        except asyncio.CancelledError:
            if call.reason == "first":
                await call.clock.sleep(2)
                gone_s.append(setup.clock.slept_s)
            raise

    setup = make([Hedge(after_s=2), slow_to_go], [SLOW, Scripted(delay_s=2)])
    task = asyncio.ensure_future(setup.send())
    await setup.clock.sleep(3)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert gone_s == [5]
    assert setup.record.end == "cancelled"
    assert tasks() == 0


@pytest.mark.parametrize("traced", [False, True])
async def test_it_is_seen_in_spans_and_metrics(traced: bool) -> None:
    answers = [SLOW, Scripted(text="quick", delay_s=1, usage=Usage(prompt_tokens=100, completion_tokens=10))]
    with record_telemetry() as recorded:
        setup = make([Hedge(after_s=2)], answers, telemetry=recorded.telemetry if traced else False)
        await setup.answer(stream=True)
        if not traced:
            return
        assert recorded.metrics['glassway_hedges_total{result="hedge_won",target="fake/fake-model"}'] == 1
        [span] = [span for span in recorded.spans if span.name == "Hedge"]
        assert [event.name for event in span.events] == ["glassway.hedge"]
        assert len([span for span in recorded.spans if span.name == "attempt"]) == 2
        assert_conformant(recorded.spans, recorded.metrics)


# -- caps


async def hedged(setup: Any, calls: int, **fields: Any) -> list[Hedged]:
    for _ in range(calls):
        await setup.answer(**fields)
    return [fact for record in setup.ends.records for fact in record.get(HEDGES)]


async def test_second_requests_are_a_share_of_all_calls() -> None:
    setup = make([Hedge(after_s=0.1, most_share=0.05, floor_per_s=0, window_s=1e6)], [Scripted(delay_s=1)])
    found = await hedged(setup, 100)
    assert [fact.result for fact in found].count("not_sent") == 95
    assert {fact.reason for fact in found if fact.result == "not_sent"} == {"share_spent"}
    assert len(setup.provider.calls) == 105


async def test_a_program_with_few_calls_has_the_floor() -> None:
    setup = make([Hedge(after_s=0.1, most_share=0, floor_per_s=0.1, window_s=20)], [Scripted(delay_s=1)])
    assert [fact.result for fact in await hedged(setup, 3)] == ["first_won", "first_won", "not_sent"]


PRICED = "openai/gpt-4o-mini"
"""0.15 and 0.60 US dollars for a million tokens: 0.00060 is reserved for 1000 of output, and a little for the prompt."""


async def priced(answers: list[Any], calls: int, *stages: Any) -> tuple[Ends, FakeProvider]:
    provider, ends, clock = FakeProvider(answers, name="openai"), Ends(), FakeClock()
    pipeline = Pipeline([ends, *stages], provider, clock=clock)
    for _ in range(calls):
        await pipeline.send(ask(model=PRICED))
    return ends, provider


async def test_their_money_is_capped_by_what_they_may_cost_at_most() -> None:
    ends, _ = await priced([Scripted(delay_s=1)], 3, Hedge(after_s=0.1, floor_per_s=9, most_usd=0.0013))
    found = [record.get(HEDGES)[0] for record in ends.records]
    assert [fact.reason for fact in found] == ["", "", "money_spent"]


async def test_the_bill_takes_the_place_of_the_estimate() -> None:
    ends, _ = await priced([Scripted(delay_s=1)], 9, Cost(), Hedge(after_s=0.1, floor_per_s=9, most_usd=0.0007))
    assert {record.get(HEDGES)[0].reason for record in ends.records} == {""}


async def test_what_has_no_price_is_not_asked_twice_under_a_cap_on_money() -> None:
    setup = make([Hedge(after_s=0.1, most_usd=5)], [Scripted(delay_s=1)])
    assert [fact.reason for fact in await hedged(setup, 1)] == ["unpriced"]


async def test_what_lost_is_waste_to_the_micro_dollar() -> None:
    """The loser is billed for its prompt, by estimate, and for the chunks that had come: none."""
    usage = Usage(prompt_tokens=1000, completion_tokens=100, total_tokens=1100)
    with record_telemetry() as recorded:
        provider, ends = FakeProvider([SLOW, Scripted(delay_s=1, usage=usage)], name="openai"), Ends()
        stages = [ends, Cost(), Hedge(after_s=2)]
        pipeline = Pipeline(stages, provider, clock=FakeClock(), telemetry=recorded.telemetry)
        await pipeline.send(ask(model=PRICED))
        cost = ends.record.cost
        assert cost is not None
        [waste] = [line for line in cost.lines if line.attempt == 1]
        assert (waste.item, waste.tokens) == ("input", 8)
        assert cost.wasted_usd == Decimal("0.0000012")
        assert cost.amount_usd == Decimal("0.0000012") + Decimal("0.00015") + Decimal("0.00006")
        assert cost.status == "estimated"
        assert recorded.metrics[f'glassway_hedge_waste_usd_total{{target="{PRICED}"}}'] == pytest.approx(1.2e-6)


async def test_an_answer_that_came_too_late_is_billed_as_waste() -> None:
    usage = Usage(prompt_tokens=1000, completion_tokens=100, total_tokens=1100)

    async def late(call: Any, call_next: Any) -> Any:
        """What holds an answer that is there already."""
        reply = await call_next(call)
        if call.reason == "first":
            await call.clock.sleep(10)
        return reply

    ends, _ = await priced([Scripted(usage=usage)], 1, Cost(), Hedge(after_s=2), late)
    cost = ends.record.cost
    assert cost is not None
    assert (cost.amount_usd, cost.wasted_usd, cost.status) == (Decimal("0.00042"), Decimal("0.00021"), "exact")


async def test_the_attempt_budget_is_kept() -> None:
    setup = make([Hedge(after_s=1)], [Scripted(delay_s=5)], attempts=1)
    assert [fact.reason for fact in await hedged(setup, 1)] == ["attempt_budget_spent"]


async def test_the_deadline_is_kept() -> None:
    setup = make([Hedge(after_s=1)], [SLOW])
    with pytest.raises(APITimeoutError, match="deadline"):
        await setup.answer(CallOptions(timeout_s=5))
    assert setup.clock.slept_s == 5
    assert tasks() == 0


@pytest.mark.parametrize(("operations", "sent"), [(("chat",), 1), (("chat", "moderation"), 2)])
async def test_only_named_operations_are_asked_twice(operations: Any, sent: int) -> None:
    ends, sends = Ends(), [0]

    async def vendor(call: Any) -> Any:
        sends[0] += 1
        await call.clock.sleep(5)
        return Scripted().response()

    pipeline = Pipeline([ends, Hedge(after_s=1, operations=operations)], vendor, clock=FakeClock())
    await pipeline.send(ModerationRequest(model="m", input="x"))
    assert sends[0] == sent


async def test_in_a_dry_run_nothing_is_sent() -> None:
    setup = make([Hedge(after_s=1)])
    await setup.pipeline.aexplain(ask())
    assert setup.provider.calls == []


# -- the adaptive delay


async def test_without_a_delay_the_last_answers_say_what_is_slow() -> None:
    quick, slow = Scripted(delay_s=1), Scripted(text="slow", delay_s=60)
    setup = make([Hedge(fewest_samples=10, floor_per_s=9)], [*[quick] * 10, slow, Scripted(text="second", delay_s=1)])
    found = await hedged(setup, 10)
    assert {(fact.result, fact.reason) for fact in found} == {("not_sent", "few_samples")}
    before_s = setup.clock.slept_s
    assert (await setup.answer()).text == "second"
    assert setup.clock.slept_s - before_s == 2
    assert setup.ends.records[-1].get(HEDGES)[0].after_s == 1


async def test_streams_and_whole_answers_have_delays_of_their_own() -> None:
    setup = make([Hedge(fewest_samples=1)], [Scripted(delay_s=1)])
    await setup.answer()
    await setup.answer(stream=True)
    assert setup.ends.records[1].get(HEDGES)[0].reason == "few_samples"


async def test_an_observed_delay_is_not_taken_for_less_than_the_least() -> None:
    setup = make([Hedge(fewest_samples=1, least_after_s=3)], [Scripted(), Scripted(delay_s=5)])
    await setup.answer()
    await setup.answer()
    assert setup.ends.records[1].get(HEDGES)[0].after_s == 3


def test_a_quantile_is_of_the_last_times_only() -> None:
    times = Delays(0.95, 100, 20).of("a")
    for number in range(19):
        times.note(number)
        assert times.slow_s is None
    for number in range(1, 132):
        times.note(number / 10)
    assert times.slow_s == 12.6


def test_times_are_kept_for_so_many_targets_only() -> None:
    delays = Delays(0.5, 10, 1)
    for number in range(300):
        delays.of(number).note(1)
    assert sum(delays.of(number).slow_s is not None for number in range(299, 43, -1)) == 256
    assert delays.of(0).slow_s is None


@pytest.mark.parametrize("after_s", [None, 0.5], ids=["adaptive", "fixed"])
async def test_a_general_slowdown_does_not_double_the_load(after_s: float | None) -> None:
    """200 calls a second; after 20 s every answer takes ten times as long, for 60 s."""
    clock = FakeClock()
    sent: list[tuple[int, str]] = []

    async def vendor(call: Any) -> Any:
        second = int(clock.slept_s)
        sent.append((second, call.reason))
        usual_s = (0.2, 0.3, 0.4)[len(sent) % 3]
        await clock.sleep(usual_s * (10 if second >= 20 else 1))
        return Scripted().response()

    pipeline = Pipeline([Hedge(after_s=after_s, window_s=10)], vendor, clock=clock, telemetry=False)
    calls: list[asyncio.Future[Any]] = []
    for _ in range(80):
        calls += [asyncio.ensure_future(pipeline.send(ask())) for _ in range(200)]
        await clock.sleep(1)
    await asyncio.gather(*calls)
    extras = [sum(reason == "hedge" for at, reason in sent if at == second) for second in range(80)]
    cap = 0.05 * 200 * 10 + 1
    assert all(sum(extras[start : start + 9]) <= cap for start in range(71))
    assert sum(extras[20:]) <= 0.05 * 200 * 60 + cap
    assert sum(extras[20:]) > (0.9 * 0.05 * 200 * 60 if after_s else 0)


# -- order and settings


@pytest.mark.parametrize("inner", [Retry(), Fallback(["fake/b"])], ids=lambda stage: type(stage).__name__)
def test_what_would_repeat_both_requests_stands_outside(inner: Any) -> None:
    with pytest.raises(PlanError, match="Move Hedge after"):
        make([Hedge(), inner])
    make([inner, Hedge(), Timeout(total_s=5)])


@pytest.mark.parametrize(
    "settings",
    [
        {"after_s": 0.0},
        {"after_s": float("inf")},
        {"quantile": 1.0},
        {"samples": 5},
        {"samples": 20_000},
        {"fewest_samples": 0},
        {"least_after_s": -1.0},
        {"most_share": 1.5},
        {"most_share": -0.1},
        {"floor_per_s": -1.0},
        {"window_s": 0.0},
        {"most_usd": 0},
        {"operations": ["chats"]},
        {"operations": "chat"},
    ],
    ids=repr,
)
def test_what_makes_no_sense_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="Hedge"):
        Hedge(**settings)


def test_it_may_be_written_in_yaml() -> None:
    settings = {"after_s": 2, "target": "other/b", "most_usd": 0.5, "operations": ["chat"]}
    assert make_stage("hedge", settings) == Hedge(2, "other/b", most_usd=0.5, operations=["chat"])
