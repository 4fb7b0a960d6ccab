"""Whole texts, judged by all rules of one side."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple, cast

from ...pipeline.call import Call
from ...pipeline.facts import GUARDRAILS, GuardrailVerdict
from .rules import GuardRule, OnError, Side, Verdict, WholeRule
from .span import Scanner, Span, find, mark, merged, replaced, traces_of
from .tally import Tally, passed
from .texts import Text


class Armed:
    """A rule that finds stretches of text, with its scanners."""

    __slots__ = ("redacts", "rule", "scanners", "traces")

    def __init__(self, rule: GuardRule, scanners: tuple[Scanner, ...]) -> None:
        self.rule = rule
        self.scanners = scanners
        self.traces = traces_of(scanners)
        self.redacts = rule.enforced and rule.does == "redact"
        """Whether its findings are to be replaced."""

    def may_find(self, text: str) -> bool:
        """False for most texts without anything: told by a quick look."""
        if self.traces is None:
            return True
        return any(trace.search(text) is not None for trace in self.traces)


class Bench(NamedTuple):
    """The rules of one side: those that find stretches, and those that judge whole texts."""

    side: Side
    spans: tuple[Armed, ...]
    wholes: tuple[GuardRule, ...]
    on_error: OnError
    max_chars: int
    rules: tuple[GuardRule, ...]
    """All of them, in this order."""
    passed: tuple[GuardrailVerdict, ...]
    """Their verdicts where none has found anything."""
    looks: tuple[Callable[[str], re.Match[str] | None], ...] | None
    """Quick looks, of which one finds something wherever a rule does; None where there is no way but to ask the rules."""

    @classmethod
    def of(
        cls, side: Side, rules: Sequence[GuardRule], holdback_chars: int, on_error: OnError, max_chars: int
    ) -> Bench:
        """Those of `rules` that apply to the side."""
        armed = [Armed(rule, rule.scanners(holdback_chars)) for rule in rules if rule.applies(side)]
        spans = tuple(one for one in armed if one.scanners)
        wholes = tuple(one.rule for one in armed if not one.scanners)
        ours = (*(one.rule for one in spans), *wholes)
        verdicts = tuple(passed(rule.label, side) for rule in ours)
        traced = not wholes and all(one.traces is not None for one in spans)
        traces = dict.fromkeys(trace for one in spans for trace in one.traces or ())
        looks = tuple(trace.search for trace in traces) if traced else None
        return cls(side, spans, wholes, on_error, max_chars, ours, verdicts, looks)

    def passes(self, call: Call, texts: Sequence[str]) -> bool:
        """Whether a quick look shows that no rule has anything to say; that is then written down as their verdicts."""
        if self.looks is None:
            return False
        looks, max_chars = self.looks, self.max_chars
        for text in texts:
            if len(text) > max_chars:
                return False
            for look in looks:
                if look(text) is not None:
                    return False
        call.extend(GUARDRAILS, self.passed)
        return True

    def tally(self, call: Call) -> Tally:
        """A new count for one call."""
        return Tally(call, self.side, self.rules, self.on_error)

    async def judge(self, call: Call, texts: Sequence[Text], tally: Tally) -> list[str] | None:
        """The texts as they may go on; None for as they are. Raises `GuardrailViolation`."""
        redacted = self._redacted(texts, tally)
        if redacted is texts and not self.wholes:
            return None
        after = await self.judge_wholes(call, redacted, tally)
        return None if after == [text.value for text in texts] else after

    def _redacted(self, texts: Sequence[Text], tally: Tally) -> Sequence[Text]:
        """The texts without what is to be replaced. Raises `GuardrailViolation`."""
        spans: dict[int, list[Span]] = {}
        for armed in self.spans:
            self._find(armed, texts, spans, tally)
        tally.enforce()
        if not spans:
            return texts
        return [Text(text.kind, replaced(text.value, merged(spans.get(place, ())))) for place, text in enumerate(texts)]

    def _find(self, armed: Armed, texts: Sequence[Text], spans: dict[int, list[Span]], tally: Tally) -> None:
        for place, text in enumerate(texts):
            if len(text.value) > self.max_chars:
                tally.not_run(armed.rule, f"a text is longer than {self.max_chars} characters")
                continue
            if not armed.may_find(text.value):
                continue
            try:
                found = find(armed.scanners, text.value)
            except Exception as error:  # noqa: BLE001 - a rule that fails is reported, and closes or opens as it is set
                tally.not_run(armed.rule, type(error).__name__)
                continue
            for span in found:
                tally.found(armed.rule, span.label)
            if found and armed.redacts:
                spans.setdefault(place, []).extend(found)
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
