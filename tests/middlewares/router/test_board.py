"""The board: what attempts leave on it, how it fades, and that nothing stays held."""

from __future__ import annotations

import gc
import threading
from typing import Any

import pytest
from builders import server_error
from routes import grouped, routed

from glassway.middlewares import Retry, Router
from glassway.middlewares.router.board import Board, Watch
from glassway.pipeline.call import Target
from glassway.pipeline.errors import BadRequestError, ConfigError
from glassway.pipeline.facts import Attempt
from glassway.testing import Scripted

S = 1_000_000_000
A = Target("a", "m")


def ended(seconds: float, *, at_s: float = 100, error: Any = None, first_s: float | None = None) -> Attempt:
    start_ns = int((at_s - seconds) * S)
    first_ns = None if first_s is None else start_ns + int(first_s * S)
    return Attempt(1, "a", "m", start_ns, int(at_s * S), error=error, first_chunk_ns=first_ns, useful=error is None)


def told(board: Board, *attempts: Attempt) -> Board:
    for attempt in attempts:
        watch = board.watch(A)
        watch.attempt_began(attempt)
        watch.attempt_ended(attempt)
    return board


def speed(board: Board, *, at_s: float = 100, first_chunk: bool = False) -> Any:
    return board.speed(A, first_chunk=first_chunk, now_ns=int(at_s * S))


def test_nothing_is_known_of_what_nobody_tried() -> None:
    assert speed(Board()) is None
    assert Board().busy(A) == 0


def test_whole_answers_and_first_chunks_are_kept_apart() -> None:
    board = told(Board(), ended(4), ended(2))
    assert speed(board).seconds == pytest.approx(3)
    assert speed(board, first_chunk=True) is None
    told(board, ended(9, first_s=0.5))
    assert speed(board, first_chunk=True).seconds == pytest.approx(0.5)
    assert speed(board).seconds == pytest.approx(3)


def test_what_is_longer_ago_counts_less_by_its_half_life() -> None:
    board = told(Board(half_life_s=60), ended(1, at_s=100), ended(4, at_s=160))
    assert speed(board, at_s=160).seconds == pytest.approx((0.5 * 1 + 4) / 1.5)
    assert speed(board, at_s=170).quiet_ns == 10 * S


@pytest.mark.parametrize(
    ("error", "share"),
    [("server_error", 0.5), ("rate_limited", 0.5), ("timeout", 0.5), ("invalid_request", 0.0), ("cancelled", 0.0)],
)
def test_failures_count_where_they_are_the_target_s(error: str, share: float) -> None:
    board = told(Board(), ended(1), ended(0.01, error=error))
    assert speed(board).failures == share
    assert speed(board).seconds == pytest.approx(1)  # a quick failure makes nothing faster


def test_a_target_that_only_failed_is_known_to() -> None:
    assert speed(told(Board(), ended(1, error="server_error"))) == (None, 1.0, 0)


def test_what_was_chosen_is_busy_until_its_attempt_ends_and_is_counted_once() -> None:
    board = Board()
    watch = board.watch(A)
    assert board.busy(A) == 1
    attempt = ended(1)
    watch.attempt_began(attempt)
    assert board.busy(A) == 1
    watch.attempt_ended(attempt)
    assert board.busy(A) == 0


def test_an_attempt_elsewhere_lets_go_of_what_was_chosen() -> None:
    board = Board()
    watch = board.watch(Target("b", "m"))
    watch.attempt_began(ended(1))
    assert (board.busy(Target("b", "m")), board.busy(A)) == (0, 1)


def test_a_call_without_any_attempt_holds_nothing_after_its_end() -> None:
    board = Board()
    watch = board.watch(A)
    for _ in range(2):
        watch(None, None)  # type: ignore[arg-type]  # not looked at
    assert board.busy(A) == 0


def test_it_is_bounded_and_what_is_busy_is_not_forgotten() -> None:
    board = Board(limit=3)
    board.watch(A)
    for number in range(20):
        target = Target("x", str(number))
        Watch(board, None).attempt_began(Attempt(1, *target, 0))
        Watch(board, None).attempt_ended(Attempt(1, *target, 0, number + 1, useful=True))
    assert len(board) == 3
    assert board.busy(A) == 1


def test_where_everything_is_busy_newcomers_are_not_kept() -> None:
    board = Board(limit=1)
    board.watch(A)
    other = board.watch(Target("x", "y"))
    assert (len(board), board.busy(Target("x", "y"))) == (1, 0)
    other(None, None)  # type: ignore[arg-type]  # not looked at
    assert board.busy(A) == 1


def test_many_threads_lose_nothing() -> None:
    board = Board()

    def work() -> None:
        for _ in range(500):
            told(board, ended(1))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert board.busy(A) == 0
    assert speed(board).seconds == pytest.approx(1)


def test_a_finaliser_in_the_middle_of_a_change_does_not_wait_for_it() -> None:
    board = Board()
    watch = board.watch(A)
    with board._lock:  # somebody is in the middle of a change
        watch(None, None)  # type: ignore[arg-type]  # not looked at
    assert board.busy(A) == 0


@pytest.mark.parametrize("settings", [{"half_life_s": 0}, {"limit": 0}], ids=str)
def test_settings_that_cannot_be_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="Board"):
        Board(**settings)


@pytest.mark.anyio
async def test_every_attempt_of_the_pipeline_is_told_retries_and_unrouted_calls_too() -> None:
    board = Board()
    router = Router(groups={"smart": {"targets": ["a/m", "b/m"], "strategy": "latency"}}, board=board)
    made = routed(router, Retry(), answers={"a": [server_error(), Scripted(delay_s=3)]})
    await made.send()
    await made.send("c/m")
    now = made.clock.now_ns()
    assert board.speed(A, first_chunk=False, now_ns=now).failures == pytest.approx(0.5, abs=0.05)  # type: ignore[union-attr]  # it is known
    assert board.speed(Target("c", "m"), first_chunk=False, now_ns=now) is not None
    assert board.busy(A) == 0


@pytest.mark.anyio
async def test_a_stream_that_is_dropped_unread_lets_go() -> None:
    made = grouped("least_busy", targets=["a/m"])
    from builders import ask

    router = made.pipeline.stages["Router"]
    reply = await made.pipeline.send(ask(model="smart", stream=True))
    assert router.board.busy(A) == 1  # type: ignore[attr-defined]  # a Router
    del reply
    gc.collect()
    assert router.board.busy(A) == 0  # type: ignore[attr-defined]  # as above


@pytest.mark.anyio
async def test_a_call_that_is_refused_before_any_attempt_lets_go() -> None:
    async def refuse(call: Any, call_next: Any) -> Any:
        raise BadRequestError("no")

    board = Board()
    made = routed(Router(groups={"smart": {"targets": ["a/m"], "strategy": "least_busy"}}, board=board), refuse)
    with pytest.raises(BadRequestError):
        await made.send()
    assert board.busy(A) == 0
