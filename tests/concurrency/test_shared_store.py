"""One Redis and many processes: what is shared is granted once, whatever dies in the middle."""

from __future__ import annotations

import asyncio
import time

import pytest
import redis
from concurrency.crowd import Crowd, crowd
from realservers import RedisServer

from glassway.pipeline.errors import StoreError
from glassway.stores import Store, Window, make_store

pytestmark = pytest.mark.slow

PATIENT = "?timeout_s=30&pause_s=0.05"
"""For two cores that run everything at once."""


async def take_some(store: Store, number: int, *, limit: int, times: int) -> int:
    """How many units this task was granted."""
    windows = [Window("shared", limit, 3600.0), Window(f"own-{number}", times, 3600.0)]
    return sum([(await store.take(windows, [1, 1])).granted for _ in range(times)])


async def take_and_give_back(store: Store, number: int, *, limit: int, times: int) -> int:
    """The most that it saw in the window."""
    window, most = Window("shared", limit, 3600.0), 0
    for _ in range(times):
        taken = await store.take([window], [2])
        most = max(most, taken.used[0])
        if taken.granted:
            await store.settle(window, taken.slices[0], -2)
    return most


async def be_the_one(store: Store, number: int, *, key: str) -> bool:
    return await store.compare_and_set(key, None, str(number).encode(), 3600)


async def take_through_an_outage(store: Store, number: int, *, limit: int, seconds: float) -> list[int]:
    """[units it knows that it has, questions that failed], asking until `seconds` are over and the window is full."""
    window, had, failed, until = Window("shared", limit, 3600.0), 0, 0, time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            taken = await store.take([window], [1])
        except (StoreError, redis.RedisError, OSError):
            failed += 1
            await asyncio.sleep(0.02)
            continue
        had += taken.granted
        await asyncio.sleep(0.005)
    return [had, failed]


def test_a_window_is_never_exceeded_by_one_unit(redis_server: RedisServer) -> None:
    place = f"{redis_server.url}{PATIENT}&prefix=a:"
    assert sum(crowd(take_some, place, limit=777, times=5)) == 777


def test_nor_while_units_are_given_back(redis_server: RedisServer) -> None:
    place = f"{redis_server.url}{PATIENT}&prefix=b:"
    assert max(crowd(take_and_give_back, place, limit=33, times=4)) <= 33


def test_nor_by_machines_whose_clocks_are_wrong(redis_server: RedisServer) -> None:
    place = f"{redis_server.url}{PATIENT}&prefix=c:"
    assert sum(crowd(take_some, place, ahead_s=[0, 7200, -7200, 86_400], limit=100, times=1)) == 100


def test_one_of_all_tasks_of_all_processes_replaces_a_value(redis_server: RedisServer) -> None:
    place = f"{redis_server.url}{PATIENT}&prefix=d:"
    assert sum(crowd(be_the_one, place, key="lease")) == 1


def test_a_server_that_is_killed_and_started_again_grants_no_unit_twice(own_redis_server: RedisServer) -> None:
    place = f"{own_redis_server.url}?timeout_s=5&pause_s=0.05"
    with Crowd(take_through_an_outage, place, limit=100_000, seconds=5.0) as people:
        people.go()
        wait_until_used(own_redis_server, 200)
        own_redis_server.kill()
        time.sleep(0.5)
        own_redis_server.restart()
        answers = people.results()
    had, failed = (sum(each) for each in zip(*answers, strict=True))
    used = asyncio.run(used_now(f"{own_redis_server.url}?timeout_s=30", 100_000))
    assert failed > 0
    assert had >= 200
    # What a task was granted is in the window. A question whose answer was lost may have been granted too.
    assert had <= used <= had + failed


def test_and_the_limit_holds_over_the_outage(own_redis_server: RedisServer) -> None:
    place = f"{own_redis_server.url}?timeout_s=5&pause_s=0.05"
    with Crowd(take_through_an_outage, place, limit=500, seconds=5.0) as people:
        people.go()
        wait_until_used(own_redis_server, 100)
        own_redis_server.kill()
        time.sleep(0.3)
        own_redis_server.restart()
        answers = people.results()
    had, failed = (sum(each) for each in zip(*answers, strict=True))
    assert 500 - failed <= had <= 500


def wait_until_used(server: RedisServer, units: int) -> None:
    until = time.monotonic() + 60
    with redis.Redis.from_url(server.url) as client:
        while int(client.hget("glassway:w:shared", "T") or 0) < units:
            assert time.monotonic() < until
            time.sleep(0.005)


async def used_now(place: str, limit: int) -> int:
    store = make_store(place)
    used = (await store.take([Window("shared", limit, 3600.0)], [0])).used[0]
    await store.aclose()
    return used
