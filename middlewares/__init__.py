"""The stages that come with Glassway."""

from __future__ import annotations

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
