"""Vectors in memory, searched exactly: every one of a partition is compared."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from heapq import nlargest
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple

from ...pipeline.errors import ConfigError, MissingExtraError

if TYPE_CHECKING:
    import numpy as np

    Vector = np.ndarray[Any, np.dtype[np.float32]]

_BLOCK = 4096
"""Rows of a block: a partition grows by blocks, so that none is ever copied whole."""
_FIRST = 16
_CANDIDATES = 8
"""How many of the most similar are looked at: some may have gone, or be too old."""
_OFF_THE_LOOP = 2_000_000
"""Numbers to multiply (rows by dimensions) beyond which a search runs in a thread: about half a millisecond."""


class Known(NamedTuple):
    """An entry of the index. Times are wall time, nanoseconds."""

    id: str
    partition: str
    stored_ns: int
    until_ns: int


class Found(NamedTuple):
    """An entry, and the cosine of its question with the one that was asked."""

    known: Known
    similarity: float


def as_vector(values: object) -> Vector:
    """As float32 of length 1. Raises `ValueError` for what has no direction."""
    numpy = _numpy()
    vector = numpy.asarray(values, dtype=numpy.float32).reshape(-1)
    length = float(numpy.linalg.norm(vector))
    if not vector.size or not 0 < length < float("inf"):
        raise ValueError("expected numbers that are not all 0")
    scaled: Vector = vector / numpy.float32(length)
    return scaled


def vector_bytes(vector: Vector) -> bytes:
    """Little-endian float32."""
    return vector.astype("<f4").tobytes()


def vector_from(data: bytes) -> Vector:
    """Back from bytes."""
    numpy = _numpy()
    return as_vector(numpy.frombuffer(data, dtype="<f4"))


class Index:
    """At most `limit` vectors over all partitions; what was not found for longest goes first. Safe from any thread."""

    def __init__(self, limit: int) -> None:
        _numpy()
        self.limit = limit
        self._partitions: dict[str, _Partition] = {}
        self._known: OrderedDict[str, Known] = OrderedDict()
        self._lock = Lock()

    def __len__(self) -> int:
        """How many entries there are."""
        return len(self._known)

    @property
    def partitions(self) -> int:
        """How many partitions there are."""
        return len(self._partitions)

    def add(self, known: Known, vector: Vector) -> list[Known]:
        """Keep a vector. Returns what had to go for it. An id that is there already, or another length than its partition's, changes nothing."""
        gone = []
        with self._lock:
            part = self._partitions.get(known.partition)
            if known.id in self._known or (part is not None and part.dimensions != vector.size):
                return []
            while len(self._known) >= self.limit:
                gone.append(self._remove(next(iter(self._known))))
            part = self._partitions.setdefault(known.partition, _Partition(vector.size))
            part.add(known.id, vector)
            self._known[known.id] = known
        return gone

    def remove(self, entry_id: str) -> None:
        """Forget an entry; nothing if it is not there."""
        with self._lock:
            if entry_id in self._known:
                self._remove(entry_id)

    def touch(self, entry_id: str) -> None:
        """It was found: it goes last."""
        with self._lock:
            if entry_id in self._known:
                self._known.move_to_end(entry_id)

    async def search(self, partition: str, vector: Vector) -> list[Found]:
        """The most similar entries of a partition, the best first, of equals the newest. Off the event loop if it takes long.

        An entry that comes or goes while a search runs may be missed; none is ever taken for another.
        """
        part = self._partitions.get(partition)
        if part is None or part.dimensions != vector.size:
            return []
        if part.size * part.dimensions > _OFF_THE_LOOP:
            rows = await asyncio.to_thread(part.nearest, vector)
        else:
            rows = part.nearest(vector)
        with self._lock:
            found = [
                Found(self._known[entry_id], similarity)
                for row in rows
                if (entry_id := part.id_at(row)) is not None and (similarity := part.similarity(row, vector)) > -2
            ]
        return sorted(found, key=lambda one: (-round(one.similarity, 6), -one.known.stored_ns))

    def _remove(self, entry_id: str) -> Known:
        known = self._known.pop(entry_id)
        part = self._partitions[known.partition]
        part.remove(entry_id)
        if not part.size:
            del self._partitions[known.partition]
        return known


class _Partition:
    """Rows of one partition, in blocks. Changed under the index's lock, read without it."""

    def __init__(self, dimensions: int) -> None:
        self.dimensions = dimensions
        self._ids: list[str] = []
        self._row_of: dict[str, int] = {}
        self._blocks: list[Vector] = []

    @property
    def size(self) -> int:
        """How many rows there are."""
        return len(self._ids)

    def id_at(self, row: int) -> str | None:
        """Whose row it is now."""
        return self._ids[row] if row < len(self._ids) else None

    def add(self, entry_id: str, vector: Vector) -> None:
        """A further row."""
        row = len(self._ids)
        self._make_room(row)
        self._blocks[row // _BLOCK][row % _BLOCK] = vector
        self._row_of[entry_id] = row
        self._ids.append(entry_id)

    def remove(self, entry_id: str) -> None:
        """The last row takes its place."""
        row, last = self._row_of.pop(entry_id), len(self._ids) - 1
        if row != last:
            moved = self._ids[last]
            self._blocks[row // _BLOCK][row % _BLOCK] = self._blocks[last // _BLOCK][last % _BLOCK]
            self._ids[row], self._row_of[moved] = moved, row
        self._ids.pop()
        if last % _BLOCK == 0:
            self._blocks.pop()

    def nearest(self, vector: Vector) -> list[int]:
        """Rows of the highest cosines, in no order. Block by block: nothing that holds Python up takes long."""
        size, best = len(self._ids), list[tuple[float, int]]()
        for place, block in enumerate(list(self._blocks)):
            begin = place * _BLOCK
            scores = (block @ vector)[: size - begin]
            rows = scores.argpartition(-_CANDIDATES)[-_CANDIDATES:] if len(scores) > _CANDIDATES else range(len(scores))
            best += [(float(scores[row]), begin + int(row)) for row in rows]
            best = nlargest(_CANDIDATES, best)
        return [row for _, row in best]

    def similarity(self, row: int, vector: Vector) -> float:
        """The cosine, of the row as it is now."""
        return min(1.0, float(self._blocks[row // _BLOCK][row % _BLOCK] @ vector))

    def _make_room(self, row: int) -> None:
        numpy = _numpy()
        block, place = divmod(row, _BLOCK)
        if block == len(self._blocks):
            rows = _FIRST if block == 0 else _BLOCK
            self._blocks.append(numpy.zeros((rows, self.dimensions), dtype=numpy.float32))
        elif place == len(self._blocks[block]):  # the first block grows by doubling: most partitions are small
            grown = numpy.zeros((min(_BLOCK, 2 * place), self.dimensions), dtype=numpy.float32)
            grown[:place] = self._blocks[block]
            self._blocks[block] = grown


def _numpy() -> Any:
    try:
        import numpy
    except ModuleNotFoundError:
        raise MissingExtraError("The stage SemanticCache", "semantic") from None
    return numpy


def check_limit(limit: int) -> None:
    """Raise `ConfigError` beyond what is searched exactly in reasonable time."""
    if not 1 <= limit <= 100_000:
        raise ConfigError(f"SemanticCache.max_entries: expected 1 to 100000, found {limit}.")
