"""Trying again: when, how often, after which pause."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from builders import make, server_error

from glassway import CallOptions
from glassway.middlewares import Fallback, Retry, RetryPolicy, Timeout
from glassway.pipeline.call import NO_OPTIONS
from glassway.pipeline.errors import (
    AllAttemptsFailed,
    APIConnectionError,
    APIError,
    BadRequestError,
    CircuitOpen,
    ConfigError,
    RateLimitError,
    StreamInterruptedError,
)
from glassway.pipeline.facts import RETRIES, RETRY_STOPS, Retried, RetryStopped
from glassway.pipeline.stagenames import make_stage
from glassway.pipeline.stream import Stream
from glassway.testing import Scripted
from glassway.testing.telemetry import assert_conformant, record_telemetry

pytestmark = pytest.mark.anyio


async def failure(setup: Any, options: CallOptions = NO_OPTIONS, **fields: Any) -> Exception:
    with pytest.raises(Exception) as caught:
        await setup.answer(options, **fields)
    return caught.value


async def test_the_first_try_that_works_is_the_answer() -> None:
    setup = make([Retry(strategy="exponential")], [server_error(), server_error(), Scripted(text="third")])
    assert (await setup.answer()).text == "third"
    assert [attempt.reason for attempt in setup.record.attempts] == ["first", "retry", "retry"]
    assert [attempt.useful for attempt in setup.record.attempts] == [False, False, True]


async def test_pauses_grow_to_their_ceiling() -> None:
    setup = make([Retry(attempts=6, initial_s=1, multiplier=3, maximum_s=10, strategy="exponential")], [server_error()])
    await failure(setup)
    assert [retried.wait_s for retried in setup.record.get(RETRIES)] == [1, 3, 9, 10, 10]
    assert setup.clock.slept_s == 33


async def test_jitter_is_full() -> None:
    rolls: Iterator[float] = iter([0.0, 0.5, 1.0])
    setup = make([Retry(attempts=4, initial_s=2, random=lambda: next(rolls))], [server_error()])
    await failure(setup)
    assert setup.record.get(RETRIES) == tuple(
        Retried(i + 1, "server_error", wait_s, "backoff") for i, wait_s in enumerate([0.0, 2.0, 8.0])
    )


@pytest.mark.parametrize("wait_s", [0.0, 7.0, 60.0])
async def test_what_the_vendor_asks_for_is_obeyed(wait_s: float) -> None:
    setup = make([Retry(maximum_s=1)], [RateLimitError("slow", retry_after_s=wait_s), Scripted()])
    await setup.answer()
    assert setup.clock.slept_s == wait_s
    assert setup.record.get(RETRIES) == (Retried(1, "rate_limited", wait_s, "retry_after"),)


async def test_a_pause_that_is_too_long_is_not_taken() -> None:
    error = RateLimitError("slow", retry_after_s=61)
    setup = make([Retry()], [error, Scripted()])
    assert await failure(setup) is error
    assert setup.clock.slept_s == 0
    assert setup.record.get(RETRY_STOPS) == (RetryStopped(1, "rate_limited", "wait_too_long"),)


async def test_no_pause_ends_after_the_deadline() -> None:
    setup = make([Timeout(total_s=10), Retry()], [RateLimitError("slow", retry_after_s=10), Scripted()])
    await failure(setup)
    assert (setup.clock.slept_s, len(setup.provider.calls)) == (0, 1)
    assert setup.record.get(RETRY_STOPS) == (RetryStopped(1, "rate_limited", "no_time_left"),)


@pytest.mark.parametrize(("retries", "tries"), [(None, 3), (0, 1), (1, 2), (4, 5)])
async def test_a_call_may_say_how_often(retries: int | None, tries: int) -> None:
    setup = make([Retry()], [server_error()])
    error = await failure(setup, CallOptions(retries=retries))
    assert len(setup.provider.calls) == tries
    assert isinstance(error, APIError)
    assert error.attempts == tries


@pytest.mark.parametrize(
    ("error", "tries"),
    [
        (server_error(), 3),
        (APIConnectionError("gone"), 3),
        (StreamInterruptedError("cut before output"), 3),
        (BadRequestError("bad", status_code=400), 1),
        (RateLimitError("the quota is used up", retryable=False), 1),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
async def test_only_errors_that_may_pass_are_tried_again(error: APIError, tries: int, stream: bool) -> None:
    setup = make([Retry()], [error])
    assert await failure(setup, stream=stream) is error
    assert len(setup.provider.calls) == tries


@pytest.mark.parametrize("verdict", [True, False])
async def test_which_errors_may_be_said(verdict: bool) -> None:
    setup = make(
        [Retry(attempts=2, retry_if=lambda error: verdict)], [BadRequestError("bad") if verdict else server_error()]
    )
    await failure(setup)
    assert len(setup.provider.calls) == (2 if verdict else 1)


async def test_what_is_no_vendor_error_is_never_tried_again() -> None:
    calls: list[int] = []

    async def buggy(call: Any, call_next: Any) -> Any:
        calls.append(1)
        raise ValueError

    await failure(make([Retry(), buggy]))
    assert len(calls) == 1


async def test_after_output_nobody_tries_again() -> None:
    setup = make([Retry()], [Scripted(after_chunks=1), Scripted()])
    reply = await setup.send(stream=True)
    assert isinstance(reply, Stream)
    with pytest.raises(StreamInterruptedError):
        await reply.response()
    assert len(setup.provider.calls) == 1


async def test_the_attempt_budget_ends_it_without_a_further_pause() -> None:
    setup = make([Retry(attempts=9, strategy="exponential", initial_s=1, maximum_s=1)], [server_error()], attempts=3)
    error = await failure(setup)
    assert not isinstance(error, AllAttemptsFailed)
    assert (len(setup.provider.calls), setup.clock.slept_s) == (3, 2)
    assert setup.record.get(RETRY_STOPS) == (RetryStopped(3, "server_error", "attempt_budget_spent"),)


async def test_pauses_may_grow_by_the_same_each_time() -> None:
    setup = make([Retry(attempts=6, strategy="linear", initial_s=2, maximum_s=7)], [server_error()])
    await failure(setup)
    assert [retried.wait_s for retried in setup.record.get(RETRIES)] == [2, 4, 6, 7, 7]
    assert setup.record.get(RETRY_STOPS) == (RetryStopped(6, "server_error", "tries_spent"),)


async def test_pauses_reach_their_ceiling_however_many_tries_there_are() -> None:
    retry = Retry(attempts=3000, strategy="exponential", initial_s=1, maximum_s=1, budget_share=None)
    setup = make([retry], [server_error()], attempts=3000, timeout_s=None)
    await failure(setup)
    assert setup.clock.slept_s == 2999


@pytest.mark.parametrize(
    ("policy", "error", "waits"),
    [
        (RetryPolicy(attempts=5, strategy="linear", initial_s=3), RateLimitError("slow"), [3, 6, 8, 8]),
        (RetryPolicy(initial_s=20), RateLimitError("slow"), [20, 20]),
        (RetryPolicy(attempts=1), RateLimitError("slow"), []),
        ("never", RateLimitError("slow"), []),
        (RetryPolicy(), server_error(), [1, 2]),
        (RetryPolicy(attempts=5), RateLimitError("the quota is used up", retryable=False), []),
    ],
    ids=["its own", "a longer pause", "once", "never", "another kind", "an error that knows better"],
)
async def test_a_kind_of_error_may_have_tries_and_pauses_of_its_own(
    policy: Any, error: Any, waits: list[float]
) -> None:
    setup = make([Retry(strategy="exponential", initial_s=1, by_kind={"rate_limited": policy})], [error])
    await failure(setup)
    assert [retried.wait_s for retried in setup.record.get(RETRIES)] == waits
    assert len(setup.provider.calls) == len(waits) + 1


async def test_a_kind_that_is_named_is_tried_again_though_it_does_not_ask_for_it() -> None:
    opened: list[int] = []

    async def breaker(call: Any, call_next: Any) -> Any:
        opened.append(1)
        if len(opened) < 3:
            raise CircuitOpen("not now", retry_after_s=4)
        return await call_next(call)

    setup = make([Retry(by_kind={"circuit_open": RetryPolicy(attempts=3)}), breaker])
    await setup.answer()
    assert (len(opened), setup.clock.slept_s) == (3, 8)


async def test_a_call_that_wants_no_retries_has_none_of_any_kind() -> None:
    setup = make([Retry(by_kind={"server_error": RetryPolicy(attempts=9)})], [server_error()])
    await failure(setup, CallOptions(retries=0))
    assert len(setup.provider.calls) == 1


async def test_an_outage_is_not_multiplied() -> None:
    """200 calls a second for 20 s, all failing: the retries are a tenth of the calls and the floor, in any window."""
    retry = Retry(initial_s=0, maximum_s=0, budget_share=0.1, budget_floor_per_s=1, budget_window_s=10)
    setup = make([retry], [server_error()], telemetry=False)
    per_second: list[int] = []
    for _ in range(20):
        before = len(setup.provider.calls)
        for _ in range(200):
            await failure(setup)
        setup.clock.advance(1)
        per_second.append(len(setup.provider.calls) - before - 200)
    assert all(sum(per_second[start : start + 10]) <= 0.1 * 2000 + 10 for start in range(11))
    assert sum(per_second) > 300
    assert any(
        stopped.reason == "retry_budget_spent" for record in setup.ends.records for stopped in record.get(RETRY_STOPS)
    )


async def test_when_the_budget_is_spent_the_error_goes_on_at_once_and_the_record_says_so() -> None:
    error = server_error()
    setup = make([Retry(initial_s=5, budget_share=0, budget_floor_per_s=0.1)], [error])
    await failure(setup)
    assert await failure(setup) is error
    assert [len(record.attempts) for record in setup.ends.records] == [2, 1]
    assert setup.ends.records[1].get(RETRY_STOPS) == (RetryStopped(1, "server_error", "retry_budget_spent"),)


async def test_what_was_spent_comes_back_when_its_window_is_over() -> None:
    setup = make([Retry(attempts=2, initial_s=0, budget_share=0, budget_floor_per_s=0.1)], [server_error()])
    await failure(setup)
    setup.clock.advance(9)
    await failure(setup)
    setup.clock.advance(2)
    await failure(setup)
    assert [len(record.attempts) for record in setup.ends.records] == [2, 1, 2]


async def test_tries_at_several_targets_are_told_apart() -> None:
    setup = make([Fallback(["fake/b"]), Retry(attempts=2, initial_s=0)], [server_error()])
    await failure(setup)
    assert setup.record.get(RETRY_STOPS) == (
        RetryStopped(2, "server_error", "tries_spent"),
        RetryStopped(4, "server_error", "tries_spent"),
    )


async def test_stops_are_counted_by_their_reason() -> None:
    labels = 'error_type="server_error",model="fake-model",provider="fake",reason="tries_spent"'
    with record_telemetry() as recorded:
        await failure(make([Retry(attempts=2)], [server_error()], telemetry=recorded.telemetry))
        assert recorded.metrics[f"glassway_retry_stops_total{{{labels}}}"] == 1
        assert_conformant(recorded.spans, recorded.metrics)


async def test_policies_may_be_written_in_yaml() -> None:
    stage: Any = make_stage(
        "retry", {"attempts": 4, "by_kind": {"rate_limited": {"attempts": 6, "initial_s": 2}, "timeout": "never"}}
    )
    assert stage.by_kind == {"rate_limited": RetryPolicy(attempts=6, initial_s=2), "timeout": "never"}
    with pytest.raises(ConfigError, match=r"by_kind.timeout: unknown key 'attemps'"):
        make_stage("retry", {"by_kind": {"timeout": {"attemps": 6}}})
    with pytest.raises(ConfigError, match=r"by_kind: expected"):
        make_stage("retry", {"by_kind": ["timeout"]})


@pytest.mark.parametrize(
    "settings",
    [
        {"attempts": 0},
        {"initial_s": -1.0},
        {"initial_s": 9.0, "maximum_s": 8.0},
        {"maximum_s": float("inf")},
        {"multiplier": 0.5},
        {"longest_wait_s": -1.0},
        {"strategy": "fibonacci"},
        {"by_kind": {"nonsense": "never"}},
        {"by_kind": {"guardrail_blocked": RetryPolicy(attempts=2)}},
        {"by_kind": {"timeout": 3}},
        {"by_kind": {"timeout": RetryPolicy(attempts=0)}},
        {"by_kind": {"timeout": RetryPolicy(multiplier=0.5)}},
        {"by_kind": {"timeout": RetryPolicy(maximum_s=0.1)}},
        {"budget_share": -0.1},
        {"budget_floor_per_s": -1.0},
        {"budget_window_s": 0.0},
    ],
    ids=repr,
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="Retry"):
        Retry(**settings)
