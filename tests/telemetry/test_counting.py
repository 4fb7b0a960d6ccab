"""What is counted waits in lists, and is in the sums whenever somebody looks."""

from __future__ import annotations

import gc
import random
import threading
from bisect import bisect_left
from typing import Any

import pytest
from builders import ask
from prometheus_client import CollectorRegistry

from glassway import ChatResponse, Pipeline, Telemetry
from glassway.pipeline.telemetry import board as board_module
from glassway.pipeline.telemetry import names
from glassway.pipeline.telemetry.board import Board, Distribution
from glassway.pipeline.telemetry.metrics import _FOLD_EVERY
from glassway.testing import FakeProvider

CALLS = {"operation": "chat", "provider": "fake", "model": "fake-model", "end": "completed", "error_type": ""}


def board_of(registry: CollectorRegistry) -> Board:
    [board] = [collector for collector in registry._collector_to_names if isinstance(collector, Board)]
    return board


def waiting(board: Board) -> int:
    numbers = [number for each in board._numbers.values() for number in each.values()]
    distributions = [one for each in board._distributions.values() for one in each.values()]
    return sum(len(one._waiting) for one in (*numbers, *distributions))


def test_folding_at_any_moment_gives_the_same_buckets() -> None:
    random.seed(7)
    buckets = (0.001, 0.01, 0.1, 1.0)
    distribution = Distribution(buckets)
    expected = [0] * (len(buckets) + 1)
    values = [random.choice([0.0, 0.001, 0.005, 0.1, 0.7, 1.0, 30.0]) for _ in range(500)]
    for value in values:
        distribution.observe(value)
        expected[bisect_left(buckets, value)] += 1
        if random.random() < 0.05:
            distribution.fold()
    distribution.fold()
    assert distribution.counts == expected
    assert distribution.sum == pytest.approx(sum(values))


@pytest.mark.anyio
async def test_every_call_that_has_ended_is_in_a_scrape() -> None:
    registry = CollectorRegistry()
    pipeline = Pipeline([], FakeProvider(), telemetry=Telemetry(registry=registry))
    for done in range(1, 8):
        await pipeline.send(ask())
        assert registry.get_sample_value("glassway_calls_total", CALLS) == done
        assert registry.get_sample_value("glassway_calls_in_flight", {"stream": "false"}) == 0


@pytest.mark.anyio
async def test_what_waits_is_bounded_though_nobody_scrapes() -> None:
    registry = CollectorRegistry()
    pipeline = Pipeline([], FakeProvider(), telemetry=Telemetry(registry=registry))
    await pipeline.send(ask())
    of_one = waiting(board_of(registry))
    most = 0
    for _ in range(2 * _FOLD_EVERY + 50):
        await pipeline.send(ask())
        most = max(most, waiting(board_of(registry)))
    assert of_one > 5
    assert most <= of_one * _FOLD_EVERY
    assert registry.get_sample_value("glassway_calls_total", CALLS) == 2 * _FOLD_EVERY + 51


def test_threads_that_count_while_another_scrapes_lose_nothing() -> None:
    board = Board()
    labels = ("completed",)
    number = board.number(names.CALLS, labels)

    def count() -> None:
        for _ in range(5000):
            with board.lock:
                number.add(1)

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        board.fold()
    board.fold()
    assert number.value == 20000


def test_what_a_finaliser_adds_in_the_middle_of_a_fold_waits_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python may collect garbage at any allocation, on the same thread: that may end a call, the last one before a fold."""
    board = Board()
    number = board.number(names.CALLS, ("completed",))
    taken = board_module._taken

    def interrupted(waiting: list[float]) -> list[float]:
        with board.lock:
            number.add(1)
            board.fold()
        return taken(waiting)

    number.add(5)
    monkeypatch.setattr(board_module, "_taken", interrupted)
    board.fold()
    monkeypatch.undo()
    board.fold()
    assert number.value == 6


@pytest.mark.anyio
async def test_what_observes_a_call_is_let_go_of_when_it_has_ended(small_heap: Any) -> None:
    """An observer may hold its call: without this each would be garbage that only the collector parts."""
    pipeline = Pipeline([holding], answering, telemetry=False)
    for _ in range(3):
        await pipeline.send(ask())
    gc.collect()
    gc.disable()
    try:
        for _ in range(20):
            await pipeline.send(ask())
        assert gc.collect() == 0
    finally:
        gc.enable()


async def holding(call: Any, call_next: Any) -> Any:
    call.when_recorded(lambda record, outcome: (call, record, outcome))
    return await call_next(call)


async def answering(_call: Any) -> ChatResponse:
    """Unlike a `FakeProvider`, which keeps what it was asked."""
    return ChatResponse(choices=({"index": 0, "message": {"role": "assistant", "content": "Hi"}},))
