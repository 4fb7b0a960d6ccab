"""Work that is not left half known: whoever is cancelled while it runs had nothing done for him."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

logger = logging.getLogger("glassway")


class Undoing:
    """Runs work to its end even if its caller is cancelled; then undoes it. `flush` waits for that."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    async def whole(self, work: Coroutine[Any, Any, T], undo: Callable[[T], Coroutine[Any, Any, None]]) -> T:
        """What `work` returns."""
        task = asyncio.get_running_loop().create_task(work)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if not task.cancelled():
                self._start(task.get_loop(), _undone(task, undo))
            raise

    async def flush(self) -> None:
        """Wait for what is being undone on this loop. The work itself is bounded in time by its store."""
        loop = asyncio.get_running_loop()
        if mine := [task for task in tuple(self._tasks) if task.get_loop() is loop]:
            await asyncio.wait(mine)

    def _start(self, loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, None]) -> None:
        task = loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _undone(task: asyncio.Task[T], undo: Callable[[T], Coroutine[Any, Any, None]]) -> None:
    try:
        await undo(await task)
    except Exception as error:  # noqa: BLE001 - nobody waits for it: its windows forget it by themselves
        logger.warning("What a cancelled call had taken could not be given back (%s).", type(error).__name__)
