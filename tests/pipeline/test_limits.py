"""Time limits: what `asyncio.timeout` does, with one timer for all of a loop."""

from __future__ import annotations

import asyncio
import gc
import random
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from glassway.pipeline import limits
from glassway.pipeline.limits import Limit

pytestmark = pytest.mark.anyio


async def test_a_block_that_takes_too_long_is_cancelled_and_says_so() -> None:
    began = time.monotonic()
    limit = Limit(0.05)
    with pytest.raises(TimeoutError) as told:
        async with limit:
            await asyncio.sleep(30)
    assert 0.05 <= time.monotonic() - began < 5
    assert limit.expired()
    assert isinstance(told.value.__cause__, asyncio.CancelledError)
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_one_that_does_not_is_left_alone() -> None:
    async with Limit(0.05) as limit:
        await asyncio.sleep(0)
    assert not limit.expired()
    await asyncio.sleep(0.1)  # nothing strikes later


@pytest.mark.parametrize("seconds", [0, -1])
async def test_no_time_at_all_ends_at_the_first_wait(seconds: float) -> None:
    with pytest.raises(TimeoutError):
        async with Limit(seconds):
            await asyncio.sleep(30)


async def test_a_timeout_of_somebody_inside_is_theirs() -> None:
    limit = Limit(30)
    with pytest.raises(TimeoutError, match="theirs"):
        async with limit:
            raise TimeoutError("theirs")
    assert not limit.expired()


async def test_a_task_that_is_cancelled_meanwhile_stays_cancelled() -> None:
    async def work() -> None:
        async with Limit(30):
            await asyncio.sleep(30)

    task = asyncio.ensure_future(work())
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_of_two_limits_the_nearer_strikes_and_the_other_does_not() -> None:
    outer, inner = Limit(30), Limit(0.02)
    async with outer:
        with pytest.raises(TimeoutError):
            async with inner:
                await asyncio.sleep(30)
        await asyncio.sleep(0)
    assert (outer.expired(), inner.expired()) == (False, True)
    outer, inner = Limit(0.02), Limit(30)
    with pytest.raises(TimeoutError):
        async with outer, inner:
            await asyncio.sleep(30)
    assert (outer.expired(), inner.expired()) == (True, False)


async def test_a_nearer_one_that_comes_later_is_not_late() -> None:
    async def outlived(seconds: float) -> float:
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            async with Limit(seconds):
                await asyncio.sleep(30)
        return time.monotonic() - began

    async with asyncio.TaskGroup() as group:
        tasks = []
        for seconds in (0.3, 0.2, 0.1, 0.05):
            tasks.append(group.create_task(outlived(seconds)))
            await asyncio.sleep(0.005)
    for task, seconds in zip(tasks, (0.3, 0.2, 0.1, 0.05), strict=True):
        assert seconds <= task.result() < seconds + 2


async def test_all_of_a_loop_share_one_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    loop: Any = asyncio.get_running_loop()
    made: list[float] = []
    call_at = loop.call_at
    monkeypatch.setattr(loop, "call_at", lambda when, *args, **more: made.append(when) or call_at(when, *args, **more))

    async def quick() -> None:
        async with Limit(60):
            await asyncio.sleep(0)

    await quick()
    before = len(made)
    await asyncio.gather(*(quick() for _ in range(500)))
    assert len(made) - before <= 1


async def test_it_ends_as_asyncios_own_does() -> None:
    dice = random.Random(7)

    async def end(make: Any, limit_s: float, work_s: float, cancel_s: float | None) -> str:
        async def work() -> str:
            async with make(limit_s):
                await asyncio.sleep(work_s)
            return "done"

        task = asyncio.ensure_future(work())
        if cancel_s is not None:
            asyncio.get_running_loop().call_later(cancel_s, task.cancel)
        result = (await asyncio.gather(task, return_exceptions=True))[0]
        return result if isinstance(result, str) else type(result).__name__

    cases = []
    for _ in range(200):
        # far enough apart that a busy machine does not change their order
        first, second, third = dice.sample([0.05, 0.6, 1.4], 3)
        cases.append((first, second, dice.choice([None, third])))
    ours, theirs = await asyncio.gather(
        asyncio.gather(*(end(Limit, *case) for case in cases)),
        asyncio.gather(*(end(asyncio.timeout, *case) for case in cases)),
    )
    assert ours == theirs
    assert set(ours) == {"done", "TimeoutError", "CancelledError"}


def test_loops_in_several_threads_and_one_after_the_other_have_their_own() -> None:
    async def several() -> list[str]:
        async def one(seconds: float) -> str:
            try:
                async with Limit(seconds):
                    await asyncio.sleep(0.1)
            except TimeoutError:
                return "late"
            return "done"

        return list(await asyncio.gather(*(one(seconds) for seconds in (0.02, 30) * 20)))

    def twice(_: int) -> list[str]:
        return asyncio.run(several()) + asyncio.run(several())

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(twice, range(4))) == [["late", "done"] * 40] * 4


def test_limits_of_two_threads_may_strike_in_the_same_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A context is entered by one thread at a time: a timer that both loops ran in one would fail in the second, and no limit of it ever strike."""
    both = threading.Barrier(2, timeout=10)
    expire = Limit.expire

    def at_once(limit: Limit) -> None:
        both.wait()
        expire(limit)

    monkeypatch.setattr(Limit, "expire", at_once)

    async def outlived() -> str:
        try:
            async with asyncio.timeout(20):
                async with Limit(0.05):
                    await asyncio.sleep(30)
        except TimeoutError:
            return "struck"
        return "never"

    with ThreadPoolExecutor(2) as threads:
        began = time.monotonic()
        assert list(threads.map(lambda _: asyncio.run(outlived()), range(2))) == ["struck"] * 2
        assert time.monotonic() - began < 10


def test_nothing_is_held_once_the_block_is_left(small_heap: None) -> None:
    class Weight: ...

    async def work() -> weakref.ref[Weight]:
        weight = Weight()
        async with Limit(600):
            await asyncio.sleep(0)
        return weakref.ref(weight)

    async def main() -> weakref.ref[Weight]:
        return await asyncio.ensure_future(work())

    def in_a_thread() -> None:
        found.append(asyncio.run(main()))
        watch = limits._here.watch
        left.append(len(watch.limits) if watch is not None else -1)

    found: list[weakref.ref[Weight]] = []
    left: list[int] = []
    thread = threading.Thread(target=in_a_thread)
    thread.start()
    thread.join()
    gc.collect()
    assert found[0]() is None
    assert left == [0]


async def test_outside_a_task_it_says_what_is_missing() -> None:
    loop = asyncio.get_running_loop()
    said: list[BaseException] = []

    def callback() -> None:
        try:
            Limit(1).__aenter__().send(None)
        except RuntimeError as error:
            said.append(error)

    loop.call_soon(callback)
    await asyncio.sleep(0.01)
    assert "needs a task" in str(said[0])
