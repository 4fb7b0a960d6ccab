"""Event streams: bytes in, however they were cut, events out."""

from __future__ import annotations

from typing import NamedTuple

from ..pipeline.errors import ResponseValidationError

_BOM = b"\xef\xbb\xbf"
MAX_EVENT_BYTES = 16 << 20
"""16 MiB: an inline image of the largest kind fits, a body that never ends a line does not."""


class Event(NamedTuple):
    """`event` is the event's name, empty if it has none; `data` its data lines, joined by LF."""

    event: str
    data: bytes


class EventDecoder:
    """Decodes one event stream incrementally. Any split of the bytes gives the same events.

    Lines end with LF, CR or CRLF; a byte order mark, comments, `id` and `retry` are passed over. `max_event_bytes`
    bounds what is held for an event that is not complete: beyond it `ResponseValidationError` is raised.

    Source: https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
    """

    __slots__ = ("_after_cr", "_at_start", "_data", "_event", "_held", "_held_bytes", "_max_event_bytes")

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._max_event_bytes = max_event_bytes
        self._held: list[bytes] = []  # pieces of a line that has not ended
        self._held_bytes = 0
        self._data: list[bytes] = []
        self._event = ""
        self._at_start = True
        self._after_cr = False

    def feed(self, data: bytes) -> list[Event]:
        """The events that `data` completes, in order."""
        if self._at_start or self._after_cr or b"\r" in data:
            data = self._normalised(data)
        end = data.rfind(b"\n")
        if end > 0 and data.find(b"\n") == end - 1 and not self._held and not self._data and data.startswith(b"data: "):
            return self._only(data, end)
        if end < 0:
            self._hold(data)
            return []
        self._held.append(data[:end])
        complete = b"".join(self._held)
        self._held.clear()
        events = self._read(complete.split(b"\n"))
        self._held_bytes = sum(map(len, self._data)) if self._data else 0
        self._hold(data[end + 1 :])
        return events

    def _only(self, data: bytes, end: int) -> list[Event]:
        """One whole event of one line, which is how most pieces come: a third of the time of the general way."""
        event = Event(self._event, data[6 : end - 1])
        self._event = ""
        self._hold(data[end + 1 :])
        return [event]

    def finish(self) -> list[Event]:
        """The bytes are over: the last event, if the end of its line or its empty line is missing.

        It may have been cut: a reader that finds it incomplete should take the stream for interrupted.
        """
        last, self._held = b"".join(self._held), []
        return self._read([last, b""])

    def _read(self, lines: list[bytes]) -> list[Event]:
        events: list[Event] = []
        data = self._data
        for line in lines:
            if line.startswith(b"data: "):
                data.append(line[6:])
            elif line:
                self._field(line)
            elif data:
                events.append(Event(self._event, data[0] if len(data) == 1 else b"\n".join(data)))
                data.clear()
                self._event = ""
            else:
                self._event = ""
        return events

    def _field(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        if name == b"data":
            self._data.append(value.removeprefix(b" "))
        elif name == b"event":
            self._event = value.removeprefix(b" ").decode("utf-8", "replace")

    def _hold(self, piece: bytes) -> None:
        if not piece:
            return
        self._held.append(piece)
        self._held_bytes += len(piece)
        if self._held_bytes > self._max_event_bytes:
            raise ResponseValidationError(
                f"Expected events of at most {self._max_event_bytes} bytes, found a longer one in the vendor's stream. "
                "Is something between you and the vendor that answers in its place?",
                retryable=False,
            )

    def _normalised(self, data: bytes) -> bytes:
        """Every line end as LF, at once: a CR ends its line, and an LF that follows in the next piece is dropped."""
        if self._at_start:
            data = b"".join(self._held) + data
            self._held.clear()
            if len(data) < len(_BOM) and _BOM.startswith(data):
                return data
            self._at_start = False
            data = data.removeprefix(_BOM)
        if self._after_cr and data:
            data = data.removeprefix(b"\n")
            self._after_cr = False
        if b"\r" not in data:
            return data
        self._after_cr = data.endswith(b"\r")
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
