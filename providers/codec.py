"""The contract of a codec: the half of a provider that does no I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

from ..pipeline.call import Call
from ..pipeline.errors import APIError, MissingExtraError
from ..pipeline.types import Response


class Encoded(NamedTuple):
    """A request on the wire, less what the provider adds: host, credentials, `traceparent`."""

    method: str
    path: str
    """Behind the base URL, beginning with a slash."""
    content: bytes
    headers: Mapping[str, str] = {}


class Decoder(Protocol):
    """Turns the bytes of one stream into chunks. Made anew for each stream."""

    def feed(self, data: bytes) -> Sequence[Any]:
        """The chunks that `data` completes. Any split of the bytes gives the same chunks.

        Raises `StreamInterruptedError` or another `APIError` for an error event or nonsense inside the stream.
        """
        ...

    def finish(self) -> Sequence[Any]:
        """The bytes are over: the chunks that were still held. Raises `StreamInterruptedError` if the answer was cut."""
        ...


class Codec(Protocol):
    """Canonical request in, bytes out; bytes in, canonical response, chunks or error out."""

    def encode(self, call: Call) -> Encoded:
        """The vendor's request for `call.request` to `call.target.model`. Notes what changed as `TRANSLATION` facts."""
        ...

    def decode(self, call: Call, body: bytes) -> Response:
        """A complete answer. Raises `ResponseValidationError` when it is not one, `APIError` when it is an error in a 200."""
        ...

    def decoder(self, call: Call) -> Decoder:
        """A decoder for one streamed answer."""
        ...

    def assemble(self, call: Call, chunks: Sequence[Any]) -> Response:
        """Joins a stream's chunks."""
        ...

    def error(self, status_code: int, headers: Mapping[str, str], body: bytes) -> APIError:
        """The error that a status of 400 or more means. `headers` have lower-case names. Never echoes the request."""
        ...


class NotInstalled:
    """Stands for the codec of a vendor whose optional package is missing: encoding says so, and nothing else is reached."""

    def __init__(self, missing: MissingExtraError) -> None:
        self._missing = missing

    def encode(self, call: Call) -> Encoded:  # noqa: ARG002 - the contract of codecs
        """Raises the `MissingExtraError`."""
        raise self._missing

    def decode(self, call: Call, body: bytes) -> Response:  # noqa: ARG002 - as above
        """As `encode`."""
        raise self._missing

    def decoder(self, call: Call) -> Decoder:  # noqa: ARG002 - as above
        """As `encode`."""
        raise self._missing

    def assemble(self, call: Call, chunks: Sequence[Any]) -> Response:  # noqa: ARG002 - as above
        """As `encode`."""
        raise self._missing

    def error(self, status_code: int, headers: Mapping[str, str], body: bytes) -> APIError:  # noqa: ARG002 - as above
        """As `encode`."""
        raise self._missing


@runtime_checkable
class CountsTokens(Protocol):
    """What a codec is besides whose vendor counts a prompt's tokens at an endpoint of its own."""

    def encode_count(self, call: Call) -> Encoded:
        """The vendor's request to count the tokens of `call.request`."""
        ...

    def decode_count(self, body: bytes) -> int:
        """The count. Raises `ResponseValidationError` where there is none."""
        ...
