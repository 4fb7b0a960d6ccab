"""A lease for whoever asks a question, so that other processes wait for the answer instead of asking too."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import NamedTuple, Protocol, TypeVar

from ..call import Call
from ..ids import random_id

T = TypeVar("T")

SHORTEST_S, LONGEST_S = 0.02, 0.25
"""Between two looks while another process asks."""


class LeaseStore(Protocol):
    """What of a store is needed."""

    async def compare_and_set(self, key: str, expected: bytes | None, value: bytes | None, ttl_s: float) -> bool: ...


class Leases(NamedTuple):
    """One for each question of those who share the store. Whoever holds one and dies holds it for `lease_s` at most."""

    store: LeaseStore
    prefix: str
    lease_s: float

    async def take(self, key: str) -> bytes | None:
        """A token, if nobody else asks now. Raises what the store raises."""
        token = f"{random_id(64):016x}".encode()
        return token if await self.store.compare_and_set(self._place(key), None, token, self.lease_s) else None

    async def let_go(self, key: str, token: bytes) -> None:
        """Nobody asks any more. Raises what the store raises."""
        await self.store.compare_and_set(self._place(key), token, None, self.lease_s)

    async def wait(self, call: Call, key: str, find: Callable[[], Awaitable[T | None]]) -> T | bytes:
        """What `find` finds once it is there; or the lease, once it is free. Looks again while the store is away: it may come back."""
        pause_s = SHORTEST_S
        while True:
            await call.clock.sleep(pause_s)
            pause_s = min(LONGEST_S, 2 * pause_s)
            try:
                found = await find()
                token = await self.take(key) if found is None else None
            except Exception:  # noqa: BLE001, S112 - whoever waits for it ends the waiting
                continue
            if found is not None:
                return found
            if token is not None:
                # The last owner may have left its answer between the two questions.
                return await self._found_after(key, token, find)

    async def _found_after(self, key: str, token: bytes, find: Callable[[], Awaitable[T | None]]) -> T | bytes:
        try:
            found = await find()
        except Exception:  # noqa: BLE001 - the lease is ours
            return token
        if found is None:
            return token
        with suppress(Exception):  # it ends by itself
            await self.let_go(key, token)
        return found

    def _place(self, key: str) -> str:
        return f"{self.prefix}:{key}:lease"
