"""Other processes that share the cache's store: whoever asks first asks for all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from ...pipeline.answers import Entry
from ...pipeline.answers.leases import Leases
from ...pipeline.sharing import Afterwards
from .shelf import failed

if TYPE_CHECKING:
    from .question import Question


class Others(NamedTuple):
    """The leases on questions, and how long to wait for whoever holds one."""

    leases: Leases
    wait_s: float
    immediate: bool
    """Whether the store never suspends."""
    afterwards: Afterwards

    async def answer(self, question: Question) -> Entry | bytes | None:
        """Another's answer; or the lease to ask; or None: nobody can be waited for. Raises `APITimeoutError` when the deadline passes."""
        call, key = question.call, question.key
        try:
            token = await self.leases.take(key)
        except Exception as error:  # noqa: BLE001 - a store that fails makes misses, never failed calls
            failed(call, key, "lease", error)
            return None
        if token is not None:
            return token
        left_s = call.remaining_s()
        try:
            async with call.clock.limit(self.wait_s if left_s is None else min(self.wait_s, left_s)):
                return await self.leases.wait(call, key, lambda: question.shelf.look(call, key))
        except TimeoutError:
            call.check_deadline()
            return None

    def when_over(self, key: str, token: bytes | None) -> Callable[[], None]:
        """What lets the lease go, off the call's path, from any thread; nothing where there is none."""
        loop = asyncio.get_running_loop()

        def over() -> None:
            if token is not None:
                self.afterwards.run(loop, lambda: self.leases.let_go(key, token), immediate=self.immediate)

        return over
