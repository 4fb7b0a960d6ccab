"""One recorded exchange, as it stands in a cassette: documented in `docs/cassettes.md`, versioned, checked when it is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Final, get_args

from ...pipeline.errors import ConfigError
from ...pipeline.outcome import End
from ...pipeline.types import Request, Response
from .plain import ASSEMBLE, CHUNKS, Plain, chunk_of, long, request_of, response_of

VERSION: Final = 1
MARK: Final = "glassway_cassette"

_ENDS = frozenset(get_args(End))
_HUNG_UP = frozenset({"cancelled", "closed", "abandoned"})
"""Ends that the caller made: what the vendor would have said next is not known."""


@dataclass(frozen=True)
class Entry:
    """One exchange with a vendor: what was asked, what arrived and when, and how it ended."""

    number: int
    """From 1, in the cassette's order."""
    data: Plain

    @property
    def call(self) -> str:
        """The call that it belongs to, 16 hex digits; retries of one call share it."""
        return str(self.data["call"])

    @property
    def recorded_at_ns(self) -> int:
        """Nanoseconds since 1970."""
        return round(datetime.fromisoformat(self.data["recorded_at"]).timestamp() * 1e6) * 1000

    @property
    def operation(self) -> str:
        """What was asked for."""
        return str(self.data["request"]["operation"])

    @property
    def target(self) -> str:
        """Where it went, `vendor/model`."""
        return str(self.data["request"]["target"])

    @cached_property
    def request(self) -> Request:
        """What was asked."""
        return request_of(self.operation, self.data["request"]["body"])

    @property
    def end(self) -> str:
        """How the exchange ended, in the words of an outcome."""
        return str(self.data["end"])

    @property
    def after_s(self) -> float:
        """Seconds until the whole answer or the error; of a stream, from its last block to its end."""
        return float(self.data["end_after_s"])

    @property
    def error(self) -> Plain | None:
        """What it failed with."""
        return self.data.get("error")

    @property
    def attempt(self) -> Plain:
        """What the vendor said beside the answer: status, ids, tier."""
        return self.data.get("attempt") or {}

    @property
    def record(self) -> Plain | None:
        """The call's summary; on the last exchange of each call."""
        return self.data.get("record")

    @cached_property
    def response(self) -> Response | None:
        """The whole answer, where one came; of a stream, what had arrived."""
        if "response" in self.data:
            return response_of(self.operation, self.data["response"])
        chunks = [chunk for _, block in self.blocks or () for chunk in block]
        return ASSEMBLE[self.operation](chunks) if chunks else None

    @cached_property
    def blocks(self) -> tuple[tuple[float, tuple[Any, ...]], ...] | None:
        """A stream's blocks, each with the seconds that it was waited for; None where no stream came."""
        stream = self.data.get("stream")
        if stream is None:
            return None
        kind, head = CHUNKS[self.operation], stream.get("head", {})
        return tuple(
            (float(wait_s), tuple(chunk_of(kind, long(self.operation, item, head)) for item in items))
            for wait_s, *items in stream["blocks"]
        )

    @property
    def playable(self) -> bool:
        """Whether something can be played: an answer, a part of one, or an error that was not the caller's hanging up."""
        if self.end in _HUNG_UP:
            return bool(self.data.get("stream", {}).get("blocks"))
        return self.error is not None or "stream" in self.data or "response" in self.data


def entry_of(number: int, data: Any, where: str) -> Entry:
    """The entry in `data`, checked. Raises `ConfigError` that says where and what is wrong."""
    if not isinstance(data, Mapping) or MARK not in data:
        raise ConfigError(f"{where}: expected an exchange with the field {MARK!r}, found something else.")
    if data[MARK] != VERSION:
        raise ConfigError(
            f"{where}: expected version {VERSION} of the format, found {str(data[MARK])[:20]!r}. Record it again."
        )
    entry = Entry(number, dict(data))
    try:
        _check(entry)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        # No text of the error: it may quote what is recorded.
        raise ConfigError(f"{where}: the exchange cannot be read ({type(error).__name__}). Record it again.") from None
    return entry


def _check(entry: Entry) -> None:
    if entry.end not in _ENDS:
        raise ValueError
    _ = entry.call, entry.recorded_at_ns, entry.target, entry.after_s
    _ = entry.request, entry.response, entry.blocks


def timestamp(wall_ns: int) -> str:
    """Wall time as people read it, to the microsecond."""
    return datetime.fromtimestamp(wall_ns / 1e9, UTC).isoformat(timespec="microseconds")
