"""What is known of targets now: how fast they were lately, how often they failed, how much is under way."""

from __future__ import annotations

import math
import threading
from collections import deque
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from ...pipeline.errors import ConfigError
from ...pipeline.statistics import ITS_FAULT

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ...pipeline.call import Target
    from ...pipeline.facts import Attempt
    from ...pipeline.outcome import Outcome
    from ...pipeline.record import Record
    from .candidates import Candidate

_CHOSEN, _BEGAN, _LET_GO, _ENDED = range(4)

_MOST_NOTES = 64
"""Notes that may wait until somebody reads what is known."""

_MOST_DOUBLINGS = 500
"""Of weights, before the sums are made small again: far below what a float can hold."""

_TARGET = attrgetter("target")


class Speed(NamedTuple):
    """How a target did lately; what is longer ago counts less."""

    seconds: float | None
    """The mean of what worked; None where nothing did."""
    failures: float
    """The share that failed by the target's fault, 0 to 1."""
    quiet_ns: int
    """How long ago the last of it ended."""


class Cell:
    """What is known of one target: sums over what was observed. To be read at once and not kept; it goes on changing.

    An observation's weight is the greater the later it is, twice as much after each half-life: only ratios of the sums are
    read, and in those, what is longer ago counts less.
    """

    __slots__ = ("busy", "failed", "first_n", "first_s", "last_ns", "since_ns", "tried", "whole_n", "whole_s")

    def __init__(self) -> None:
        self.busy = 0
        self.since_ns = self.last_ns = 0
        self.tried = self.failed = self.first_n = self.first_s = self.whole_n = self.whole_s = 0.0

    def weight(self, now_ns: int, half_life_ns: float) -> float:
        """Of what is observed now."""
        doublings: float = (now_ns - self.since_ns) / half_life_ns
        if doublings <= _MOST_DOUBLINGS:
            return math.exp2(doublings)
        factor = math.exp2(-doublings)
        self.since_ns = now_ns
        self.tried *= factor
        self.failed *= factor
        self.first_n *= factor
        self.first_s *= factor
        self.whole_n *= factor
        self.whole_s *= factor
        return 1.0

    def speed(self, first_chunk: bool, now_ns: int) -> tuple[float | None, float, int] | None:
        """What a `Speed` holds: until the first chunk of streams, or of whole answers; None where nothing has been tried."""
        tried = self.tried
        if not tried:
            return None
        count, total = (self.first_n, self.first_s) if first_chunk else (self.whole_n, self.whole_s)
        if not count and not self.failed:
            return None  # tried, but only the other way
        return (total / count if count else None), self.failed / tried, now_ns - self.last_ns


class Board:
    """Live data on at most `limit` targets, fed by the ends of all attempts. Half of an observation's weight is gone after `half_life_s`.

    One per Router, or one that several share. Safe for concurrent use from any thread: whoever tells it something leaves
    a note, and never waits, not even in a finaliser in the middle of another change.
    """

    def __init__(self, *, half_life_s: float = 30.0, limit: int = 500) -> None:
        if half_life_s <= 0:
            raise ConfigError(f"Board.half_life_s: expected more than 0, found {half_life_s}.")
        if limit < 1:
            raise ConfigError(f"Board.limit: expected at least 1, found {limit}.")
        self.used = False
        """Whether anybody goes by it: until then nothing is watched."""
        self._half_life_ns = half_life_s * 1e9
        self._limit = limit
        self._cells: dict[tuple[str | None, str], Cell] = {}
        self._notes: deque[tuple[int, Any]] = deque()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        self._settle()
        return len(self._cells)

    def busy(self, target: Target) -> int:
        """Calls that were sent there and have not come to an attempt yet, and attempts under way."""
        if self._notes:
            self._settle()
        cell = self._cells.get(target)
        return cell.busy if cell is not None else 0

    def cells(self, candidates: Iterable[Candidate]) -> list[Cell | None]:
        """What is known of the target of each; None where nothing is."""
        if self._notes:
            self._settle()
        return list(map(self._cells.get, map(_TARGET, candidates)))

    def speed(self, target: Target, *, first_chunk: bool, now_ns: int) -> Speed | None:
        """Until the first chunk of streams, or of whole answers; None where nothing has been tried."""
        if self._notes:
            self._settle()
        cell = self._cells.get(target)
        speed = None if cell is None else cell.speed(first_chunk, now_ns)
        return None if speed is None else Speed(*speed)

    def watch(self, target: Target) -> Watch:
        """A call has been sent to `target`: it is busy from now on. The watch must be told of the call's attempts and of its end."""
        self.used = True
        self._note(_CHOSEN, target)
        return Watch(self, target)

    def _note(self, kind: int, what: object) -> None:
        self._notes.append((kind, what))
        if len(self._notes) > _MOST_NOTES:
            self._settle()

    def _settle(self) -> None:
        """Take up the notes. Who comes while another does leaves it to them, or to the next."""
        notes = self._notes
        if not notes or not self._lock.acquire(False):
            return
        try:
            while notes:
                kind, what = notes.popleft()
                target = (what.provider, what.model) if kind == _ENDED else what
                cell = self._cells.get(target) or self._new_cell(target)
                if cell is None:
                    continue
                if kind <= _BEGAN:
                    cell.busy += 1
                    continue
                if cell.busy:
                    cell.busy -= 1
                if kind == _ENDED:
                    self._measure(cell, what)
        finally:
            self._lock.release()

    def _measure(self, cell: Cell, attempt: Attempt) -> None:
        """What the consumer or the caller did says nothing of the target; what had come before it does."""
        first_chunk_ns, useful, failed = attempt.first_chunk_ns, attempt.useful, attempt.error in ITS_FAULT
        if first_chunk_ns is None and not failed and not useful:
            return
        start_ns = attempt.start_ns
        end_ns = attempt.end_ns or start_ns
        weight = cell.weight(end_ns, self._half_life_ns)
        if end_ns > cell.last_ns:
            cell.last_ns = end_ns
        cell.tried += weight
        if failed:
            cell.failed += weight
        if first_chunk_ns is not None:
            cell.first_n += weight
            cell.first_s += weight * (first_chunk_ns - start_ns) / 1e9
        elif useful:
            cell.whole_n += weight
            cell.whole_s += weight * (end_ns - start_ns) / 1e9

    def _new_cell(self, target: tuple[str | None, str]) -> Cell | None:
        if len(self._cells) >= self._limit:
            idle = [(cell.last_ns, name) for name, cell in self._cells.items() if not cell.busy]
            if not idle:
                return None
            del self._cells[min(idle)[1]]
        cell = self._cells[target] = Cell()
        return cell

    def __repr__(self) -> str:
        return f"Board({len(self._cells)} targets)"


class Watch:
    """One call's part in the board: what it holds is let go exactly once, however it ends."""

    __slots__ = ("_board", "_held")

    def __init__(self, board: Board, held: Target | None = None) -> None:
        self._board = board
        self._held = held

    def attempt_began(self, attempt: Attempt) -> None:
        """Its place passes on to the attempt."""
        target = (attempt.provider, attempt.model)
        held, self._held = self._held, None
        if held == target:
            return
        if held is not None:
            self._board._note(_LET_GO, held)  # noqa: SLF001 - two halves of one thing
        self._board._note(_BEGAN, target)  # noqa: SLF001 - as above

    def attempt_ended(self, attempt: Attempt) -> None:
        """What it was like counts from now on."""
        self._board._note(_ENDED, attempt)  # noqa: SLF001 - as above

    def __call__(self, record: Record, outcome: Outcome) -> None:  # noqa: ARG002 - an observer
        """Observes the call's end: lets go of what came to no attempt."""
        if self._held is not None:
            held, self._held = self._held, None
            self._board._note(_LET_GO, held)  # noqa: SLF001 - as above
