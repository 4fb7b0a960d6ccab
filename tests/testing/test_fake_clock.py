"""The clock that takes no time."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from glassway.testing import FakeClock

pytestmark = pytest.mark.anyio


async def test_sleeping_takes_no_real_time_and_exactly_as_much_fake_time() -> None:
    clock, began = FakeClock(), time.monotonic()
    await clock.sleep(3600)
    assert clock.slept_s == 3600
    assert time.monotonic() - began < 5


async def test_sleepers_wake_in_the_order_of_their_time() -> None:
    clock, woken = FakeClock(), []

    async def sleeper(seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append((seconds, clock.slept_s))

    await asyncio.gather(sleeper(3), sleeper(1), sleeper(2))
    assert woken == [(1, 1), (2, 2), (3, 3)]


@pytest.mark.parametrize("seconds", [0, -1])
async def test_no_time_to_sleep_only_lets_others_run(seconds: float) -> None:
    clock, others = FakeClock(), []
    asyncio.get_running_loop().call_soon(others.append, 1)
    await clock.sleep(seconds)
    assert others == [1]
    assert clock.slept_s == 0


async def test_a_limit_that_is_over_raises_timeout_error() -> None:
    clock = FakeClock()
    with pytest.raises(TimeoutError):
        async with clock.limit(2):
            await clock.sleep(5)
    assert clock.slept_s == 2


async def test_a_limit_that_was_kept_never_fires_later() -> None:
    clock = FakeClock()
    async with clock.limit(2):
        await clock.sleep(1)
    await clock.sleep(10)
    assert clock.slept_s == 11


async def test_a_timer_goes_off_at_its_time_unless_it_is_cancelled() -> None:
    clock, went_off = FakeClock(), []
    clock.call_later(2, lambda: went_off.append(clock.slept_s))
    clock.call_later(3, lambda: went_off.append(clock.slept_s)).cancel()
    await clock.sleep(5)
    assert went_off == [2]


async def test_advance_wakes_who_slept_until_then() -> None:
    clock = FakeClock()
    task: asyncio.Task[Any] = asyncio.create_task(clock.sleep(5))
    await asyncio.sleep(0)
    clock.advance(4.9)
    await asyncio.sleep(0)
    assert not task.done()
    clock.advance(0.1)
    await task
    assert clock.slept_s == pytest.approx(5)


async def test_a_cancelled_sleeper_does_not_move_time() -> None:
    clock = FakeClock()
    cancelled = asyncio.create_task(clock.sleep(600))
    await asyncio.sleep(0)
    cancelled.cancel()
    await clock.sleep(1)
    for _ in range(100):
        await asyncio.sleep(0)
    assert clock.slept_s == 1


async def test_each_look_moves_a_ticking_clock() -> None:
    clock = FakeClock(tick_ns=7)
    assert clock.now_ns() - clock.now_ns() == -7


async def test_the_wall_starts_where_it_was_set_and_moves_along() -> None:
    clock = FakeClock(start_s=1000)
    assert clock.wall_ns() == 1000 * 10**9
    await clock.sleep(2)
    assert clock.wall_ns() == 1002 * 10**9


async def test_the_monotonic_side_never_stands_at_zero() -> None:
    assert FakeClock().now_ns() > 0


def test_the_fixtures_are_there_for_users(fake_clock: FakeClock, fake_provider: Any) -> None:
    assert fake_clock.slept_s == 0
    assert fake_provider.calls == []
