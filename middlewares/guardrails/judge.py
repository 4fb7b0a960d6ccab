"""Whole texts, judged by all rules of one side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, cast

from ...pipeline.call import Call
from .rules import GuardRule, OnError, Side, Verdict, WholeRule
from .span import Scanner, Span, find, mark, merged, replaced
from .tally import Tally
from .texts import Text


class Armed(NamedTuple):
    """A rule that finds stretches of text, with its scanners."""

    rule: GuardRule
    scanners: tuple[Scanner, ...]

    @property
    def redacts(self) -> bool:
        """Whether its findings are to be replaced."""
        return self.rule.enforced and self.rule.does == "redact"


class Bench(NamedTuple):
    """The rules of one side: those that find stretches, and those that judge whole texts."""

    side: Side
    spans: tuple[Armed, ...]
    wholes: tuple[GuardRule, ...]
    on_error: OnError
    max_chars: int

    @classmethod
    def of(
        cls, side: Side, rules: Sequence[GuardRule], holdback_chars: int, on_error: OnError, max_chars: int
    ) -> Bench:
        """Those of `rules` that apply to the side."""
        armed = [Armed(rule, rule.scanners(holdback_chars)) for rule in rules if rule.applies(side)]
        spans = tuple(one for one in armed if one.scanners)
        return cls(side, spans, tuple(one.rule for one in armed if not one.scanners), on_error, max_chars)

    @property
    def rules(self) -> tuple[GuardRule, ...]:
        """All of them."""
        return (*(armed.rule for armed in self.spans), *self.wholes)

    def tally(self, call: Call) -> Tally:
        """A new count for one call."""
        return Tally(call, self.side, self.rules, self.on_error)

    async def judge(self, call: Call, texts: Sequence[Text], tally: Tally) -> list[str]:
        """The texts as they may go on. Raises `GuardrailViolation`."""
        redacted = self.redact(texts, tally)
        return await self.judge_wholes(call, redacted, tally)

    def redact(self, texts: Sequence[Text], tally: Tally) -> list[Text]:
        """The texts without what is to be replaced. Raises `GuardrailViolation`."""
        spans: list[list[Span]] = [[] for _ in texts]
        for armed in self.spans:
            self._find(armed, texts, spans, tally)
        tally.enforce()
        return [
            text._replace(value=replaced(text.value, merged(found))) if found else text
            for text, found in zip(texts, spans, strict=True)
        ]

    def _find(self, armed: Armed, texts: Sequence[Text], spans: list[list[Span]], tally: Tally) -> None:
        for text, so_far in zip(texts, spans, strict=True):
            if len(text.value) > self.max_chars:
                tally.not_run(armed.rule, f"a text is longer than {self.max_chars} characters")
                continue
            try:
                found = find(armed.scanners, text.value)
            except Exception as error:  # noqa: BLE001 - a rule that fails is reported, and closes or opens as it is set
                tally.not_run(armed.rule, type(error).__name__)
                continue
            for span in found:
                tally.found(armed.rule, span.label)
            if armed.redacts:
                so_far += found
        tally.judged(armed.rule)

    async def judge_wholes(self, call: Call, texts: Sequence[Text], tally: Tally) -> list[str]:
        """The texts as the rules for whole texts leave them. Raises `GuardrailViolation`."""
        values = [text.value for text in texts]
        for rule in self.wholes:
            whole = cast(WholeRule, rule)  # rules without scanners have `judge`
            if call.dry_run and not whole.pure:
                tally.not_run(rule, "a dry run calls no function", decided=True)
                continue
            for place, text in enumerate(texts):
                if not whole.kinds or text.kind in whole.kinds:
                    values[place] = await self._judge(call, rule, whole, values[place], tally)
            tally.judged(rule)
            tally.enforce()
        return values

    async def _judge(self, call: Call, rule: GuardRule, whole: WholeRule, text: str, tally: Tally) -> str:
        if len(text) > self.max_chars:
            tally.not_run(rule, f"a text is longer than {self.max_chars} characters")
            return text
        try:
            verdict = await _within_limits(call, whole, text)
        except TimeoutError:
            call.check_deadline()
            tally.not_run(rule, f"no verdict within {whole.timeout_s:g} s")
        except Exception as error:  # noqa: BLE001 - as above
            tally.not_run(rule, type(error).__name__)
        else:
            return _after(verdict, rule, text, tally)
        return text


async def _within_limits(call: Call, whole: WholeRule, text: str) -> Verdict:
    remaining_s = call.remaining_s()
    async with call.clock.limit(whole.timeout_s if remaining_s is None else min(whole.timeout_s, remaining_s)):
        return await whole.judge(text)


def _after(verdict: Verdict, rule: GuardRule, text: str, tally: Tally) -> str:
    """The text that goes on."""
    if isinstance(verdict, str):
        if verdict == text:
            return text
        tally.found(rule, rule.label, rewrote=rule.does != "annotate")
        return verdict if rule.enforced else text
    if verdict is False:
        tally.found(rule, rule.label)
        return mark(rule.label) if rule.enforced and rule.does == "redact" else text
    return text
