"""Many processes that add to one semantic cache: each of their entries is found by whoever comes after."""

from __future__ import annotations

import asyncio
import math

import pytest
from concurrency.crowd import crowd
from realservers import RedisServer

from glassway.middlewares.semantic_cache.index import Index, Known, as_vector
from glassway.middlewares.semantic_cache.shelf import Log
from glassway.stores import Store, make_store

pytestmark = pytest.mark.slow

EACH = 3


def vector_of(number: int) -> list[float]:
    """A direction of its own for each entry."""
    return [math.cos(number / 100), math.sin(number / 100)]


async def tell(store: Store, number: int) -> int:
    """Add entries to the one log; how many of all it knows of at the end."""
    index = Index(10_000)
    log = Log(store, index, 10_000)
    for place in range(EACH):
        entry = number * EACH + place
        await log.append(Known(str(entry), "shared", entry, 2**62), as_vector(vector_of(entry)), 3600.0)
        await log.refresh("shared")
    return len(index)


def test_no_entry_is_lost_and_none_is_taken_twice(redis_server: RedisServer) -> None:
    place = f"{redis_server.url}?timeout_s=30&pause_s=0.05&prefix=semantic:"
    known = crowd(tell, place, tasks=16)
    entries = len(known) * EACH
    assert max(known) <= entries

    async def read() -> tuple[int, list[str]]:
        store = make_store(place)
        index = Index(10_000)
        log = Log(store, index, 10_000)
        while len(index) < entries:
            before = len(index)
            await log.refresh("shared")
            if len(index) == before:
                break
        found = [(await index.search("shared", as_vector(vector_of(entry))))[0].known.id for entry in range(entries)]
        await store.aclose()
        return len(index), found

    count, found = asyncio.run(read())
    assert count == entries
    assert found == [str(entry) for entry in range(entries)]
