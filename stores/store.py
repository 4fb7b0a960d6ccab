"""What every store can do."""

from __future__ import annotations

from typing import Protocol, runtime_checkable


@runtime_checkable
class Store(Protocol):
    """Bytes by key, each with a time to live. Safe for concurrent use, from several event loops too.

    A store bounds its own size and its own waiting: whoever uses it puts no time limit around it. Any method may raise
    what its backend raises; users of a store decide what a failure means for them.
    """

    async def get(self, key: str) -> bytes | None:
        """The value, or None if there is none or its time is over."""
        ...

    async def set(self, key: str, value: bytes, ttl_s: float) -> None:
        """Keep `value` for `ttl_s` seconds, or shorter where room is needed. Replaces what was there."""
        ...

    async def delete(self, key: str) -> None:
        """Forget `key`; nothing happens if it is unknown."""
        ...

    async def aclose(self) -> None:
        """Let go of files and connections. May be called more than once; a store that is used again opens again."""
        ...
