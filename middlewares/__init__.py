"""The stages that come with Glassway. Each is loaded when it is first named: a stack pays for what is in it."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .batch import Batch
    from .budget import Budget, BudgetOf, BudgetWarning
    from .cache import Cache
    from .callbacks import Callbacks, CallEvent
    from .cassette import Record, Replay
    from .circuit_breaker import CircuitBreaker, CircuitChange
    from .cost import Cost
    from .deduplicate import Deduplicate
    from .defaults import Defaults, DefaultsRule
    from .fallback import Fallback, FallbackTarget
    from .faults import FaultRule, Faults
    from .guardrails import Guardrails
    from .hedge import Hedge
    from .ledger import Ledger
    from .pool import Pool, PoolOf, PoolReport, PoolStats, PoolView
    from .rate_limit import Limit, RateLimit
    from .retry import Retry, RetryPolicy
    from .router import Group, Router, RouteRule
    from .semantic_cache import SemanticCache
    from .shadow import Shadow, ShadowReport
    from .timeout import Timeout
    from .tracing import Tracing

__all__ = [
    "Batch",
    "Budget",
    "BudgetOf",
    "BudgetWarning",
    "Cache",
    "CallEvent",
    "Callbacks",
    "CircuitBreaker",
    "CircuitChange",
    "Cost",
    "Deduplicate",
    "Defaults",
    "DefaultsRule",
    "Fallback",
    "FallbackTarget",
    "FaultRule",
    "Faults",
    "Group",
    "Guardrails",
    "Hedge",
    "Ledger",
    "Limit",
    "Pool",
    "PoolOf",
    "PoolReport",
    "PoolStats",
    "PoolView",
    "RateLimit",
    "Record",
    "Replay",
    "Retry",
    "RetryPolicy",
    "RouteRule",
    "Router",
    "SemanticCache",
    "Shadow",
    "ShadowReport",
    "Timeout",
    "Tracing",
]

_HOMES = {
    "Batch": ".batch",
    "Budget": ".budget",
    "BudgetOf": ".budget",
    "BudgetWarning": ".budget",
    "Cache": ".cache",
    "Callbacks": ".callbacks",
    "CallEvent": ".callbacks",
    "Record": ".cassette",
    "Replay": ".cassette",
    "CircuitBreaker": ".circuit_breaker",
    "CircuitChange": ".circuit_breaker",
    "Cost": ".cost",
    "Deduplicate": ".deduplicate",
    "Defaults": ".defaults",
    "DefaultsRule": ".defaults",
    "Fallback": ".fallback",
    "FallbackTarget": ".fallback",
    "FaultRule": ".faults",
    "Faults": ".faults",
    "Guardrails": ".guardrails",
    "Hedge": ".hedge",
    "Ledger": ".ledger",
    "Pool": ".pool",
    "PoolOf": ".pool",
    "PoolReport": ".pool",
    "PoolStats": ".pool",
    "PoolView": ".pool",
    "Limit": ".rate_limit",
    "RateLimit": ".rate_limit",
    "Retry": ".retry",
    "RetryPolicy": ".retry",
    "Group": ".router",
    "Router": ".router",
    "RouteRule": ".router",
    "SemanticCache": ".semantic_cache",
    "Shadow": ".shadow",
    "ShadowReport": ".shadow",
    "Timeout": ".timeout",
    "Tracing": ".tracing",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name], __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
