"""The circuit of one target. Pure: what happened and when goes in, what may pass comes out."""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass
from typing import Literal, NamedTuple

CircuitState = Literal["closed", "half_open", "open"]
Verdict = Literal["success", "failure", "ignored"]

_JITTER = 0.1
"""Share by which the time of an open circuit varies, so that not all processes try at once."""


@dataclass(frozen=True, slots=True)
class Terms:
    """When a circuit opens, and for how long."""

    failures: int
    failure_share: float | None
    window_calls: int
    least_calls: int
    open_s: float
    longest_open_s: float
    probes: int
    successes: int


class Pass(NamedTuple):
    """What a call may do. `probe`: it decides whether the circuit closes."""

    allowed: bool
    probe: bool = False
    wait_s: float = 0.0
    turn: int = 0
    """Which of the circuit's half-open times it belongs to."""


_FREE = Pass(True)


class Circuit:
    """Closed: calls pass, and failures are counted. Open: none does. Half-open: a few may try."""

    __slots__ = ("_last", "_probing", "_succeeded", "_terms", "_turn", "failures", "openings", "state", "until_ns")

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self._last: deque[bool] = deque(maxlen=terms.window_calls)
        self._probing = 0
        self._succeeded = 0
        self._turn = 0
        self.state: CircuitState = "closed"
        self.failures = 0
        """In a row."""
        self.openings = 0
        """Since it was closed."""
        self.until_ns = 0

    def enter(self, now_ns: int) -> Pass:
        """Whether a call may pass now."""
        if self.state == "closed":
            return _FREE
        if self.state == "open":
            if now_ns < self.until_ns:
                return Pass(False, wait_s=(self.until_ns - now_ns) / 1e9)
            self.state, self._probing, self._succeeded = "half_open", 0, 0
            self._turn += 1
        if self._probing >= self._terms.probes:
            return Pass(False, wait_s=self._terms.open_s)
        self._probing += 1
        return Pass(True, probe=True, turn=self._turn)

    def is_open(self, now_ns: int) -> bool:
        """Whether no call may pass for now."""
        return self.state == "open" and now_ns < self.until_ns

    def leave(self, passed: Pass, verdict: Verdict, now_ns: int) -> CircuitState | None:
        """How a call ended; the new state, if that changed it. Calls of before the last change change nothing."""
        if passed.probe:
            return self._probed(passed, verdict, now_ns)
        if self.state != "closed" or verdict == "ignored":
            return None
        failed = verdict == "failure"
        self.failures = self.failures + 1 if failed else 0
        self._last.append(failed)
        return self.open(now_ns) if failed and self._is_too_much() else None

    def open(self, now_ns: int, for_s: float | None = None) -> CircuitState:
        """Let nothing pass, longer each time in a row; or for so long as others have decided."""
        self.openings += 1
        terms = self._terms
        if for_s is None:
            for_s = min(terms.longest_open_s, terms.open_s * 2.0 ** min(self.openings - 1, 30))
            for_s *= random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311 - spreads load, guards nothing
        self.state = "open"
        self.until_ns = now_ns + int(for_s * 1e9)
        self._last.clear()
        return "open"

    def close(self) -> CircuitState:
        """Let everything pass again."""
        self.state, self.failures, self.openings = "closed", 0, 0
        self._last.clear()
        return "closed"

    def _probed(self, passed: Pass, verdict: Verdict, now_ns: int) -> CircuitState | None:
        if self.state != "half_open" or passed.turn != self._turn:
            return None
        self._probing = max(0, self._probing - 1)
        if verdict == "failure":
            self.failures += 1
            return self.open(now_ns)
        self._succeeded += verdict == "success"
        return self.close() if self._succeeded >= self._terms.successes else None

    def _is_too_much(self) -> bool:
        terms = self._terms
        if self.failures >= terms.failures:
            return True
        if terms.failure_share is None or len(self._last) < terms.least_calls:
            return False
        return sum(self._last) >= terms.failure_share * len(self._last)
