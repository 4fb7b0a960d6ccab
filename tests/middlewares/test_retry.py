"""Trying again: when, how often, after which pause."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from builders import make, server_error

from glassway import CallOptions
from glassway.middlewares import Retry, Timeout
from glassway.pipeline.call import NO_OPTIONS
from glassway.pipeline.errors import (
    AllAttemptsFailed,
    APIConnectionError,
    APIError,
    BadRequestError,
    ConfigError,
    RateLimitError,
    StreamInterruptedError,
)
from glassway.pipeline.facts import RETRIES, Retried
from glassway.pipeline.stream import Stream
from glassway.testing import Scripted

pytestmark = pytest.mark.anyio


async def failure(setup: Any, options: CallOptions = NO_OPTIONS, **fields: Any) -> Exception:
    with pytest.raises(Exception) as caught:
        await setup.answer(options, **fields)
    return caught.value


async def test_the_first_try_that_works_is_the_answer() -> None:
    setup = make([Retry(jitter=False)], [server_error(), server_error(), Scripted(text="third")])
    assert (await setup.answer()).text == "third"
    assert [attempt.reason for attempt in setup.record.attempts] == ["first", "retry", "retry"]
    assert [attempt.useful for attempt in setup.record.attempts] == [False, False, True]


async def test_pauses_grow_to_their_ceiling() -> None:
    setup = make([Retry(attempts=6, initial_s=1, multiplier=3, maximum_s=10, jitter=False)], [server_error()])
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


async def test_no_pause_ends_after_the_deadline() -> None:
    setup = make([Timeout(total_s=10), Retry()], [RateLimitError("slow", retry_after_s=10), Scripted()])
    await failure(setup)
    assert (setup.clock.slept_s, len(setup.provider.calls)) == (0, 1)


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
    setup = make([Retry(attempts=9, jitter=False, initial_s=1, maximum_s=1)], [server_error()], attempts=3)
    error = await failure(setup)
    assert not isinstance(error, AllAttemptsFailed)
    assert (len(setup.provider.calls), setup.clock.slept_s) == (3, 2)


@pytest.mark.parametrize(
    "settings",
    [{"attempts": 0}, {"initial_s": -1.0}, {"initial_s": 9.0, "maximum_s": 8.0}, {"multiplier": 0.5}],
    ids=lambda settings: next(iter(settings)),
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="Retry"):
        Retry(**settings)
