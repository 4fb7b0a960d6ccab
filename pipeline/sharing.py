"""Asking a store of shared state during a call: what a failure means is the stage's declared policy, and is said."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Literal, Protocol, TypeVar, cast, get_args

from .call import Call
from .errors import ConfigError, StoreError
from .facts import STORE_FAILURES, StoreFailed

T = TypeVar("T")
A = TypeVar("A")
B = TypeVar("B")

OnStoreFailure = Literal["fail_open", "fail_closed"]
"""What becomes of a call whose stage cannot reach its store: it goes on without, or it fails with `StoreError`."""

logger = logging.getLogger("glassway")


def check_policy(stage: str, given: object) -> None:
    """Raises `ConfigError` for what is no policy."""
    if given not in get_args(OnStoreFailure):
        raise ConfigError(f"{stage}.on_store_failure: expected fail_open or fail_closed, found {given!r}.")


async def ask_store(call: Call, stage: str, policy: OnStoreFailure, question: Awaitable[T], otherwise: T) -> T:
    """The store's answer; if the store fails, `otherwise` (`fail_open`) or `StoreError` (`fail_closed`), and a fact that says so.

    A question that makes no sense (`ConfigError`) is a mistake and no failure of the store: it is raised under either policy.
    """
    try:
        return await question
    except ConfigError:
        raise
    except Exception as error:  # noqa: BLE001 - a backend may raise anything; what it means is the policy's to say
        _note_failure(call, stage, policy, error)
        return otherwise


def _note_failure(call: Call, stage: str, policy: OnStoreFailure, error: Exception) -> None:
    """What `ask_store` does about a failure: says so, and raises `StoreError` where the policy is to fail."""
    # The kind of error only: a backend's message may hold its URL with the password in it.
    call.add(STORE_FAILURES, StoreFailed(stage, type(error).__name__, policy))
    if policy == "fail_closed":
        raise StoreError(
            f"{stage} cannot reach its store ({type(error).__name__}) and fails closed. "
            "Bring the store back, or let calls pass meanwhile: on_store_failure='fail_open'."
        ) from None


def ask_now(
    call: Call, stage: str, policy: OnStoreFailure, question: Callable[[A, B], T], first: A, second: B
) -> T | None:
    """`ask_store`, of a store that answers at once; otherwise None."""
    try:
        return question(first, second)
    except ConfigError:
        raise
    except Exception as error:  # noqa: BLE001 - as in `ask_store`
        _note_failure(call, stage, policy, error)
        return None


Work = Callable[[], Coroutine[Any, Any, None]]


Correction = tuple[Any, int, int]
"""A window of a store, the slice that was booked in it, and the units to add."""


class Settles(Protocol):
    """What a store of windows is here."""

    @property
    def immediate(self) -> bool: ...

    def settle(self, window: Any, slice_: int, units: int, /) -> Coroutine[Any, Any, None]: ...


class SettlesNow(Settles, Protocol):
    """One that is `immediate`."""

    def settle_now(self, window: Any, slice_: int, units: int, /) -> None: ...


class Afterwards:
    """What a call's end leaves to be awaited (a correction in a store, a lease given back), off the call's path.

    `run` may be called from any thread, a finaliser's too. `flush` waits for what is under way. At most `limit` wait;
    what is beyond that, or whose event loop ends first, is dropped, logged and counted in `dropped`.
    """

    def __init__(self, limit: int = 10_000) -> None:
        self._limit = limit
        self._under_way: set[_Piece] = set()
        self.dropped = 0

    def run(self, loop: asyncio.AbstractEventLoop, work: Work, *, immediate: bool) -> None:
        """Run `work()` on `loop`; here and now where it never suspends (`immediate`)."""
        if immediate:
            _run_now(work())
            return
        if len(self._under_way) >= self._limit:
            self._forget_closed_loops()
        piece = _Piece(loop, work)
        if len(self._under_way) >= self._limit or not self._hand_in(piece):
            self._drop()

    def settle(self, loop: asyncio.AbstractEventLoop | None, store: Settles, corrections: Sequence[Correction]) -> None:
        """Correct what was booked in windows of `store`. See `run`. `loop` is None for an immediate store."""
        if loop is not None:
            if corrections:
                self.run(loop, lambda: _settled(store, corrections), immediate=False)
            return
        settle_now = cast("SettlesNow", store).settle_now
        for window, slice_, units in corrections:
            try:
                settle_now(window, slice_, units)
            except Exception as error:  # noqa: BLE001 - the call has ended; whatever fails now is only said
                _report(error)

    async def flush(self, limit_s: float = 5.0) -> None:
        """Wait for what is under way on this loop, at most `limit_s` of real time."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + limit_s
        self._forget_closed_loops()
        while (mine := [piece for piece in tuple(self._under_way) if piece.loop is loop]) and loop.time() < until_s:
            if tasks := [piece.task for piece in mine if piece.task is not None]:
                await asyncio.wait(tasks, timeout=until_s - loop.time())
            await asyncio.sleep(0)  # what was handed in a moment ago becomes a task, what is done is forgotten

    def _hand_in(self, piece: _Piece) -> bool:
        self._under_way.add(piece)
        try:
            piece.loop.call_soon_threadsafe(self._start, piece)
        except RuntimeError:  # the loop is closed
            self._under_way.discard(piece)
            return False
        return True

    def _start(self, piece: _Piece) -> None:
        piece.task = piece.loop.create_task(_reported(piece.work()))
        piece.task.add_done_callback(lambda task: self._done(piece, task))

    def _done(self, piece: _Piece, task: asyncio.Task[None]) -> None:
        self._under_way.discard(piece)
        if task.cancelled():
            self._drop()

    def _forget_closed_loops(self) -> None:
        for piece in tuple(self._under_way):
            if piece.loop.is_closed():
                self._under_way.discard(piece)
                self._drop()

    def _drop(self) -> None:
        self.dropped += 1
        logger.warning("A correction of shared state was dropped: too many wait, or their event loop has ended.")


class _Piece:
    """One piece of work, and the task that it becomes on its loop."""

    __slots__ = ("loop", "task", "work")

    def __init__(self, loop: asyncio.AbstractEventLoop, work: Work) -> None:
        self.loop = loop
        self.work = work
        self.task: asyncio.Task[None] | None = None


async def _settled(store: Settles, corrections: Sequence[Correction]) -> None:
    for correction in corrections:
        await store.settle(*correction)


def _run_now(work: Coroutine[Any, Any, None]) -> None:
    try:
        work.send(None)
    except StopIteration:
        return
    except Exception as error:  # noqa: BLE001 - the call has ended; whatever fails now is only said
        _report(error)
        return
    work.close()
    raise AssertionError("a store that calls itself immediate suspended")


async def _reported(work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except Exception as error:  # noqa: BLE001 - as above
        _report(error)


def _report(error: Exception) -> None:
    logger.warning("Shared state could not be corrected after a call (%s).", type(error).__name__)
