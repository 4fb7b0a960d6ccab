"""The index against plain Python: whatever comes and goes, it finds what is most similar."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from glassway.middlewares.semantic_cache.index import Index, Known, as_vector, vector_bytes, vector_from

VECTORS = st.lists(st.integers(-4, 4), min_size=3, max_size=3).filter(any)
PARTITIONS = st.sampled_from(["p", "q"])


class Reference(RuleBasedStateMachine):
    """At most 20 entries over two partitions, in the order in which they go."""

    ids = Bundle("ids")

    def __init__(self) -> None:
        super().__init__()
        self.index = Index(20)
        self.entries: dict[str, tuple[str, Any]] = {}
        self.made = 0

    @rule(target=ids, partition=PARTITIONS, vector=VECTORS)
    def add(self, partition: str, vector: list[int]) -> str:
        self.made += 1
        entry_id = str(self.made)
        gone = self.index.add(Known(entry_id, partition, self.made, 0), as_vector(vector))
        expected = [next(iter(self.entries))] if len(self.entries) == 20 else []
        assert [each.id for each in gone] == expected
        for each in expected:
            del self.entries[each]
        self.entries[entry_id] = (partition, as_vector(vector))
        return entry_id

    @rule(entry_id=consumes(ids))
    def remove(self, entry_id: str) -> None:
        self.index.remove(entry_id)
        self.entries.pop(entry_id, None)

    @rule(entry_id=ids)
    def touch(self, entry_id: str) -> None:
        self.index.touch(entry_id)
        if entry_id in self.entries:
            self.entries[entry_id] = self.entries.pop(entry_id)

    @rule(partition=PARTITIONS, vector=VECTORS)
    def search(self, partition: str, vector: list[int]) -> None:
        asked = as_vector(vector)
        found = asyncio.run(self.index.search(partition, asked))
        cosines = sorted(
            (float(other @ asked) for place, other in self.entries.values() if place == partition), reverse=True
        )
        assert [one.similarity for one in found] == pytest.approx(cosines[:8], abs=1e-5)
        for one in found:
            assert one.similarity == pytest.approx(float(self.entries[one.known.id][1] @ asked), abs=1e-5)

    @invariant()
    def counts(self) -> None:
        assert len(self.index) == len(self.entries)
        assert self.index.partitions == len({partition for partition, _ in self.entries.values()})


Reference.TestCase.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)
TestIndex = Reference.TestCase


@pytest.mark.anyio
async def test_a_large_partition_is_searched_across_its_blocks() -> None:
    index = Index(20_000)
    rows = np.random.default_rng(1).standard_normal((9000, 256), dtype=np.float32)
    for place, row in enumerate(rows):
        index.add(Known(str(place), "p", 0, 0), as_vector(row))
    for place in (0, 4095, 4096, 8999):
        [best, *_] = await index.search("p", as_vector(rows[place]))
        assert best.known.id == str(place)
    for place in range(8000):
        index.remove(str(place))
    [best, *_] = await index.search("p", as_vector(rows[8999]))
    assert best.known.id == "8999"


@pytest.mark.anyio
async def test_vectors_of_another_length_are_not_compared() -> None:
    index = Index(5)
    index.add(Known("1", "p", 0, 0), as_vector([1, 0]))
    index.add(Known("2", "p", 0, 0), as_vector([1, 0, 0]))
    assert len(index) == 1
    assert await index.search("p", as_vector([1, 0, 0])) == []


def test_a_vector_comes_back_from_its_bytes() -> None:
    vector = as_vector([0.1, -2, 3])
    assert vector_from(vector_bytes(vector)) == pytest.approx(vector)


@pytest.mark.parametrize("values", [[], [0, 0], [float("nan")], [float("inf"), 1], ["x"]])
def test_what_has_no_direction_is_no_vector(values: list[Any]) -> None:
    with pytest.raises(ValueError):
        as_vector(values)
