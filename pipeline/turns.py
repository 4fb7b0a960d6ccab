"""One at a time, over all event loops: asyncio's own lock knows one loop only."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from concurrent.futures import Future
from types import TracebackType


class Turns:
    """`async with turns:` lets one task in at a time, first come, first served, whichever loops and threads they run on."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken = False
        self._waiting: deque[tuple[Future[None], asyncio.AbstractEventLoop]] = deque()

    async def __aenter__(self) -> None:
        with self._lock:
            if not self._taken:
                self._taken = True
                return
            ticket: Future[None] = Future()
            self._waiting.append((ticket, asyncio.get_running_loop()))
        try:
            await asyncio.wrap_future(ticket)
        except BaseException:
            if not ticket.cancel():  # it had the turn already
                self._pass_on()
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pass_on()

    def _pass_on(self) -> None:
        with self._lock:
            while self._waiting:
                ticket, loop = self._waiting.popleft()
                # else its task has gone away, or its loop without a word
                if not loop.is_closed() and ticket.set_running_or_notify_cancel():
                    ticket.set_result(None)
                    return
            self._taken = False
