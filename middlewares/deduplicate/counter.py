"""The store's half: an answer that others may take, and a lease for the one who asks for it."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from ...pipeline.answers import Answer, Entry, decode, encode, trace_id_of
from ...pipeline.answers.leases import LONGEST_S, Leases
from ...pipeline.call import Call
from ...pipeline.sharing import Afterwards
from ...stores import Store

_TRIES = 40
"""A store that is away while an answer is to be handed over is tried so often, a longest look apart: it may be starting again."""


class Counter(NamedTuple):
    """Where the answers of one stage are handed over."""

    store: Store
    name: str
    keep_s: float
    leases: Leases
    afterwards: Afterwards

    @classmethod
    def of(cls, store: Store, name: str, keep_s: float, lease_s: float, afterwards: Afterwards) -> Counter:
        """Of a stage's settings."""
        return cls(store, name, keep_s, Leases(store, f"deduplicate:{name}", lease_s), afterwards)

    async def find(self, key: str) -> Entry | None:
        """The answer, if somebody has left it. Raises what the store raises."""
        data = await self.store.get(self._place(key))
        try:
            return decode(key, data) if data is not None else None
        except (TypeError, ValueError):
            return None

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
                        await self.leases.let_go(key, token)
                except Exception:  # noqa: BLE001 - tried again; the lease ends by itself
                    if left:
                        await asyncio.sleep(LONGEST_S)
                else:
                    return

        self.afterwards.run(loop, leave, immediate=self.store.immediate)

    def _place(self, key: str) -> str:
        return f"deduplicate:{self.name}:{key}"
