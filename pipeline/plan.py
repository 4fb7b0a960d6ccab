"""The order of stages: what each may say about its place, and how a wrong order is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass
from typing import Any

from .errors import PlanError


@dataclass(frozen=True, slots=True)
class Rule:
    """What a stage says about its place and its effects. A stage class has one as `rule`.

    `outside` and `inside` map the names of other stages to the reason why this one must stand outside (before, further
    from the vendor) or inside them; breaking one is a `PlanError`. `better_outside` and `better_inside` are advice.
    `needs` names facts that some stage or the provider must write; `provides` those that this stage writes.
    """

    outside: Mapping[str, str] = field(default_factory=dict)
    inside: Mapping[str, str] = field(default_factory=dict)
    better_outside: Mapping[str, str] = field(default_factory=dict)
    better_inside: Mapping[str, str] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    provides: tuple[str, ...] = ()
    may_short_circuit: bool = False
    reinvokes: bool = False
    """May call the rest of the chain more than once."""
    holds_chunks: bool = False
    """May keep chunks of a stream back."""
    notes: tuple[str, ...] = ()
    """Further effects that a reader of the plan must not miss, in words."""


NO_RULE = Rule()

PROVIDER_FACTS = frozenset({"attempts", "translation"})
"""What the terminal writes in every pipeline."""


@dataclass(frozen=True, slots=True)
class PlannedStage:
    """One line of a plan."""

    position: int
    name: str
    settings: Mapping[str, str]
    rule: Rule
    spans: tuple[str, ...]
    metrics: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a pipeline is: its stages with their effects, its providers, and advice on the order. `str()` draws it."""

    stages: tuple[PlannedStage, ...]
    providers: tuple[str, ...]
    advice: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = ["caller"]
        for stage in self.stages:
            lines.append(f"  │  {stage.position + 1}. {stage.name}{_settings_text(stage.settings)}")
            lines.extend(f"  │     {line}" for line in _effects(stage))
        lines.append(f"  ▼  {' | '.join(self.providers) or 'no provider'}")
        lines.extend(f"advice: {line}" for line in self.advice)
        return "\n".join(lines)

    def to_mermaid(self) -> str:
        """The same as a Mermaid flowchart."""
        names = ["caller", *(stage.name for stage in self.stages)]
        lines = ["flowchart LR"]
        lines += [f"    s{i}[{name}] --> s{i + 1}" for i, name in enumerate(names)]
        lines.append(f"    s{len(names)}[({' or '.join(self.providers) or 'no provider'})]")
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "stages": [
                {
                    "position": stage.position,
                    "name": stage.name,
                    "settings": dict(stage.settings),
                    "needs": list(stage.rule.needs),
                    "provides": list(stage.rule.provides),
                    "may_short_circuit": stage.rule.may_short_circuit,
                    "reinvokes": stage.rule.reinvokes,
                    "holds_chunks": stage.rule.holds_chunks,
                    "notes": list(stage.rule.notes),
                    "spans": list(stage.spans),
                    "metrics": list(stage.metrics),
                }
                for stage in self.stages
            ],
            "providers": list(self.providers),
            "advice": list(self.advice),
        }


def stage_name(stage: object) -> str:
    """The name of a stage: its class, or its function."""
    return getattr(stage, "__name__", None) or type(stage).__name__


def rule_of(stage: object) -> Rule:
    """What the stage says about its place; nothing, for a plain function."""
    rule = getattr(stage, "rule", NO_RULE)
    return rule if isinstance(rule, Rule) else NO_RULE


def settings_of(stage: object) -> dict[str, str]:
    """The settings that differ from their defaults, as text. Fields declared with `repr=False` are left out: they may be secret."""
    if not is_dataclass(stage):
        return {}
    changed = {}
    for item in fields(stage):
        value = getattr(stage, item.name)
        if item.init and item.repr and value != _default(item):
            changed[item.name] = _short(value)
    return changed


def _default(item: Field[Any]) -> Any:
    return item.default if item.default_factory is MISSING else item.default_factory()


def check_order(stages: Sequence[tuple[str, object]]) -> list[str]:
    """Raise `PlanError` on an order that cannot work; return advice on one that could be better."""
    advice: list[str] = []
    for position, (name, stage) in enumerate(stages):
        rule = rule_of(stage)
        outer = {other for other, _ in stages[:position]}
        inner = {other for other, _ in stages[position + 1 :]}
        _refuse(name, rule, outer, inner)
        advice += [_move(name, "before", other, why) for other, why in rule.better_outside.items() if other in outer]
        advice += [_move(name, "after", other, why) for other, why in rule.better_inside.items() if other in inner]
    _check_needs(stages)
    return advice


def _refuse(name: str, rule: Rule, outer: set[str], inner: set[str]) -> None:
    for other, why in rule.outside.items():
        if other in outer:
            raise PlanError(f"{_move(name, 'before', other, why)} Found the opposite order.")
    for other, why in rule.inside.items():
        if other in inner:
            raise PlanError(f"{_move(name, 'after', other, why)} Found the opposite order.")


def _check_needs(stages: Sequence[tuple[str, object]]) -> None:
    provided = PROVIDER_FACTS.union(*(rule_of(stage).provides for _, stage in stages))
    for name, stage in stages:
        for need in rule_of(stage).needs:
            if need not in provided:
                raise PlanError(
                    f"{name} needs the fact {need!r}, which no stage of this pipeline writes. Add the stage that does."
                )


def _move(name: str, where: str, other: str, why: str) -> str:
    return f"Move {name} {where} {other} in the list: {why}."


def _short(value: object) -> str:
    if callable(value) and hasattr(value, "__name__"):
        return str(value.__name__)
    if isinstance(value, (list, tuple)) and any(map(callable, value)):
        return f"[{', '.join(map(_short, value))}]"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _settings_text(settings: Mapping[str, str]) -> str:
    return f"({', '.join(f'{name}={value}' for name, value in settings.items())})" if settings else ""


def _effects(stage: PlannedStage) -> list[str]:
    rule = stage.rule
    notes = {
        "may answer itself": rule.may_short_circuit,
        "may call the rest again": rule.reinvokes,
        "may hold chunks back": rule.holds_chunks,
    }
    lines = [", ".join([*(note for note, holds in notes.items() if holds), *rule.notes])]
    if rule.needs or rule.provides:
        lines.append(f"facts: {', '.join(rule.needs) or '-'} in, {', '.join(rule.provides) or '-'} out")
    if stage.metrics:
        lines.append(f"metrics: {', '.join(stage.metrics)}")
    return [line for line in lines if line]
