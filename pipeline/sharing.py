"""Asking a store of shared state during a call: what a failure means is the stage's declared policy, and is said."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Literal, TypeVar

from .call import Call
from .errors import StoreError
from .facts import STORE_FAILURES, StoreFailed

T = TypeVar("T")

OnStoreFailure = Literal["fail_open", "fail_closed"]
"""What becomes of a call whose stage cannot reach its store: it goes on without, or it fails with `StoreError`."""

logger = logging.getLogger("glassway")


async def ask_store(call: Call, stage: str, policy: OnStoreFailure, question: Awaitable[T], otherwise: T) -> T:
    """The store's answer; if the store fails, `otherwise` (`fail_open`) or `StoreError` (`fail_closed`), and a fact that says so."""
    try:
        return await question
    except Exception as error:  # noqa: BLE001 - a backend may raise anything; what it means is the policy's to say
        # The kind of error only: a backend's message may hold its URL with the password in it.
        call.add(STORE_FAILURES, StoreFailed(stage, type(error).__name__, policy))
        if policy == "fail_open":
            return otherwise
        raise StoreError(
            f"{stage} cannot reach its store ({type(error).__name__}) and fails closed. "
            "Bring the store back, or let calls pass meanwhile: on_store_failure='fail_open'."
        ) from None


class Afterwards:
    """What a call's end leaves to be awaited (a correction in a store, a lease given back), off the call's path.

    `run` may be called from any thread, a finaliser's too. `flush` waits for what is under way. At most `limit` wait;
    beyond that work is dropped, logged and counted in `dropped`.
    """

    def __init__(self, limit: int = 10_000) -> None:
        self._limit = limit
        self._under_way: set[asyncio.Task[None]] = set()
        self.dropped = 0

    def run(
        self, loop: asyncio.AbstractEventLoop, work: Callable[[], Coroutine[Any, Any, None]], *, immediate: bool
    ) -> None:
        """Run `work()` on `loop`; here and now where it never suspends (`immediate`)."""
        if immediate:
            _run_now(work())
        elif len(self._under_way) >= self._limit or loop.is_closed():
            self._drop()
        else:
            loop.call_soon_threadsafe(self._start, loop, work)

    async def flush(self, limit_s: float = 5.0) -> None:
        """Wait for what is under way on this loop, at most `limit_s` of real time."""
        await asyncio.sleep(0)  # what was handed in a moment ago becomes a task first
        loop = asyncio.get_running_loop()
        if mine := [task for task in self._under_way if task.get_loop() is loop]:
            await asyncio.wait(mine, timeout=limit_s)

    def _start(self, loop: asyncio.AbstractEventLoop, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        task = loop.create_task(_reported(work()))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    def _drop(self) -> None:
        self.dropped += 1
        logger.warning("A correction of shared state was dropped: too many wait, or the event loop is closed.")


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
