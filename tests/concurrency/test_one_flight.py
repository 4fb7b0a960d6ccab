"""Identical calls of all tasks of all processes: the vendor is asked once."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
import redis
from concurrency.crowd import Crowd, crowd
from realservers import RedisServer

from glassway import ChatRequest, Pipeline
from glassway.middlewares import Cache, Deduplicate
from glassway.pipeline.types import Message
from glassway.stores import Store
from glassway.testing import FakeProvider, Scripted

pytestmark = pytest.mark.slow

_made: dict[str, Any] = {}
"""One pipeline a process, as in a gateway."""


STAGES: dict[str, Any] = {
    "deduplicate": lambda store: Deduplicate(store=store, window_s=60),
    "cache": lambda store: Cache(store=store),
}


async def ask(store: Store, number: int, *, takes_s: float, stage_name: str = "deduplicate") -> list[int]:
    """[right answers, requests that this process sent (by its first task)]."""
    if not _made:
        provider = FakeProvider([Scripted(text="The one answer.", delay_s=takes_s)])
        stage = STAGES[stage_name](store)
        _made.update(
            provider=provider, stage=stage, stack=Pipeline([stage], provider, telemetry=False), told=iter([True])
        )
    stream = number % 2 == 0
    request = ChatRequest(model="fake/m", messages=(Message(role="user", content="Hi"),), stream=stream)
    reply = await _made["stack"].send(request)
    text = (await reply.response()).text if stream else reply.text
    await asyncio.sleep(0.2)  # whatever else would be sent has been
    await _made["stage"]._afterwards.flush(10)  # as closing does: the answer is handed over
    return [text == "The one answer.", len(_made["provider"].calls) if next(_made["told"], False) else 0]


@pytest.mark.parametrize("stage_name", STAGES)
def test_all_tasks_of_all_processes_make_one_request(redis_server: RedisServer, stage_name: str) -> None:
    place = f"{redis_server.url}?timeout_s=30&prefix=flight-{stage_name}:"
    answers = crowd(ask, place, takes_s=1.0, stage_name=stage_name)
    assert [sum(each) for each in zip(*answers, strict=True)] == [256, 1]


def test_nor_more_when_the_server_is_killed_and_started_again_meanwhile(own_redis_server: RedisServer) -> None:
    place = f"{own_redis_server.url}?timeout_s=5&pause_s=0.05"
    with Crowd(ask, place, takes_s=3.0) as people:
        people.go()
        until = time.monotonic() + 60
        with redis.Redis.from_url(own_redis_server.url) as client:
            while not list(client.scan_iter("*:lease")):
                assert time.monotonic() < until
                time.sleep(0.01)
        time.sleep(1.0)  # all of them wait by now
        own_redis_server.kill()
        time.sleep(0.5)
        own_redis_server.restart()
        answers = people.results()
    assert [sum(each) for each in zip(*answers, strict=True)] == [256, 1]
