"""What the rules found in one side of one call, and what follows from it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

from ...pipeline.call import Call
from ...pipeline.errors import GuardrailViolation
from ...pipeline.facts import GUARDRAILS, GuardrailVerdict
from .rules import GuardRule, OnError, Side

_ACTED: dict[str, Literal["blocked", "redacted", "annotated"]] = {
    "block": "blocked",
    "redact": "redacted",
    "annotate": "annotated",
}


class Tally:
    """Counts findings, stops the call where a rule says so, and writes one verdict for each rule when all is done."""

    __slots__ = ("_call", "_found", "_judged", "_not_run", "_on_error", "_rewrote", "_rules", "_side", "_told")

    def __init__(self, call: Call, side: Side, rules: Sequence[GuardRule], on_error: OnError) -> None:
        self._call = call
        self._side: Side = side
        self._rules = rules
        self._on_error: OnError = on_error
        self._found: dict[str, Counter[str]] = {}
        self._judged: set[str] = set()
        self._not_run: dict[str, str] = {}
        self._rewrote: set[str] = set()
        self._told = False

    def found(self, rule: GuardRule, label: str, *, rewrote: bool = False) -> None:
        """A finding; `rewrote`: the rule itself says what to use instead, so that there is nothing to block."""
        self._found.setdefault(rule.label, Counter())[label] += 1
        if rewrote:
            self._rewrote.add(rule.label)

    def judged(self, rule: GuardRule) -> None:
        """The rule has seen all there was."""
        self._judged.add(rule.label)

    def not_run(self, rule: GuardRule, reason: str, *, decided: bool = False) -> None:
        """The rule could not judge. Raises `GuardrailViolation` if it fails closed; `decided`: a setting wanted it so."""
        self._not_run[rule.label] = reason
        if not decided and rule.enforced and (rule.on_error or self._on_error) == "fail_closed":
            raise self._violation(rule, f"could not judge the {self._side} ({reason}) and fails closed")

    def enforce(self) -> None:
        """Raises `GuardrailViolation` if a rule that blocks has found something."""
        for rule in self._rules if self._found else ():
            if rule.label in self._found and rule.enforced and rule.does == "block" and rule.label not in self._rewrote:
                raise self._violation(rule, f"blocked the {self._side}")

    def tell(self) -> None:
        """Write the verdicts. Only the first time counts."""
        if not self._told:
            self._told = True
            for rule in self._rules:
                self._call.add(GUARDRAILS, self._verdict(rule))

    def _verdict(self, rule: GuardRule) -> GuardrailVerdict:
        name = rule.label
        found = self._found.get(name)
        if found is not None:
            kinds = ", ".join(f"{label} {count}" for label, count in sorted(found.items()))
            return GuardrailVerdict(name, self._side, self._acted(rule), found.total(), kinds)
        reason = self._not_run.get(name, "" if name in self._judged else "the call ended before")
        return GuardrailVerdict(name, self._side, "not_run", 0, reason) if reason else passed(name, self._side)

    def _acted(self, rule: GuardRule) -> Literal["blocked", "redacted", "annotated", "would_block", "would_redact"]:
        does = "redact" if rule.label in self._rewrote else rule.does
        if rule.shadow and does != "annotate":
            return "would_block" if does == "block" else "would_redact"
        return _ACTED[does]

    def _violation(self, rule: GuardRule, said: str) -> GuardrailViolation:
        what = "request" if self._side == "input" else "answer"
        return GuardrailViolation(
            f"The guardrail {rule.label!r} {said}. Change the {what}, or the rule's settings.",
            rule=rule.label,
            model=str(self._call.target),
        )


@lru_cache(maxsize=1024)
def passed(rule: str, side: Side) -> GuardrailVerdict:
    """What nearly all verdicts are."""
    return GuardrailVerdict(rule, side, "passed")
