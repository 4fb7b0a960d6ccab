"""The store's half: an answer that others may take, and a lease for the one who asks for it."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from ...pipeline.answers import Answer, Entry, decode, encode, trace_id_of
from ...pipeline.call import Call
from ...pipeline.ids import random_id
from ...pipeline.sharing import Afterwards
from ...stores import Store

_SHORTEST_S, _LONGEST_S = 0.02, 0.25
"""Between two looks at the store while another process asks."""
_TRIES = 40
"""A store that is away while an answer is to be handed over is tried so often, a longest look apart: it may be starting again."""


class Counter(NamedTuple):
    """Where the answers of one stage are handed over."""

    store: Store
    name: str
    keep_s: float
    lease_s: float
    afterwards: Afterwards

    async def find(self, key: str) -> Entry | None:
        """The answer, if somebody has left it. Raises what the store raises."""
        data = await self.store.get(self._place(key))
        try:
            return decode(key, data) if data is not None else None
        except (TypeError, ValueError):
            return None

    async def take_lease(self, key: str) -> bytes | None:
        """A token, if nobody else asks now. Raises what the store raises."""
        token = f"{random_id(64):016x}".encode()
        return token if await self.store.compare_and_set(self._lease(key), None, token, self.lease_s) else None

    async def wait(self, call: Call, key: str) -> Entry | bytes:
        """The answer of whoever asks; or the lease, once it is free. Looks again while the store is away: it may come back."""
        pause_s = _SHORTEST_S
        while True:
            await call.clock.sleep(pause_s)
            pause_s = min(_LONGEST_S, 2 * pause_s)
            try:
                found = await self.find(key) or await self.take_lease(key)
            except Exception:  # noqa: BLE001, S112 - whoever waits for it ends the waiting
                continue
            if isinstance(found, bytes):
                # The last owner may have left its answer between the two questions.
                return await self._answer_after(key, found)
            if found is not None:
                return found

    async def _answer_after(self, key: str, token: bytes) -> Entry | bytes:
        try:
            found = await self.find(key)
        except Exception:  # noqa: BLE001 - the lease is ours
            return token
        if found is not None:
            await self._let_go(key, token)
        return found or token

    def hand_over(
        self, call: Call, key: str, token: bytes | None, answer: Answer | None, loop: asyncio.AbstractEventLoop
    ) -> None:
        """Leave the answer (None: there is none) and let the lease go, off the call's path."""
        entry = Entry(answer, call.clock.wall_ns(), self.keep_s, trace_id_of(call)) if answer is not None else None

        async def leave() -> None:
            data = encode(key, call.request.operation, entry) if entry is not None else None
            for left in reversed(range(1 if self.store.immediate else _TRIES)):
                try:
                    if data is not None:
                        await self.store.set(self._place(key), data, self.keep_s)
                    if token is not None:
                        await self._let_go(key, token)
                except Exception:  # noqa: BLE001 - tried again; the lease ends by itself
                    if left:
                        await asyncio.sleep(_LONGEST_S)
                else:
                    return

        self.afterwards.run(loop, leave, immediate=self.store.immediate)

    async def _let_go(self, key: str, token: bytes) -> None:
        await self.store.compare_and_set(self._lease(key), token, None, self.lease_s)

    def _place(self, key: str) -> str:
        return f"deduplicate:{self.name}:{key}"

    def _lease(self, key: str) -> str:
        return f"{self._place(key)}:lease"
