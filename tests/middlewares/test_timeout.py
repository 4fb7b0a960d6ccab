"""Time limits, and the deadline that only ever moves nearer."""

from __future__ import annotations

from typing import Any

import pytest
from builders import ask, make, server_error

from glassway import CallOptions, Pipeline
from glassway.middlewares import Retry, Timeout
from glassway.pipeline.call import NO_OPTIONS
from glassway.pipeline.errors import APITimeoutError, ConfigError
from glassway.testing import Scripted

pytestmark = pytest.mark.anyio


async def timed_out(
    stages: list[Any], script: Scripted, *, stream: bool = True, options: CallOptions = NO_OPTIONS, **settings: Any
) -> tuple[str, float]:
    setup = make(stages, [script], **settings)
    with pytest.raises(APITimeoutError) as caught:
        await setup.answer(options, stream=stream)
    assert setup.provider.open_streams == 0
    assert setup.record.end == "timeout"
    return caught.value.message, setup.clock.slept_s


@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
async def test_the_first_chunk_has_its_limit(stream: bool) -> None:
    message, after_s = await timed_out([Timeout(first_chunk_s=2)], Scripted(delay_s=3), stream=stream)
    assert (message.split(".")[0], after_s) == ("No first chunk within 2 s", 2)


async def test_further_chunks_have_theirs() -> None:
    message, after_s = await timed_out([Timeout(between_chunks_s=2)], Scripted(delay_s=50, gap_s=3))
    assert (message.split(".")[0], after_s) == ("No further chunk within 2 s", 52)


@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
async def test_the_whole_has_one(stream: bool) -> None:
    message, after_s = await timed_out(
        [Timeout(total_s=4)], Scripted(delay_s=9 if not stream else 1, gap_s=1), stream=stream
    )
    assert message.startswith("The call's deadline passed while waiting for the vendor")
    assert after_s == 4


async def test_limits_that_are_kept_change_nothing() -> None:
    setup = make(
        [Timeout(total_s=60, first_chunk_s=2, between_chunks_s=2, connect_s=1)], [Scripted(delay_s=1, gap_s=1)]
    )
    assert (await setup.answer(stream=True)).text


@pytest.mark.parametrize("order", [(5, 2), (2, 5)])
async def test_the_tighter_of_two_limits_holds(order: tuple[int, int]) -> None:
    outer, inner = order
    assert (await timed_out([Timeout(total_s=outer), Timeout(total_s=inner)], Scripted(delay_s=50)))[1] == 2
    assert (await timed_out([Timeout(first_chunk_s=outer), Timeout(first_chunk_s=inner)], Scripted(delay_s=50)))[1] == 2


@pytest.mark.parametrize(
    ("option_s", "stage_s", "pipeline_s", "after_s"), [(1, 2, 3, 1), (3, 2, 1, 2), (None, 3, 2, 2), (5, 9, 1, 5)]
)
async def test_a_calls_own_limit_replaces_the_pipelines_and_a_stage_only_tightens_it(
    option_s: float | None, stage_s: float, pipeline_s: float, after_s: float
) -> None:
    options = CallOptions(timeout_s=option_s)
    assert (await timed_out([Timeout(total_s=stage_s)], Scripted(delay_s=50), options=options, timeout_s=pipeline_s))[
        1
    ] == after_s


async def test_outside_retry_the_whole_is_bounded() -> None:
    setup = make(
        [Timeout(total_s=5), Retry(attempts=9, strategy="exponential", initial_s=2, multiplier=1)], [server_error()]
    )
    with pytest.raises(Exception, match="The vendor failed"):
        await setup.send()
    assert (len(setup.provider.calls), setup.clock.slept_s) == (3, 4)


async def test_inside_retry_each_try_is_bounded_but_a_spent_deadline_is_final() -> None:
    setup = make(
        [Retry(attempts=3, strategy="exponential", initial_s=1, multiplier=1), Timeout(first_chunk_s=2)],
        [Scripted(delay_s=50)],
    )
    with pytest.raises(APITimeoutError):
        await setup.send()
    assert (len(setup.provider.calls), setup.clock.slept_s) == (3, 2 + 1 + 2 + 1 + 2)


async def test_a_providers_own_timeout_is_not_taken_for_the_calls() -> None:
    async def impatient(call: Any) -> Any:
        raise TimeoutError("a socket's")

    pipeline = Pipeline([Timeout(first_chunk_s=5)], impatient)
    with pytest.raises(TimeoutError, match="a socket's"):
        await pipeline.send(ask())


@pytest.mark.parametrize(
    "settings",
    [{}, {"total_s": 0}, {"first_chunk_s": -1}, {"connect_s": float("inf")}, {"between_chunks_s": float("nan")}],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="Timeout"):
        Timeout(**settings)
