"""A recorded exchange as a vendor: the same reply, the same chunks in the same blocks, the same error, at a pace of choice."""

from __future__ import annotations

import re

from ...pipeline.call import Call
from ...pipeline.errors import ConfigError, StreamInterruptedError
from ...pipeline.facts import Attempt
from ...pipeline.stream import Block, Reply, Stream
from .entry import Entry
from .plain import ASSEMBLE, error_of

Timing = float | str
"""`real`: as recorded; `zero`: at once; a number (or `scaled(0.1)`): the recorded waits times that."""

_SCALED = re.compile(r"scaled\((?P<factor>[0-9.]+)\)")


def factor_of(timing: Timing) -> float:
    """What recorded waits are multiplied by. Raises `ConfigError`."""
    if timing in ("real", "zero"):
        return 1.0 if timing == "real" else 0.0
    scaled = _SCALED.fullmatch(timing) if isinstance(timing, str) else None
    try:
        factor = float(scaled["factor"] if scaled else timing)
    except ValueError:
        factor = -1.0
    if not 0 <= factor < float("inf") or isinstance(timing, bool):
        raise ConfigError(f"Replay.timing: expected real, zero, scaled(0.1) or a number from 0, found {timing!r:.40}.")
    return factor


async def play(entry: Entry, call: Call, factor: float) -> Reply:
    """The reply of the exchange. Raises what it failed with; streams are primed like a vendor's."""
    if call.attempt is not None:
        _note(entry, call.attempt, call.vendor)
    if entry.blocks:
        source = _Played(entry, call, factor)
        return Stream(source, ASSEMBLE[entry.operation], first=await source.read())
    await wait(call, entry.after_s, factor)
    if entry.error is not None:
        raise error_of(entry.error)
    if entry.response is None:
        raise StreamInterruptedError("The recorded stream held nothing. Record it again.")
    return entry.response.model_copy()


async def wait(call: Call, seconds: float, factor: float) -> None:
    """A recorded wait, at the pace of choice."""
    if seconds * factor > 0:
        await call.clock.sleep(seconds * factor)


def _note(entry: Entry, attempt: Attempt, vendor: str | None) -> None:
    said = entry.attempt
    attempt.vendor = said.get("vendor") or vendor
    attempt.status_code = said.get("status_code")
    attempt.request_id = said.get("request_id")
    attempt.response_id = said.get("response_id")
    attempt.response_model = said.get("response_model")
    attempt.service_tier = said.get("service_tier")


class _Played:
    """The source of a recorded stream."""

    def __init__(self, entry: Entry, call: Call, factor: float) -> None:
        self._entry = entry
        self._left: list[tuple[float, Block]] = list(reversed(entry.blocks or ()))
        self._call = call
        self._factor = factor

    async def read(self) -> Block:
        """The next block; at the end, the recorded end."""
        if self._left:
            seconds, chunks = self._left.pop()
            await wait(self._call, seconds, self._factor)
            return chunks
        await wait(self._call, self._entry.after_s, self._factor)
        if self._entry.error is not None:
            raise error_of(self._entry.error)
        if self._entry.end != "completed":
            raise StreamInterruptedError(
                f"The recording ends here: when it was made the stream was {self._entry.end} by its reader. Record it to its end.",
                retryable=False,
            )
        return ()

    async def aclose(self) -> None:
        """Nothing is held."""
        self._left.clear()
