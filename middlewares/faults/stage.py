"""The stage that fails on purpose."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from ...pipeline.attempts import attempt_since
from ...pipeline.call import Call
from ...pipeline.errors import ConfigError
from ...pipeline.facts import FAULTS, FaultInjected
from ...pipeline.plan import Rule
from ...pipeline.stream import Handler, Reply, Stream
from .damage import STEPS, Stalled, damaged
from .plan import Due, FaultPlan
from .refusals import delay, refuse
from .rules import BREAKS, REFUSALS, FaultRule, parse_rule, rule_of_setting

logger = logging.getLogger("glassway")

METADATA_KEY = "fault"
_UNPROVEN = "a fault outside it passes it by, and proves nothing about it"


@dataclass(frozen=True, slots=True)
class Faults:
    """Strikes calls with faults by rule: real errors of our tree and real streams, which nothing outside can tell from a vendor's.

    For tests and staging. Each fault is a fact of its call and counted, and the log says once that the stage is on.
    `rules`: the first one that is due strikes; a `FaultRule`, its fields, or a text like `rate_limit;retry_after_s=2;first=3`.
    `enabled`: false makes the stage pass every call. `by_metadata`: a call may ask for a fault itself, by its metadata key
    `fault`; off, because callers of a gateway could then fail at will. `seed`: of the lots that `probability` draws.

    Raises `ConfigError` for rules that cannot be, and for a call that asks for a fault that cannot be read.
    """

    rule: ClassVar[Rule] = Rule(
        better_inside=dict.fromkeys(
            ("Tracing", "Callbacks", "Ledger", "Cost", "Guardrails", "Cache", "Fallback", "Retry", "Hedge", "CircuitBreaker", "Timeout"),
            _UNPROVEN,
        )
        | {"Record": "the recording then shows what the stack was up against; outside, it shows a vendor that never failed"},
        provides=("faults",),
        may_short_circuit=True,
        notes=("fails calls on purpose: for tests and staging",),
    )  # fmt: skip

    rules: Sequence[FaultRule | Mapping[str, Any] | str] = ()
    enabled: bool = True
    by_metadata: bool = False
    seed: int = 0
    _plan: FaultPlan = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if isinstance(self.rules, (str, Mapping)) or not isinstance(self.rules, Sequence):
            raise ConfigError(f"Faults.rules: expected a list of rules, found {type(self.rules).__name__}.")
        rules = tuple(map(rule_of_setting, self.rules))
        object.__setattr__(self, "rules", rules)
        object.__setattr__(self, "_plan", FaultPlan(rules, self.seed))

    async def open(self) -> None:
        """Say in the log that calls will fail on purpose."""
        if self.enabled and (self.rules or self.by_metadata):
            logger.warning(
                "The stage Faults is on (%d rules, by_metadata=%s): calls fail on purpose. Take it out of production, or set enabled: false.",
                len(self.rules),
                self.by_metadata,
            )

    async def __call__(self, call: Call, call_next: Handler) -> Reply:
        """The reply as it is, or as a fault leaves it."""
        if not self.enabled or call.dry_run:
            return await call_next(call)
        due = self._asked_for(call) or self._plan.strike(call)
        return await call_next(call) if due is None else await _strike(due, call, call_next)

    def _asked_for(self, call: Call) -> Due | None:
        text = call.options.metadata.get(METADATA_KEY) if self.by_metadata else None
        return Due(parse_rule(text), 0) if text else None


async def _strike(due: Due, call: Call, call_next: Handler) -> Reply:
    rule = due.rule
    struck = _Note(due, call)
    before_output = not call.request.stream or not rule.after_chunks
    if rule.kind in REFUSALS or (rule.kind in BREAKS and before_output):
        struck()
        return await refuse(rule, call)
    if rule.kind == "slow_first_chunk" or (rule.kind == "stall" and before_output):
        struck()
        return await delay(rule, call, call_next)
    struck.made = call.state.attempts_made
    return _harm(rule, call, await call_next(call), struck)


def _harm(rule: FaultRule, call: Call, reply: Reply, struck: _Note) -> Reply:
    if not isinstance(reply, Stream):
        return damaged(rule, reply, struck)
    if rule.kind == "stall":
        reply.attend(lambda source, first: Stalled(source, first, rule, call, struck))
        return reply
    return reply.map_blocks(STEPS[rule.kind](rule, struck))


class _Note:
    """Writes the fact, once, when the damage is done."""

    __slots__ = ("_call", "_due", "_written", "made")

    def __init__(self, due: Due, call: Call) -> None:
        self._due = due
        self._call = call
        self._written = False
        self.made = 0
        """Attempts that the call had made before."""

    def __call__(self) -> None:
        kind = self._due.rule.kind
        if kind == "missing_usage":
            self._forget_usage()
        if not self._written:
            self._written = True
            self._call.add(FAULTS, FaultInjected(kind, self._due.number, str(self._call.target)))

    def _forget_usage(self) -> None:
        """The attempt has read the counts already, nearer to the vendor than this stage."""
        attempt = attempt_since(self._call, self.made)
        if attempt is not None:
            attempt.usage, attempt.usage_source = None, "missing"
