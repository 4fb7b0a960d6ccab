"""Circuits over processes: opened once, told once, and nothing is sent by anybody then."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
import redis
from concurrency.crowd import Crowd, crowd
from realservers import RedisServer

from glassway import ChatRequest, Pipeline
from glassway.middlewares import CircuitBreaker, CircuitChange
from glassway.pipeline.errors import CircuitOpen, InternalServerError
from glassway.pipeline.types import Message
from glassway.stores import Store
from glassway.testing import FakeProvider

pytestmark = pytest.mark.slow

_made: dict[str, Any] = {}
"""One stage a process, as in a gateway."""


def breaker(store: Store) -> tuple[CircuitBreaker, list[CircuitChange]]:
    if not _made:
        heard: list[CircuitChange] = []
        stage = CircuitBreaker(
            failures=5, failure_share=None, open_s=600, refresh_s=0.05, store=store, on_change=heard.append
        )
        _made.update(stage=stage, heard=heard, told=iter([True]))
    return _made["stage"], _made["heard"]


async def fail(store: Store, number: int, *, seconds: float) -> list[int]:
    """[requests sent, calls refused, times that this process told of an open circuit (by its first task)]."""
    stage, heard = breaker(store)
    provider = FakeProvider([InternalServerError("down", status_code=500)])
    request = ChatRequest(model="fake/m", messages=(Message(role="user", content="Hi"),))
    refused, until = 0, time.monotonic() + seconds
    async with Pipeline([stage], provider, telemetry=False) as pipeline:
        while time.monotonic() < until:
            try:
                await pipeline.send(request)
            except CircuitOpen:
                refused += 1
            except InternalServerError:
                pass
            await asyncio.sleep(0.02)
    opened = len([change for change in heard if change.state == "open"]) if next(_made["told"], False) else 0
    return [len(provider.calls), refused, opened]


def sums(answers: list[list[int]]) -> list[int]:
    return [sum(each) for each in zip(*answers, strict=True)]


def test_it_is_opened_once_by_all_tasks_of_all_processes(redis_server: RedisServer) -> None:
    place = f"{redis_server.url}?timeout_s=30&prefix=circuits:"
    sent, refused, opened = sums(crowd(fail, place, seconds=3.0))
    assert opened == 1
    assert refused > 1000
    assert sent <= 4 * (64 + 5)  # at most those that were under way when it opened


def test_nor_is_it_told_twice_when_the_server_is_killed_and_started_again(own_redis_server: RedisServer) -> None:
    place = f"{own_redis_server.url}?timeout_s=5&pause_s=0.05"
    with Crowd(fail, place, seconds=5.0) as people:
        people.go()
        until = time.monotonic() + 60
        with redis.Redis.from_url(own_redis_server.url) as client:
            while not client.exists("glassway:v:circuit:circuit:fake/m"):
                assert time.monotonic() < until
                time.sleep(0.01)
        time.sleep(1.0)
        own_redis_server.kill()
        time.sleep(0.3)
        own_redis_server.restart()
        sent, refused, opened = sums(people.results())
    assert opened == 1
    assert refused > 1000
    assert sent <= 4 * (64 + 5)
