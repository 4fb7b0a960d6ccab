"""Lines of JSON, as they arrive.

Source: https://github.com/ollama/ollama/blob/main/docs/api.md#streaming-responses
"""

from __future__ import annotations

from ...pipeline.errors import ResponseValidationError

MAX_LINE_BYTES = 16 << 20


class LineDecoder:
    """Splits a stream at its line ends. Any split of the bytes gives the same lines; empty ones are left out.

    `max_line_bytes` bounds what is held of a line that has not ended: beyond it `ResponseValidationError` is raised.
    """

    __slots__ = ("_held", "_held_bytes", "_max_line_bytes")

    def __init__(self, max_line_bytes: int = MAX_LINE_BYTES) -> None:
        self._max_line_bytes = max_line_bytes
        self._held: list[bytes] = []
        self._held_bytes = 0

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that `data` completes, in order."""
        head, ended, rest = data.rpartition(b"\n")
        if not ended:
            self._hold(data)
            return []
        complete = b"".join([*self._held, head])
        self._held.clear()
        self._held_bytes = 0
        self._hold(rest)
        return [line for one in complete.split(b"\n") if (line := one.strip())]

    def finish(self) -> list[bytes]:
        """The bytes are over: the last line, if its end is missing. It may have been cut."""
        last, self._held = b"".join(self._held).strip(), []
        return [last] if last else []

    def _hold(self, piece: bytes) -> None:
        if not piece:
            return
        self._held.append(piece)
        self._held_bytes += len(piece)
        if self._held_bytes > self._max_line_bytes:
            raise ResponseValidationError(
                f"Expected lines of at most {self._max_line_bytes} bytes, found a longer one in the vendor's stream. "
                "Is something between you and the vendor that answers in its place?",
                retryable=False,
            )
