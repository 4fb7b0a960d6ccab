"""What the simulated vendor was asked, for tests to look at."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, overload

if TYPE_CHECKING:
    from .reading import Json


@dataclass(frozen=True, slots=True)
class SeenRequest:
    """A logged request; `json` is the parsed body, `None` where it was none."""

    method: str
    path: str
    headers: Mapping[str, str] = field(repr=False)
    json: Json | None = field(repr=False)


class RequestLog(Sequence[SeenRequest]):
    """The latest requests, oldest first; bounded in number and in bytes of their bodies. Thread-safe."""

    def __init__(self, most: int = 1000, most_bytes: int = 16 << 20) -> None:
        self._most, self._most_bytes, self._bytes = most, most_bytes, 0
        self._entries: deque[tuple[SeenRequest, int]] = deque()
        self._lock = threading.Lock()

    def add(self, request: SeenRequest, body_bytes: int) -> None:
        """Logs a request; the oldest make room."""
        with self._lock:
            self._entries.append((request, body_bytes))
            self._bytes += body_bytes
            while len(self._entries) > self._most or (self._bytes > self._most_bytes and len(self._entries) > 1):
                self._bytes -= self._entries.popleft()[1]

    def clear(self) -> None:
        """Forgets all requests."""
        with self._lock:
            self._entries.clear()
            self._bytes = 0

    @overload
    def __getitem__(self, index: int) -> SeenRequest: ...
    @overload
    def __getitem__(self, index: slice) -> list[SeenRequest]: ...
    def __getitem__(self, index: int | slice) -> SeenRequest | list[SeenRequest]:
        return [entry for entry, _ in list(self._entries)][index]

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[SeenRequest]:
        return iter([entry for entry, _ in list(self._entries)])
