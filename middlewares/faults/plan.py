"""Whose turn it is: counting and drawing lots."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from typing import NamedTuple

from ...pipeline.call import Call
from .rules import FaultRule


class Due(NamedTuple):
    """A rule that strikes, and its number from 1; 0 where the call itself asked for it."""

    rule: FaultRule
    number: int


class FaultPlan:
    """Decides which rule strikes a request: the first one that is due. Those behind it do not count that request.

    The same seed and the same requests in the same order give the same faults. Threads may share it.
    """

    def __init__(self, rules: Sequence[FaultRule], seed: int) -> None:
        self._counted = [
            (Due(rule, number), itertools.count(1), random.Random(f"{seed}/{number}"))  # noqa: S311 - lots, no secrets
            for number, rule in enumerate(rules, 1)
        ]
        self._began_ns: int | None = None

    def strike(self, call: Call) -> Due | None:
        """The rule that strikes this request."""
        age_s = self._age_s(call)
        for due, numbers, lots in self._counted:
            rule = due.rule
            if not rule.matches(call, age_s):
                continue
            number = next(numbers)  # one step, so that threads need no lock
            wanted = (rule.first is None or number <= rule.first) and number % rule.every == 0
            if wanted and (rule.probability >= 1 or lots.random() < rule.probability):
                return due
        return None

    def _age_s(self, call: Call) -> float:
        now_ns = call.clock.now_ns()
        if self._began_ns is None:
            self._began_ns = now_ns
        return (now_ns - self._began_ns) / 1e9
