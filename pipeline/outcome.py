"""How a reply ended, once."""

from __future__ import annotations

import itertools
import logging
import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Literal

from .errors import error_kind
from .types import Response

if TYPE_CHECKING:
    from .record import Record

logger = logging.getLogger("glassway")

_new = object.__new__

End = Literal["completed", "failed", "interrupted", "timeout", "cancelled", "closed", "abandoned"]
"""completed; failed before output; cut mid-stream; out of time; task cancelled; closed early by the consumer; dropped unclosed."""


class Outcome:
    """The one terminal event of a reply. Every observer gets the same object."""

    __slots__ = ("_assembled", "_lock", "_make", "chunks", "end", "error")

    def __init__(
        self,
        end: End,
        *,
        response: Response | None = None,
        make: Callable[[], Response | None] | None = None,
        error: BaseException | None = None,
        chunks: int = 0,
    ) -> None:
        """`make` assembles the response when somebody first asks for it."""
        self.end = end
        self.error = error
        self.chunks = chunks
        self._assembled = response
        self._make = make
        self._lock = None if make is None else threading.RLock()

    @property
    def response(self) -> Response | None:
        """The whole response; the partial one if the stream did not complete; None if nothing arrived.

        The same object for all who ask, from any thread: who asks while another assembles it waits for that.
        """
        if self._lock is not None and self._make is not None:
            with self._lock:
                if self._make is not None:
                    self._assembled = self._make()
                    self._make = None  # only now: whoever sees it gone finds the response there
        return self._assembled

    def attach(self, record: Record) -> None:
        """Put the call's record on the response, when somebody asks for it, and on the partial response of an error."""
        if self._make is not None:
            make = self._make
            self._make = lambda: _with_record(make(), record)
        else:
            self._assembled = _with_record(self._assembled, record)

    @property
    def ok(self) -> bool:
        """Whether the reply completed."""
        return self.end == "completed"

    def __repr__(self) -> str:
        return f"Outcome(end={self.end!r}, chunks={self.chunks}, error={type(self.error).__name__ if self.error else None})"


def completed(response: Response | None) -> Outcome:
    """Of a call that has its whole answer. Field by field: each call makes three, in half the time of the constructor."""
    outcome = _new(Outcome)
    outcome.end = "completed"
    outcome.error = outcome._make = outcome._lock = None  # noqa: SLF001 - of our own class
    outcome.chunks = 0
    outcome._assembled = response  # noqa: SLF001 - as above
    return outcome


Observer = Callable[[Outcome], Any]

_failures = itertools.count(1)
_failed = 0


def notify(observer: Callable[..., Any], *told: object) -> None:
    """Tell an observer. One that raises is logged and counted, and breaks nothing."""
    try:
        observer(*told)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is said
        _count_failure(observer, error)


def notify_all(observers: Iterable[Callable[..., Any]], *told: object) -> None:
    """Tell all of them, as `notify` does."""
    for observer in observers:
        try:
            observer(*told)
        except Exception as error:  # noqa: BLE001 - as above
            _count_failure(observer, error)


def _count_failure(observer: Callable[..., Any], error: Exception) -> None:
    global _failed
    _failed = next(_failures)
    called = getattr(observer, "func", observer)  # of a partial, what it calls
    logger.error(
        "An observer raised (%s); the call goes on.",
        getattr(called, "__qualname__", type(called).__name__),
        exc_info=error,
    )


def observer_failures() -> int:
    """How many observers have raised in this process."""
    return _failed


def outcome_of(error: BaseException, *, mid_stream: bool = False) -> End:
    """The end that an exception means."""
    kind = error_kind(error)
    if kind == "cancelled":
        return "cancelled"
    if kind == "timeout":
        return "timeout"
    if mid_stream or kind == "stream_interrupted":
        return "interrupted"
    return "failed"


def _with_record(response: Response | None, record: Record) -> Response | None:
    return response.with_record(record) if response is not None else None
