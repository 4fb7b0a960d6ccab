"""Stacks that people begin with: ordinary lists of stages, which print as they would be written, and can be edited.

stack = gw.presets.production(fallbacks=["anthropic/claude-haiku-4-5"], store="redis://cache.internal/0")
print(gw.presets.written(stack))
stack.insert(3, my_stage)
client = gw.Client(gw.Pipeline(stack, providers=[...]))
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from decimal import Decimal
from importlib import import_module
from inspect import signature
from typing import TYPE_CHECKING, Any

from .plan import settings_of, stage_name
from .stream import Middleware

if TYPE_CHECKING:
    from ..stores import Store

Stages = list[Middleware]


def minimal() -> Stages:
    """What `glassway.chat` has: traces, bills, routes, and another try for failures that pass."""
    use = _stages()
    return [use.Tracing(), use.Cost(), use.Router(), use.Retry()]


def standard(
    *,
    fallbacks: Sequence[str] = (),
    guardrails: Sequence[str] = ("secrets",),
    ttl_s: float = 3600.0,
    store: Store | str = "memory",
    total_s: float = 120.0,
) -> Stages:
    """For an application: callbacks, guardrails, a cache, fallbacks where they are named, retries, and limits of time."""
    use = _stages()
    return [
        use.Tracing(),
        use.Callbacks(),
        use.Cost(),
        use.Guardrails(list(guardrails)),
        use.Cache(ttl_s=ttl_s, store=store),
        use.Router(),
        *([use.Fallback(list(fallbacks))] if fallbacks else []),
        use.Retry(),
        use.Timeout(total_s=total_s),
    ]


def production(
    *,
    fallbacks: Sequence[str] = (),
    guardrails: Sequence[str] = ("secrets",),
    requests_per_minute: int = 600,
    usd_per_day: Decimal | float | str | None = None,
    per: str = "tenant",
    size: int = 64,
    ttl_s: float = 3600.0,
    store: Store | str = "memory",
    ledger: str | None = None,
    total_s: float = 120.0,
    first_chunk_s: float = 30.0,
) -> Stages:
    """For a service: `standard`, and a ledger, limits and budgets for each tenant, circuits and pools for each vendor, in one `store`."""
    use = _stages()
    return [
        use.Tracing(),
        use.Callbacks(),
        *([use.Ledger(ledger)] if ledger is not None else []),
        use.Cost(),
        use.RateLimit(requests_per_minute=requests_per_minute, per=per, max_wait_s=5, store=store),
        *([use.Budget(usd=usd_per_day, period="day", per=per, store=store)] if usd_per_day is not None else []),
        use.Guardrails(list(guardrails)),
        use.Cache(ttl_s=ttl_s, store=store),
        use.Router(),
        *([use.Fallback(list(fallbacks), mid_stream="continue")] if fallbacks else []),
        use.Retry(),
        use.CircuitBreaker(store=store),
        use.Pool(size=size, per="provider"),
        use.Timeout(total_s=total_s, first_chunk_s=first_chunk_s),
    ]


PRESETS: Mapping[str, Callable[..., Stages]] = {"minimal": minimal, "standard": standard, "production": production}
"""By the name that a configuration may use: `pipeline: production`."""


def takes_store(preset: Callable[..., Stages]) -> bool:
    """Whether its stages keep something in a store."""
    return "store" in signature(preset).parameters


def written(stages: Sequence[object]) -> str:
    """The list as one would write it: each stage's constructor call with the settings that differ from their defaults."""
    return "[\n" + "".join(f"    {_call(stage)},\n" for stage in stages) + "]"


def _call(stage: object) -> str:
    if not is_dataclass(stage):
        return stage_name(stage)
    shown = settings_of(stage)
    values = {item.name: getattr(stage, item.name) for item in fields(stage)}
    return f"{stage_name(stage)}({', '.join(f'{name}={_value(values[name])}' for name in shown)})"


def _value(value: object) -> str:
    if isinstance(value, (tuple, list)):
        return f"[{', '.join(_value(item) for item in value)}]"
    return _call(value) if is_dataclass(value) else repr(value)


def _stages() -> Any:
    """The stages, by name: the pipeline knows none of them."""
    return import_module("..middlewares", __package__)
