"""The stage that judges what goes in and what comes out."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal, TypeVar

from ...pipeline.call import Call
from ...pipeline.errors import ConfigError
from ...pipeline.plan import Rule
from ...pipeline.stream import Handler, Reply, Stream
from ...pipeline.types import ChatChunk, Request, Response, TranscriptionChunk, assemble_transcription
from .chunks import Screen, texts_of_stream
from .judge import Bench
from .names import RuleLike, rule_of
from .rewrite import rewritten
from .rules import GuardRule, OnError
from .tally import Tally
from .texts import strings_of, texts_of, with_texts

_RULE = Rule(
    outside={"Cache": "guardrails judge every call, hits too, and take secrets out before a request becomes a key"},
    better_outside={
        "Retry": "a request is judged once, not once for each try, and a refusal is not worth another try",
        "Fallback": "a request is judged once, not once for each target, and every target's answer is judged",
    },
    provides=("guardrails",),
    may_short_circuit=True,
    holds_chunks=True,
)


Judged = TypeVar("Judged", Request, Response)


@dataclass(frozen=True, slots=True)
class Guardrails:
    """Judges every text of a request before it goes on, and every text of the answer before the caller sees it.

    `rules`: rules, or names of rules (`secrets`, `pii`), or a name with settings, or functions. Rules that find stretches
    of text run first, those for whole texts afterwards, on what is left.
    `holdback_chars`: how long a match of a `Regex` without `longest` may be to be found on a stream.
    `streams`: what rules for whole texts (`JSONSchema`, `Check`) do on streams: `buffer` holds the whole answer back until
    they have judged; `not_run` lets it pass and says so.
    `on_error`: `fail_closed` refuses what a rule that blocks or redacts could not judge; `fail_open` lets it pass.
    `max_chars`: the longest text that is judged; a longer one could not be.

    Raises `GuardrailViolation` when a rule blocks; `ConfigError` for settings that cannot be.
    """

    rule: ClassVar[Rule] = _RULE

    rules: Sequence[RuleLike]
    holdback_chars: int = 256
    streams: Literal["buffer", "not_run"] = "buffer"
    on_error: OnError = "fail_closed"
    max_chars: int = 1_000_000
    _input: Bench = field(init=False, repr=False, compare=False)
    _output: Bench = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        rules = tuple(map(rule_of, self.rules))
        self._check(rules)
        for side, place in (("input", "_input"), ("output", "_output")):
            bench = Bench.of(side, rules, self.holdback_chars, self.on_error, self.max_chars)  # type: ignore[arg-type]  # both are sides
            object.__setattr__(self, place, bench)
        object.__setattr__(self, "rules", rules)

    def _check(self, rules: Sequence[GuardRule]) -> None:
        if not rules:
            raise ConfigError("guardrails.rules: expected at least one rule, found none. Name one: rules=['secrets'].")
        again = [label for label, count in Counter(rule.label for rule in rules).items() if count > 1]
        if again:
            raise ConfigError(
                f"guardrails.rules: expected a name for each rule, found {again[0]!r} twice. Give one a name: name='...'."
            )
        for setting in ("holdback_chars", "max_chars"):
            if getattr(self, setting) < 1:
                raise ConfigError(f"guardrails.{setting}: expected at least 1, found {getattr(self, setting)}.")
        for setting, allowed in (("streams", ("buffer", "not_run")), ("on_error", ("fail_closed", "fail_open"))):
            if getattr(self, setting) not in allowed:
                raise ConfigError(
                    f"guardrails.{setting}: expected {' or '.join(allowed)}, found {getattr(self, setting)!r}."
                )

    async def __call__(self, call: Call, call_next: Handler) -> Reply:
        """Judge the request, ask, judge the answer."""
        bench = self._input
        if bench.rules and not bench.passes(call, strings_of(call.request)):
            request = await _judged(bench, call, call.request)
            call = call if request is call.request else call.with_request(request)
        reply = await call_next(call)
        bench = self._output
        if not bench.rules:
            return reply
        if not isinstance(reply, Stream):
            return reply if bench.passes(call, strings_of(reply)) else await _judged(bench, call, reply)
        if call.request.operation == "transcription":
            return reply.through(lambda chunks: _held(self._output, call, chunks))
        return (
            self._screened(call, reply) if call.request.operation == "chat" else reply
        )  # pictures and sound have no text

    def _screened(self, call: Call, stream: Stream) -> Stream:
        tally = self._output.tally(call)
        whole = [rule for rule in self._output.wholes if self.streams == "buffer"]
        for rule in self._output.wholes if not whole else ():
            tally.not_run(rule, "not on streams, by setting", decided=True)

        screen = Screen(self._output, tally)
        stream.map_blocks(screen.take, screen.finish)
        if whole:
            stream.through(lambda chunks: self._buffered(call, chunks, tally))
        return stream.when_done(lambda _: tally.tell())

    async def _buffered(
        self, call: Call, chunks: AsyncIterator[ChatChunk], tally: Tally
    ) -> AsyncGenerator[ChatChunk, None]:
        """Everything at once, when all of it is judged."""
        held = [chunk async for chunk in chunks]
        texts = texts_of_stream(held)
        after = await self._output.judge_wholes(call, list(texts.values()), tally)
        changed = {channel: new for (channel, text), new in zip(texts.items(), after, strict=True) if new != text.value}
        for chunk in rewritten(held, changed) if changed else held:
            yield chunk


async def _held(
    bench: Bench, call: Call, chunks: AsyncIterator[TranscriptionChunk]
) -> AsyncGenerator[TranscriptionChunk, None]:
    """A transcript, held back until all of it is judged; one that had to change goes out in one piece."""
    held = [chunk async for chunk in chunks]
    whole = assemble_transcription(held)
    judged = await _judged(bench, call, whole)
    if judged is whole:
        for chunk in held:
            yield chunk
    else:
        yield TranscriptionChunk(judged.text, whole=judged.text, usage=judged.usage)


async def _judged(bench: Bench, call: Call, value: Judged) -> Judged:
    tally = bench.tally(call)
    try:
        after = await bench.judge(call, texts_of(value), tally)
    finally:
        tally.tell()
    return value if after is None else with_texts(value, after)
