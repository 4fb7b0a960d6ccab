"""Limits and budgets over processes: never exceeded by one request or one micro-dollar, whatever dies in the middle."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
import redis
from concurrency.crowd import Crowd, crowd
from realservers import RedisServer

from glassway import ChatRequest, Pipeline
from glassway.middlewares import Budget, BudgetOf, Limit, RateLimit
from glassway.pipeline.errors import BudgetExceeded, RateLimitExceeded, StoreError
from glassway.pipeline.types import Message, Usage
from glassway.stores import Store
from glassway.testing import FakeProvider, Scripted

pytestmark = pytest.mark.slow

HOUR_S = 3600.0
PATIENT = "?timeout_s=30&pause_s=0.05"
QUICK = "?timeout_s=5&pause_s=0.05"
PRICES = {"fake/m": {"input": 0, "output": 1}}
"""A micro-dollar for each token of output."""
USED = Usage(prompt_tokens=0, completion_tokens=7, total_tokens=7)
_stages: dict[str, Any] = {}
"""One stage a process, as in a gateway: what its tasks share."""


def stage_of(kind: str, store: Store, most: int, policy: str) -> Any:
    if kind not in _stages:
        _stages[kind] = (
            RateLimit(limits=[Limit(requests=most, per_s=HOUR_S)], store=store, on_store_failure=policy)  # type: ignore[arg-type]
            if kind == "requests"
            else RateLimit(limits=[Limit(tokens=most, per_s=HOUR_S)], store=store, on_store_failure=policy)  # type: ignore[arg-type]
            if kind == "tokens"
            else Budget(
                budgets=[BudgetOf(usd=f"{most / 1e6:.6f}", period=HOUR_S)],
                overrides=PRICES,
                store=store,
                on_store_failure=policy,  # type: ignore[arg-type]
            )
        )
    return _stages[kind]


async def ask(store: Store, number: int, *, kind: str, most: int, times: int, seconds: float = 0.0) -> list[int]:
    """[calls that reached the vendor, calls that were refused, calls that failed for want of the store]."""
    provider = FakeProvider([Scripted(usage=USED)])
    stage = stage_of(kind, store, most, "fail_closed")
    request = ChatRequest(model="fake/m", messages=(Message(role="user", content="Hi"),), max_tokens=50)
    until, refused, failed, done = time.monotonic() + seconds, 0, 0, 0
    async with Pipeline([stage], provider, telemetry=False) as pipeline:
        while done < times or time.monotonic() < until:
            done += 1
            try:
                await pipeline.send(request)
            except (RateLimitExceeded, BudgetExceeded):
                refused += 1
            except StoreError:
                failed += 1
            if seconds:
                await asyncio.sleep(0.02)
    return [len(provider.calls), refused, failed]


def sums(answers: list[list[int]]) -> list[int]:
    return [sum(each) for each in zip(*answers, strict=True)]


def in_window(server: RedisServer, pattern: str) -> int:
    """Units that all windows of this name hold."""
    with redis.Redis.from_url(server.url) as client:
        return sum(int(client.hget(key, "T")) for key in client.scan_iter(f"{pattern}*"))


def test_requests_are_never_more_than_the_limit(redis_server: RedisServer) -> None:
    place = f"{redis_server.url}{PATIENT}&prefix=rl:"
    passed, refused, failed = sums(crowd(ask, place, kind="requests", most=300, times=3))
    assert (passed, refused, failed) == (300, 4 * 64 * 3 - 300, 0)


def test_tokens_are_put_right_and_never_lost(redis_server: RedisServer) -> None:
    place = f"{redis_server.url}{PATIENT}&prefix=tk:"
    passed, refused, failed = sums(crowd(ask, place, kind="tokens", most=10_000_000, times=3))
    assert (passed, refused, failed) == (4 * 64 * 3, 0, 0)
    assert in_window(redis_server, "tk:w:rate:all/3600s:tokens") == 7 * passed


def test_a_budget_is_never_overrun_and_holds_the_bills_to_the_micro_dollar(redis_server: RedisServer) -> None:
    place = f"{redis_server.url}{PATIENT}&prefix=bu:"
    most = 3_000
    passed, _, failed = sums(crowd(ask, place, kind="money", most=most, times=3))
    spent = in_window(redis_server, "bu:w:budget:all/3600s")
    assert failed == 0
    assert spent == 7 * passed <= most
    assert passed >= most // 50  # so many reservations fit at once, and more after them


@pytest.mark.parametrize(("kind", "window"), [("requests", "glassway:w:rate:all"), ("money", "glassway:w:budget:all")])
def test_nor_while_the_server_is_killed_and_started_again(
    own_redis_server: RedisServer, kind: str, window: str
) -> None:
    most = 400 if kind == "requests" else 2_000
    with Crowd(ask, f"{own_redis_server.url}{QUICK}", kind=kind, most=most, times=1, seconds=5.0) as people:
        people.go()
        until = time.monotonic() + 60
        while in_window(own_redis_server, window) < 100:
            assert time.monotonic() < until
            time.sleep(0.005)
        own_redis_server.kill()
        time.sleep(0.3)
        own_redis_server.restart()
        passed, refused, failed = sums(people.results())
    assert failed > 0
    assert refused > 0
    assert passed <= (most if kind == "requests" else most // 7)
    assert in_window(own_redis_server, window) >= (passed if kind == "requests" else 7 * passed)
