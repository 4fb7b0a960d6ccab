"""The helper that proves what is shared: it must itself be able to fail."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from concurrency.crowd import Crowd, CrowdFailed, crowd

from glassway.stores import Store, Window

pytestmark = pytest.mark.slow


async def take_one(store: Store, number: int, *, limit: int) -> bool:
    return (await store.take([Window("key", limit, 600.0)], [1])).granted


async def tell_the_time(store: Store, number: int) -> list[Any]:
    return [number, time.time()]


async def raises(store: Store, number: int) -> None:
    raise RuntimeError("the crowd says why")


def test_what_is_shared_on_disk_is_granted_once_over_all_processes(tmp_path: Path) -> None:
    assert sum(crowd(take_one, f"disk:{tmp_path}/state", processes=3, tasks=20, limit=25)) == 25


def test_what_is_not_shared_is_granted_by_each_process() -> None:
    assert sum(crowd(take_one, "memory", processes=2, tasks=20, limit=15)) == 30


def test_every_task_has_a_number_and_a_process_may_have_a_wrong_clock() -> None:
    told = crowd(tell_the_time, "memory", processes=2, tasks=2, ahead_s=[0.0, 3600.0])
    assert [number for number, _ in told] == [0, 1, 2, 3]
    assert told[2][1] - told[0][1] == pytest.approx(3600, abs=60)


def test_a_process_that_fails_says_why() -> None:
    with pytest.raises(CrowdFailed, match="the crowd says why"):
        crowd(raises, "memory", processes=1, tasks=1)


def test_a_process_may_be_killed_and_the_others_counted(tmp_path: Path) -> None:
    with Crowd(tell_the_time, "memory", processes=2, tasks=1) as people:
        people.kill(0)
        people.go()
        assert [number for number, _ in people.results(of=[1])] == [1]
