"""Whether a pipeline is well: its providers by how their last attempts went, its stages by what they say of themselves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from .delivery import DeliveryCounts
from .statistics import Condition, ProviderCondition


class Answers(Protocol):
    """What a provider says when it is asked whether it is there."""

    @property
    def available(self) -> bool: ...

    @property
    def reason(self) -> str: ...


@runtime_checkable
class HasState(Protocol):
    """A stage that can say how it is: plain data. A key `condition` (`ok`, `degraded`, `down`) takes part in the whole's."""

    async def state(self) -> Mapping[str, Any]: ...


@runtime_checkable
class HasPools(Protocol):
    """A stage that bounds how many calls are under way: its pools by name, to be looked at and changed."""

    @property
    def views(self) -> Mapping[str, Any]: ...


@dataclass(frozen=True, slots=True)
class Health:
    """How a pipeline does now. Truthy while it can answer calls."""

    condition: Condition
    """`down` when all providers are, `degraded` when one of them or a stage is not well, `unknown` before the first call."""
    providers: Mapping[str, ProviderCondition]
    stages: Mapping[str, Mapping[str, Any]]
    """What stages with a state say: open circuits, room left in limits, fullness of pools."""
    in_flight: int
    callbacks: DeliveryCounts
    probes: Mapping[str, Answers] = field(default_factory=dict)
    """Answers of the vendors themselves, if they were asked."""

    def __bool__(self) -> bool:
        return self.condition != "down"

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON-ready data."""
        return {
            "condition": self.condition,
            "providers": {name: state._asdict() for name, state in self.providers.items()},
            "stages": {name: dict(state) for name, state in self.stages.items()},
            "in_flight": self.in_flight,
            "callbacks": self.callbacks._asdict(),
            "probes": {
                name: {"available": each.available, "reason": each.reason} for name, each in self.probes.items()
            },
        }


def whole(
    providers: Mapping[str, ProviderCondition],
    stages: Mapping[str, Mapping[str, Any]],
    probes: Mapping[str, Answers],
) -> Condition:
    """The condition of all of it. An answer of the vendor now counts more than its past."""
    words = {name: _of_provider(state, probes.get(name)) for name, state in providers.items()}
    if words and all(word == "down" for word in words.values()):
        return "down"
    said = {state.get("condition") for state in stages.values()}
    if "down" in words.values() or "degraded" in words.values() or said & {"degraded", "down"}:
        return "degraded"
    return "ok" if "ok" in words.values() else "unknown"


def _of_provider(state: ProviderCondition, probe: Answers | None) -> Condition:
    if probe is None:
        return state.condition
    return "ok" if probe.available else "down"
