"""The queue behind callbacks: bounded, counted to the last event, and harmless."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import textwrap
import threading
import time
import weakref
from collections import deque
from collections.abc import Iterator
from typing import Any

import pytest

from glassway.pipeline import delivery
from glassway.pipeline.delivery import Deliverer, DeliveryCounts, Recipient, delivery_counts

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("small_heap")]


class Counting:
    """What was counted since the beginning. What waits is counted of queues that are newer: others' may still move."""

    def __init__(self) -> None:
        gc.collect()
        self._before = _when_quiet()
        self._older = set(delivery._live)

    @property
    def now(self) -> DeliveryCounts:
        done = (now - before for now, before in zip(delivery_counts()[:3], self._before[:3], strict=True))
        return DeliveryCounts(*done, sum(queue.waiting for queue in set(delivery._live) - self._older))


def _when_quiet() -> DeliveryCounts:
    """The counts are the process's: what earlier tests left in their queues is delivered first."""
    before = delivery_counts()
    while True:
        time.sleep(0.03)
        if (now := delivery_counts()) == before:
            return now
        before = now


@pytest.fixture
def counting() -> Counting:
    return Counting()


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    opened = threading.Event()
    yield opened
    opened.set()


def offer(deliverer: Deliverer, sink: Any, *events: Any, loop: asyncio.AbstractEventLoop | None = None) -> None:
    for event in events:
        deliverer.offer(Recipient.of(sink), event, loop or asyncio.get_running_loop())


async def until_busy(deliverer: Deliverer, waiting: int) -> None:
    while deliverer.waiting != waiting:  # noqa: ASYNC110 - a thread sets it
        await asyncio.sleep(0.001)


async def test_everything_is_delivered_in_order_and_counted(counting: Counting) -> None:
    got: list[int] = []

    async def awaited(event: int) -> None:
        got.append(event)

    deliverer = Deliverer(100)
    offer(deliverer, got.append, *range(10))
    assert await deliverer.flush(5)
    offer(deliverer, awaited, *range(10))
    assert await deliverer.flush(5)
    deliverer.close()
    assert got == [*range(10), *range(10)]
    assert counting.now == (20, 0, 0, 0)


class Told:
    """An event that can be seen to be gone."""


def test_what_was_delivered_is_freed_one_for_each_that_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thirty that go at once are thirty that the garbage collector then sees made anew, a tenth of a call's time."""
    monkeypatch.setattr(delivery, "_KEPT", 4)
    queue = delivery._ThreadQueue(100)
    monkeypatch.setattr(
        queue, "_start", lambda: None
    )  # delivered here, so that nothing depends on when the thread runs
    gone: list[int] = []

    def offer_and_deliver(numbers: range) -> None:
        for number in numbers:
            told = Told()
            weakref.finalize(told, gone.append, number)
            assert queue.offer(lambda _: None, told)
            del told
        queue._deliver()

    offer_and_deliver(range(3))
    assert gone == []
    offer_and_deliver(range(3, 5))
    assert gone == [0, 1]
    offer_and_deliver(range(5, 8))
    assert gone == [0, 1, 2, 3, 4]
    offer_and_deliver(range(8, 9))
    assert gone == [0, 1, 2, 3, 4, 5]
    queue._spent.extend([(print, 1)] * 4)  # more than are kept
    assert queue.offer(print, 9)
    assert gone == [0, 1, 2, 3, 4, 5, 6, 7, 8]


def test_what_the_thread_lets_go_of_meanwhile_is_freed_already(monkeypatch: pytest.MonkeyPatch) -> None:
    queue = delivery._ThreadQueue(100)
    monkeypatch.setattr(queue, "_start", lambda: None)

    class LetGo(deque[Any]):
        """The thread falls asleep between the look and the step."""

        def popleft(self) -> Any:
            self.clear()
            return super().popleft()

    queue._spent = LetGo([(print, 1)])
    assert queue.offer(print, 2)
    assert queue.waiting == 1
    assert not queue._spent


async def test_a_full_queue_drops_and_counts(counting: Counting, gate: threading.Event) -> None:
    deliverer = Deliverer(2)
    entered = threading.Event()

    def stuck(event: int) -> None:
        entered.set()
        gate.wait()

    offer(deliverer, stuck, 0)
    await asyncio.to_thread(entered.wait)
    offer(deliverer, stuck, *range(5))
    assert counting.now == (0, 0, 3, 3)
    gate.set()
    assert await deliverer.flush(5)
    deliverer.close()
    assert counting.now == (3, 0, 3, 0)


async def test_a_full_queue_of_async_functions_drops_too(counting: Counting) -> None:
    async def awaited(event: int) -> None:
        await asyncio.sleep(0)

    deliverer = Deliverer(2)
    offer(deliverer, awaited, *range(5))
    assert await deliverer.flush(5)
    assert counting.now == (2, 0, 3, 0)


@pytest.mark.parametrize("awaits", [False, True], ids=["plain", "async"])
async def test_failures_are_counted(counting: Counting, awaits: bool) -> None:
    async def bad_async(event: int) -> None:
        raise ValueError(event)

    def bad(event: int) -> None:
        raise ValueError(event)

    deliverer = Deliverer(10)
    offer(deliverer, bad_async if awaits else bad, 1, 2)
    assert await deliverer.flush(5)
    deliverer.close()
    assert counting.now == (0, 2, 0, 0)


async def test_a_flush_waits_no_longer_than_it_may_and_closing_drops_the_rest(
    counting: Counting, gate: threading.Event
) -> None:
    deliverer = Deliverer(10)
    offer(deliverer, lambda event: gate.wait() and None, 1)
    await until_busy(deliverer, 1)
    await asyncio.sleep(0.05)
    offer(deliverer, print, 2, 3)
    began = time.monotonic()
    assert not await deliverer.flush(0.05)
    deliverer.close()
    assert time.monotonic() - began < 2
    assert counting.now.dropped == 2
    gate.set()
    assert await deliverer.flush(5)
    assert counting.now == (1, 0, 2, 0)


async def test_what_comes_after_closing_is_dropped(counting: Counting) -> None:
    deliverer = Deliverer(10)
    deliverer.close()
    offer(deliverer, print, 1)
    assert counting.now == (0, 0, 1, 0)


async def test_closing_drops_what_waits_for_a_loop(counting: Counting) -> None:
    async def awaited(event: int) -> None:
        raise AssertionError

    deliverer = Deliverer(10)
    offer(deliverer, awaited, 1, 2)
    deliverer.close()
    assert counting.now == (0, 0, 2, 0)


async def test_one_that_is_dropped_unclosed_delivers_what_it_has_and_leaves_no_thread() -> None:
    others, heard = set(threading.enumerate()), []
    deliverer = Deliverer(10)
    offer(deliverer, heard.append, 1, 2)
    (thread,) = set(threading.enumerate()) - others
    del deliverer
    gc.collect()
    thread.join(5)
    assert (heard, thread.is_alive()) == ([1, 2], False)


async def test_events_for_a_closed_loop_are_dropped(counting: Counting) -> None:
    async def awaited(event: int) -> None:
        raise AssertionError

    loop = asyncio.new_event_loop()
    loop.close()
    offer(Deliverer(10), awaited, 1, loop=loop)
    assert counting.now == (0, 0, 1, 0)


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_a_loop_that_ends_under_the_queue_loses_nothing_from_the_count(counting: Counting, turns: int) -> None:
    deliverer = Deliverer(10)

    async def forever(event: int) -> None:
        await asyncio.Event().wait()

    async def main() -> None:
        offer(deliverer, forever, 1, 2, 3)
        for _ in range(turns):
            await asyncio.sleep(0)

    asyncio.run(main())
    gc.collect()
    assert deliverer.waiting == 0
    assert counting.now == (0, 0, 3, 0)


def test_an_event_from_another_thread_reaches_the_calls_loop(counting: Counting) -> None:
    threads: list[int] = []

    async def awaited(event: int) -> None:
        threads.append(threading.get_ident())

    async def main() -> None:
        deliverer, loop = Deliverer(10), asyncio.get_running_loop()
        await asyncio.to_thread(lambda: offer(deliverer, awaited, 1, loop=loop))
        assert await deliverer.flush(5)

    asyncio.run(main())
    assert threads == [threading.get_ident()]
    assert counting.now == (1, 0, 0, 0)


@pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="no fork here")
def test_a_forked_child_delivers_its_own_events_and_not_its_parents() -> None:
    script = """
        import asyncio, os, threading
        from glassway.pipeline.delivery import Deliverer, Recipient

        gate, got, deliverer = threading.Event(), [], Deliverer(10)
        def slow(event):
            gate.wait()
            got.append(event)
        async def offer(*events):
            for event in events:
                deliverer.offer(Recipient.of(slow), event, asyncio.get_running_loop())
        asyncio.run(offer("parent", "parent 2"))
        while deliverer.waiting != 2: pass
        pid = os.fork()
        gate.set()
        if pid == 0:
            asyncio.run(offer("child"))
        else:
            os.waitpid(pid, 0)
        assert asyncio.run(deliverer.flush(5))
        print(got, flush=True)
        os._exit(0)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.splitlines() == ["['child']", "['parent', 'parent 2']"]
