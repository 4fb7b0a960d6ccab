"""The stage that writes exchanges to a cassette."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import ClassVar

from ...pipeline.call import Call
from ...pipeline.errors import ConfigError
from ...pipeline.plan import Rule
from ...pipeline.stream import Handler, Reply
from .desk import Desk, Reel
from .essence import summary_of
from .files import Cassette, Sheet, cassette_at
from .masking import Mask, Redact
from .take import Take

_OUTCOME_ONLY = "outside, a recording holds what became of all tries together, and none of them"
_UNSEEN = "the recording holds what vendors said; outside, it holds answers that no vendor gave"


@dataclass(frozen=True, slots=True)
class Record:
    """Writes each exchange with a vendor to a cassette: request, reply with every chunk, its block and its wait, error, usage, decisions.

    `to`: a file (`calls.jsonl`: JSON lines) or a folder (a JSON file an exchange). Secrets are taken out before anything is
    written: keys by their form, the call's own key and headers, and what `redact` takes out of each text. Written when the
    call has ended, off its path; `queue` exchanges wait at most, further ones are dropped and counted. Nothing is written
    beyond `max_bytes` and `max_calls` of the cassette. Several processes may write to one cassette. Closing the pipeline writes
    what waits, for `flush_s` at most.
    """

    rule: ClassVar[Rule] = Rule(
        inside={
            "Guardrails": "what guardrails take out must not be in a recording",
        },
        better_inside={
            "Cost": "then the bill that is recorded is that of the whole call",
            "Cache": _UNSEEN,
            "Fallback": _OUTCOME_ONLY,
            "Retry": _OUTCOME_ONLY,
            "Hedge": _OUTCOME_ONLY,
            "Timeout": "the waits of an attempt that ran out of time are then recorded as they were",
        },
        notes=("writes requests and answers to a file, secrets taken out",),
    )

    to: str | os.PathLike[str]
    redact: Redact | None = field(default=None, repr=False)
    max_bytes: int = 67_108_864
    max_calls: int = 10_000
    queue: int = 1000
    flush_s: float = 5.0
    _cassette: Cassette = field(init=False, repr=False, compare=False)
    _desk: Desk = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not str(self.to):
            raise ConfigError("Record.to: expected the path of a file or a folder, found an empty text.")
        for name in ("max_bytes", "max_calls", "queue"):
            if getattr(self, name) < 1:
                raise ConfigError(f"Record.{name}: expected at least 1, found {getattr(self, name)}.")
        if self.flush_s < 0:
            raise ConfigError(f"Record.flush_s: expected seconds from 0, found {self.flush_s}.")
        cassette = cassette_at(self.to, max_bytes=self.max_bytes, max_calls=self.max_calls)
        object.__setattr__(self, "_cassette", cassette)
        object.__setattr__(self, "_desk", Desk(cassette, self._sheet, self.queue))

    async def __call__(self, call: Call, call_next: Handler) -> Reply:
        """The reply as it is."""
        if call.dry_run:
            return await call_next(call)
        now_ns = call.clock.now_ns()
        take = Take(call, self._reel(call, now_ns), now_ns)
        try:
            reply = await call_next(call)
        except BaseException as error:
            take.failed(error)
            raise
        take.answered(reply)
        return reply

    async def aclose(self) -> None:
        """Write what waits, for `flush_s` at most; what then still waits is dropped and counted."""
        await self._desk.close(self.flush_s)

    def counts(self) -> dict[str, int]:
        """Exchanges of this stage so far: written, full, failed, dropped, waiting."""
        return self._desk.counts()

    def _reel(self, call: Call, now_ns: int) -> Reel:
        """The call's own: a retry brings the same call here again."""
        for observer in call.state.recorded:
            if isinstance(observer, Reel) and observer.desk is self._desk:
                return observer
        reel = Reel(self._desk, call, now_ns)
        call.when_recorded(reel)
        return reel

    def _sheet(self, take: Take) -> Sheet:
        mask, reel = Mask(self.redact).of(take.call.options), take.reel
        data = take.plain(mask)
        if reel.record is not None and take.settles:
            response = reel.outcome.response if reel.outcome is not None else None
            data["record"] = summary_of(reel.record, response, mask, reel.seen_s)
        return self._cassette.sheet(data)
