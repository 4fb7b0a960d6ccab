"""Circuits that processes share: who opens one, opens it for all; who tries first after that, tries for all."""

from __future__ import annotations

from typing import NamedTuple

from ...pipeline.call import Call
from ...pipeline.ids import random_id
from ...pipeline.sharing import OnStoreFailure, ask_store
from ...stores import Store
from .circuit import Circuit

_OPEN = b"open"
_STAGE = "CircuitBreaker"
_MOST_SEEN = 1000


class Shared(NamedTuple):
    """The store's half of the circuits of one stage. Time is the store's own: an open circuit is a key with a time to live."""

    store: Store
    name: str
    policy: OnStoreFailure
    refresh_s: float
    seen_ns: dict[str, int]
    """When each target was looked up last."""

    async def refresh(self, call: Call, target: str, circuit: Circuit) -> None:
        """Take over what others have found, if the last look was `refresh_s` ago."""
        now_ns = call.clock.now_ns()
        if now_ns - self.seen_ns.get(target, -(1 << 62)) < self.refresh_s * 1e9:
            return
        if len(self.seen_ns) >= _MOST_SEEN:
            self.seen_ns.clear()  # they are looked up once more
        self.seen_ns[target] = now_ns
        found = await ask_store(call, _STAGE, self.policy, self.store.get(self._key(target)), None)
        if found is not None and circuit.state == "closed":
            circuit.open(now_ns, self.refresh_s)
        elif found is not None and circuit.state == "open":
            circuit.until_ns = max(circuit.until_ns, now_ns + int(self.refresh_s * 1e9))

    async def is_opened_first(self, target: str, for_s: float) -> bool:
        """Whether this process is the one that opened it. Raises what the store raises."""
        return await self.store.compare_and_set(self._key(target), None, _OPEN, for_s)

    async def may_probe(self, call: Call, target: str, for_s: float) -> bool:
        """Whether this process may try for all."""
        token = f"{random_id(64):016x}".encode()
        question = self.store.compare_and_set(f"{self._key(target)}:probe", None, token, for_s)
        return await ask_store(call, _STAGE, self.policy, question, True)

    async def ended(self, target: str) -> None:
        """Others may try again. Raises what the store raises."""
        await self.store.delete(f"{self._key(target)}:probe")

    def _key(self, target: str) -> str:
        return f"circuit:{self.name}:{target}"
