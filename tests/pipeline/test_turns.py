"""One at a time, over all event loops."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from glassway.pipeline.turns import Turns

pytestmark = pytest.mark.anyio


async def test_first_come_first_served() -> None:
    turns, order = Turns(), []

    async def work(number: int) -> None:
        async with turns:
            order.append(number)
            await asyncio.sleep(0)
            order.append(number)

    await asyncio.gather(*(work(number) for number in range(5)))
    assert order == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]


def test_never_two_at_once_on_however_many_loops() -> None:
    turns, inside, most, done = Turns(), 0, 0, 0
    counting = threading.Lock()

    async def work() -> None:
        nonlocal inside, most, done
        async with turns:
            with counting:
                inside += 1
                most = max(most, inside)
            await asyncio.sleep(0)
            with counting:
                inside -= 1
                done += 1

    async def several() -> None:
        await asyncio.gather(*(work() for _ in range(50)))

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: asyncio.run(several()), range(4)))
    assert (most, done) == (1, 200)


@pytest.mark.parametrize("cancelled", [[1], [1, 2], [3], [1, 2, 3]])
async def test_who_is_cancelled_while_waiting_leaves_the_line(cancelled: list[int]) -> None:
    turns, order = Turns(), []

    async def work(number: int) -> None:
        async with turns:
            order.append(number)
            await asyncio.sleep(0.01)

    tasks = [asyncio.ensure_future(work(number)) for number in range(5)]
    await asyncio.sleep(0)
    for number in cancelled:
        tasks[number].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert order == [number for number in range(5) if number not in cancelled]
    async with turns:
        pass


async def test_who_is_cancelled_in_the_moment_of_its_turn_passes_it_on() -> None:
    turns, order = Turns(), []

    async def work(number: int) -> None:
        async with turns:
            order.append(number)

    await turns.__aenter__()
    tasks = [asyncio.ensure_future(work(number)) for number in range(2)]
    await asyncio.sleep(0)
    await turns.__aexit__(None, None, None)  # the first has its turn, and does not know it yet
    tasks[0].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert order == [1]
    async with asyncio.timeout(5), turns:
        pass


async def test_one_that_fails_inside_lets_the_next_in() -> None:
    turns = Turns()

    async def fail() -> None:
        async with turns:
            raise ValueError("inside")

    with pytest.raises(ValueError, match="inside"):
        await fail()
    async with asyncio.timeout(5), turns:
        pass


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
def test_a_loop_that_was_closed_without_a_word_keeps_nobody_waiting() -> None:
    turns = Turns()

    async def work() -> None:
        async with turns:
            pass

    async def hold() -> None:
        await turns.__aenter__()
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=_abandon, args=(loop, work()))
        thread.start()
        thread.join()
        await turns.__aexit__(None, None, None)
        async with asyncio.timeout(5), turns:
            pass

    asyncio.run(hold())


def _abandon(loop: asyncio.AbstractEventLoop, work: object) -> None:
    """Begin something and close the loop under it."""
    task = loop.create_task(work)  # type: ignore[arg-type]  # a coroutine
    loop.run_until_complete(asyncio.sleep(0.01))
    loop.set_exception_handler(lambda *_: None)
    task._log_destroy_pending = False  # type: ignore[attr-defined]  # it is: that is what is tested
    loop.close()
