"""A record as rows on one axis of time: what ran, where it waited, what it tried. Plain data, nothing of terminals."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from ..pipeline.facts import FALLBACKS, RETRIES, Attempt, FellBack, Retried

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..pipeline.record import Record, StageRun

Doing = Literal["own", "inner", "stream", "wait"]
"""Busy itself; waiting for the stages inside; handing on a stream; pausing on purpose."""

State = Literal["ok", "failed", "waiting", "moved"]


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of a row; seconds from the call's start."""

    doing: Doing
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the waterfall.

    `total_s` goes to the end of the stream that was handed on; `self_s` leaves out the stages inside and the consumer.
    Both are None where the row is a part of another one's time.
    """

    label: str
    depth: int
    state: State
    pieces: tuple[Piece, ...] = ()
    note: str = ""
    self_s: float | None = None
    total_s: float | None = None
    decided: bool = False
    """Whether the call was answered or refused here."""


def rows_of(record: Record) -> tuple[Row, ...]:
    """The call, then everything inside it in the order in which it began: stages, attempts, pauses, moves to another target."""
    if not record.stages:
        return ()
    return tuple(_Reader(record).rows(_tree(record.stages)))


@dataclass(slots=True)
class _Node:
    run: StageRun
    inner: list[_Node]


def _tree(runs: Sequence[StageRun]) -> _Node:
    """Runs in the order in which they began, with their depths, as a tree."""
    root = _Node(runs[0], [])
    path = [root]
    for run in runs[1:]:
        node = _Node(run, [])
        # overlapping siblings (hedges) interleave in `runs`, and a run's parent is then the latest one above it
        del path[run.depth :]
        path[-1].inner.append(node)
        path.append(node)
    return root


class _Reader:
    """Walks a record's runs once, giving each terminal run its attempt and each gap its reason."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self._start_ns = record.trace.root.start_ns if record.trace else 0
        self._attempts = list(record.attempts)
        self._retries: list[Retried] = list(record.get(RETRIES))
        self._moves: list[FellBack] = list(record.get(FALLBACKS))

    def rows(self, node: _Node) -> Iterator[Row]:
        run = node.run
        pieces = self._pieces(node)
        total_s = max([run.total_s, *(piece.end_s - run.start_s for piece in pieces)])
        own = Row(run.name, run.depth, "failed" if run.error else "ok", pieces, "", run.self_s, total_s)
        attempt = self._attempt_of(run) if not node.inner else None
        yield _as_attempt(own, attempt, self._start_ns) if attempt else self._noted(own, node)
        for number, inner in enumerate(node.inner):
            if number:
                yield from self._between(run, node.inner[number - 1].run, inner.run)
            yield from self.rows(inner)

    def _pieces(self, node: _Node) -> tuple[Piece, ...]:
        """Own time and inner time alternate; what handed a stream on goes on to the call's end."""
        run, pieces, at_s = node.run, list[Piece](), node.run.start_s
        end_s = run.start_s + run.total_s
        for inner in node.inner:
            begins_s = max(at_s, inner.run.start_s)
            ends_s = max(begins_s, min(end_s, inner.run.start_s + inner.run.total_s))
            pieces += [Piece("own", at_s, begins_s), Piece("inner", begins_s, ends_s)]
            at_s = ends_s
        pieces.append(Piece("own", at_s, end_s))
        if self._record.stream and not run.error and self._record.duration_s > end_s:
            pieces.append(Piece("stream", end_s, self._record.duration_s))
        return tuple(piece for piece in pieces if piece.end_s > piece.start_s)

    def _attempt_of(self, run: StageRun) -> Attempt | None:
        """The attempt that began inside a run of the terminal, which has no stage inside it."""
        for attempt in self._attempts:
            began_s = (attempt.start_ns - self._start_ns) / 1e9
            if run.start_s <= began_s <= run.start_s + run.total_s:
                self._attempts.remove(attempt)
                return attempt
        return None

    def _noted(self, row: Row, node: _Node) -> Row:
        if node.run.error and not any(inner.run.error for inner in node.inner):
            return replace(row, note=f"refused: {node.run.error}", decided=True)
        answered = not node.inner and not node.run.error and node.run.depth > 0
        return replace(row, note="answered here", decided=True) if answered else row

    def _between(self, outer: StageRun, before: StageRun, after: StageRun) -> Iterator[Row]:
        """Why a stage called the rest of the chain again."""
        kind = outer.name.split("#")[0]
        gap = (Piece("wait", before.start_s + before.total_s, after.start_s),)
        if kind == "Retry" and self._retries:
            retried = self._retries.pop(0)
            yield Row(
                f"wait {milliseconds(retried.wait_s)}",
                outer.depth + 1,
                "waiting",
                gap,
                retried.told_by.replace("_", "-"),
            )
        if kind == "Fallback" and self._moves:
            moved = self._moves.pop(0)
            yield Row(f"-> {moved.target}", outer.depth + 1, "moved", (), f"after {moved.error}")


def _as_attempt(row: Row, attempt: Attempt, start_ns: int) -> Row:
    said = " ".join(str(part) for part in (attempt.status_code, attempt.error) if part) or "ok"
    pieces = row.pieces
    if attempt.chunks and attempt.first_chunk_ns and attempt.end_ns:
        first_s, end_s = (attempt.first_chunk_ns - start_ns) / 1e9, (attempt.end_ns - start_ns) / 1e9
        pieces = (Piece("own", row.pieces[0].start_s, first_s), Piece("stream", first_s, end_s))
    return replace(
        row,
        label=f"#{attempt.number} {said}",
        state="failed" if attempt.error else "ok",
        pieces=pieces,
        note=f"{attempt.provider}/{attempt.model}",
    )


def milliseconds(seconds: float) -> str:
    """A time as people compare it: always in milliseconds, three digits that count."""
    value = seconds * 1e3
    if value >= 9_999.5:
        return f"{value / 1e3:.1f} s"
    return f"{value:.{0 if value >= 999.5 else 1 if value >= 99.95 else 2 if value >= 9.995 else 3}f} ms"
