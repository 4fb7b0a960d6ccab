"""The stage that answers from a cassette."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal, get_args

from ...pipeline.attempts import attempt, provider_of
from ...pipeline.call import Call
from ...pipeline.errors import CassetteMiss, ConfigError
from ...pipeline.facts import REPLAYS, Replayed, ReplayVerdict
from ...pipeline.plan import Rule
from ...pipeline.stream import Handler, Reply
from .deck import Deck, Repeat
from .entry import Entry
from .files import cassette_at
from .masking import Mask, Redact
from .matching import VOLATILE, Matcher, Question
from .play import Timing, factor_of, play
from .record import Record

Mode = Literal["strict", "record_missing", "pass"]
"""What a request gets that is not in the cassette: an error, and nothing is sent; a vendor's answer, which is recorded; a
vendor's answer."""

_UNPROVEN = "a stage inside it sees no call that the cassette answers, and is not exercised"


@dataclass(frozen=True, slots=True)
class Replay:
    """Answers calls from a cassette in a vendor's place: same chunks, blocks, waits, errors, usage; strict mode needs no network.

    `path`: what `Record` wrote. `mode`: what becomes of a request that is not in it; strict raises `CassetteMiss`, which
    names the nearest recorded request and what differs. `timing`: `real`, `zero`, `scaled(0.1)` or a number, by the call's clock.
    Recordings of one request are played in their order; `repeat` says what comes after the last: it again, or an error.
    `ignore`: fields that make no difference to which request is which, as paths (`user`, `messages.*.name`); `target` is one too.
    `redact`: the hook that the recording was made with, so that requests are compared as they were written.

    Every played exchange is an attempt like a vendor's: cost, limits and retries see no difference.
    """

    rule: ClassVar[Rule] = Rule(
        inside={
            "Guardrails": "requests were recorded as guardrails left them, and are found only so",
            "Tracing": "a call that the cassette answers must be traced like any other",
            "Cost": "a call that the cassette answers must be billed like any other",
        },
        better_inside=dict.fromkeys(("Cache", "Fallback", "Hedge", "Timeout", "CircuitBreaker", "Faults"), _UNPROVEN)
        | {"Retry": "outside, only the outcome of all tries is played, and none of them is tried again"},
        provides=("replays",),
        may_short_circuit=True,
        notes=("answers from a recording in a vendor's place",),
    )

    path: str | os.PathLike[str]
    mode: Mode = "strict"
    timing: Timing = "zero"
    repeat: Repeat = "last"
    ignore: Sequence[str] = VOLATILE
    redact: Redact | None = field(default=None, repr=False)
    _factor: float = field(init=False, repr=False, compare=False)
    _matcher: Matcher = field(init=False, repr=False, compare=False)
    _recorder: Record | None = field(init=False, repr=False, compare=False)
    _decks: list[Deck] = field(default_factory=list, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.mode not in get_args(Mode):
            raise ConfigError(f"Replay.mode: expected strict, record_missing or pass, found {self.mode!r}.")
        if self.repeat not in get_args(Repeat):
            raise ConfigError(f"Replay.repeat: expected last or raise, found {self.repeat!r}.")
        if isinstance(self.ignore, str) or not all(isinstance(path, str) and path for path in self.ignore):
            raise ConfigError("Replay.ignore: expected a list of paths such as 'user' or 'messages.*.name'.")
        object.__setattr__(self, "ignore", tuple(self.ignore))
        object.__setattr__(self, "_factor", factor_of(self.timing))
        object.__setattr__(self, "_matcher", Matcher(tuple(self.ignore), Mask(self.redact)))
        recorder = Record(self.path, redact=self.redact) if self.mode == "record_missing" else None
        object.__setattr__(self, "_recorder", recorder)

    async def open(self) -> None:
        """Read the cassette, from its first exchange on. Raises `ConfigError` if it is not there, unless it is to be recorded."""
        self._decks[:] = [Deck(self._read(), self._matcher, self.repeat)]  # no thread: fake clocks count on that

    async def aclose(self) -> None:
        """Write what was recorded."""
        if self._recorder is not None:
            await self._recorder.aclose()

    async def __call__(self, call: Call, call_next: Handler) -> Reply:
        """The recorded reply, or what `mode` says."""
        if not self._decks:
            await self.open()
        question = self._question(call)
        entry = self._decks[0].deal(question, peek=call.dry_run)
        if entry is None:
            return await self._missing(call, question, call_next)
        call.add(REPLAYS, Replayed("played", entry.number, entry.recorded_at_ns))
        if call.dry_run:
            return await play(entry, call, 0.0)
        return await attempt(call, provider_of(call), lambda view: play(entry, view, self._factor))

    def cue(self, call_id: str) -> None:
        """Go on at the recordings of this call, by its id in the cassette."""
        for deck in self._decks:
            deck.cue(call_id)

    def _question(self, call: Call) -> Question:
        matcher = self._matcher
        if call.options.api_key is not None or call.options.headers:
            matcher = matcher._replace(mask=matcher.mask.of(call.options))
        return matcher.question(call.request, str(call.target))

    async def _missing(self, call: Call, question: Question, call_next: Handler) -> Reply:
        verdicts: dict[Mode, ReplayVerdict] = {"strict": "missed", "record_missing": "recorded", "pass": "passed"}
        call.add(REPLAYS, Replayed(verdicts[self.mode]))
        if self.mode == "strict":
            raise CassetteMiss(
                f"{self.path} has no exchange for this {call.request.operation} request to {call.target}: {self._decks[0].why_not(question)}",
                model=str(call.target),
            )
        return await (self._recorder or _passed_on)(call, call_next)

    def _read(self) -> list[Entry]:
        try:
            return cassette_at(self.path).read()
        except ConfigError:
            if self.mode == "record_missing" and not os.path.exists(self.path):  # noqa: PTH110 - a str or a path
                return []
            raise


async def _passed_on(call: Call, call_next: Handler) -> Reply:
    return await call_next(call)
