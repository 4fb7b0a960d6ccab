"""What a dry run found."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from .call import Call, Target
from .errors import error_kind
from .facts import PAYLOAD
from .plan import Plan


class DryRunStop(BaseException):
    """The dry run reached the vendor at `target`. Not an `Exception`: no retry or fallback may take it for a failure."""

    def __init__(self, target: Target) -> None:
        super().__init__(str(target))
        self.target = target


@dataclass(frozen=True, slots=True)
class DryRun:
    """The real stages' verdicts on a request that was not sent. Nothing was dispatched, stored or charged."""

    target: str
    """Where the stages sent it; where the caller sent it, if no vendor was reached."""
    reached_vendor: bool
    """False when a stage answered itself (a cache hit) or refused."""
    payload: Mapping[str, Any]
    """The vendor's request: method, URL, headers without secrets, body."""
    facts: Mapping[str, Any]
    plan: Plan
    refused: str | None = None
    """Why a stage refused: kind and message."""

    @classmethod
    def of(cls, call: Call, target: Target, plan: Plan, *, answered: bool, error: BaseException | None) -> Self:
        """Read it off a call that went through the chain."""
        facts = {name: value for name, value in call.state.facts.items() if name != PAYLOAD.name}
        payload = call.get(PAYLOAD) or {}
        refused = f"{error_kind(error)}: {error}" if error else None
        return cls(str(target), not answered and error is None, payload, facts, plan, refused)

    def __str__(self) -> str:
        lines = [
            f"would go to {self.target}"
            if self.reached_vendor
            else f"would not reach a vendor ({self.refused or 'a stage answers itself'})"
        ]
        lines += [f"  {name}: {value}" for name, value in self.facts.items()]
        if self.payload:
            lines += ["payload:", json.dumps(self.payload, indent=2, default=str)]
        return "\n".join(lines)
