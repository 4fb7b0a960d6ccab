"""Metrics of facts: one rule for each that is counted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..facts import (
    BATCH,
    BUDGETS,
    CACHE,
    CIRCUITS,
    COST,
    DEDUPLICATION,
    DEFAULTS,
    FALLBACKS,
    FAULTS,
    GUARDRAILS,
    HEDGES,
    LIMITS,
    POOLS,
    REPLAYS,
    RETRIES,
    RETRY_STOPS,
    ROUTE,
    SEMANTIC,
    SHADOWS,
    SPLICES,
    STORE_FAILURES,
    TRANSLATION,
    Batched,
    Budgeted,
    CacheVerdict,
    CircuitNoted,
    Cost,
    Deduplicated,
    DefaultApplied,
    FaultInjected,
    FellBack,
    GuardrailVerdict,
    Hedged,
    Limited,
    Pooled,
    Replayed,
    Retried,
    RetryStopped,
    Route,
    SemanticVerdict,
    ShadowBegun,
    Slot,
    Spliced,
    StoreFailed,
    Trail,
    Translation,
)  # fmt: skip
from ..record import Record
from . import names
from .book import Book
from .instruments import Adds, Families

Vendor = tuple[str, str]
"""Provider and model, bounded."""

Count = Callable[[Record, Vendor, Any], None]


_MOST_VERDICTS = 1000
"""Of guardrails, each looked up once."""


class FactMetrics:
    """Counts the facts of a record. A new fact joins with one rule."""

    def __init__(
        self, book: Book, families: Families, vendor: Callable[[str | None, str | None, Record], Vendor]
    ) -> None:
        self._book = book
        self._vendor = vendor
        self._stage = families.bound(names.L_STAGE)
        self._target = families.bound(names.L_TARGET)
        self._route = families.bound(names.L_ROUTE)
        self._routed = families.bound(names.L_ROUTED)
        self._limit = families.bound(names.L_LIMIT)
        self._budget = families.bound(names.L_BUDGET)
        self._circuit = families.bound(names.L_CIRCUIT)
        self._pool = families.bound(names.L_POOL)
        self._rule = families.bound(names.L_RULE)
        self._field = families.bound(names.L_FIELD)
        self._parameter = families.bound(names.L_PARAMETER)
        self._shadow = families.bound(names.L_SHADOW)
        self._tenant = families.bound(names.L_TENANT)
        self._guardrails: dict[tuple[str, str, str], Adds] = {}
        self._caches: dict[str, Adds] = {}
        self._costs: dict[tuple[Vendor, str], Adds] = {}
        rules: dict[Slot[Any], Count] = {
            COST: self._cost,
            CACHE: self._cache,
            SEMANTIC: self._semantic,
            DEFAULTS: self._default,
            ROUTE: self._routed_to,
            GUARDRAILS: self._guardrail,
            RETRIES: self._retry,
            RETRY_STOPS: self._retry_stop,
            SPLICES: self._splice,
            HEDGES: self._hedge,
            FALLBACKS: self._fallback,
            LIMITS: self._limited,
            BUDGETS: self._budgeted,
            CIRCUITS: self._circuit_noted,
            SHADOWS: self._shadow_begun,
            POOLS: self._pooled,
            DEDUPLICATION: self._deduplicated,
            BATCH: self._batched,
            STORE_FAILURES: self._store_failed,
            FAULTS: self._fault,
            REPLAYS: self._replayed,
            TRANSLATION: self._translated,
        }
        self._rules = {slot.name: (count, isinstance(slot, Trail)) for slot, count in rules.items()}

    def count(self, record: Record, vendor: Vendor) -> None:
        """What stages wrote: each fact that is there by its own rule. The book is locked by whoever calls."""
        for name, value in record.facts.items():
            rule = self._rules.get(name)
            if rule is None:
                continue
            count, several = rule
            for one in value if several else (value,):
                count(record, vendor, one)

    def _cache(self, _: Record, __: Vendor, fact: CacheVerdict) -> None:
        verdict = fact.verdict
        bound = self._caches.get(verdict)
        if bound is None:  # there are seven of them
            bound = self._caches[verdict] = self._book.number(names.CACHE, (verdict,))
        bound.add(1)

    def _semantic(self, _: Record, __: Vendor, fact: SemanticVerdict) -> None:
        self._book.add(names.SEMANTIC, (fact.verdict,))
        if fact.similarity is not None:
            self._book.observe(names.SEMANTIC_SIMILARITY, (fact.verdict,), fact.similarity)

    def _default(self, _: Record, __: Vendor, fact: DefaultApplied) -> None:
        self._book.add(names.DEFAULTS, (self._field(fact.field), fact.action))

    def _routed_to(self, _: Record, __: Vendor, fact: Route) -> None:
        self._book.add(names.ROUTES, (self._route(fact.route), self._routed(fact.target), fact.decided_by))

    def _guardrail(self, _: Record, __: Vendor, fact: GuardrailVerdict) -> None:
        key = (fact.rule, fact.side, fact.verdict)
        bound = self._guardrails.get(key)
        if bound is None:
            bound = self._book.number(names.GUARDRAILS, (self._rule(fact.rule), fact.side, fact.verdict))
            if len(self._guardrails) < _MOST_VERDICTS:
                self._guardrails[key] = bound
        bound.add(1)

    def _retry(self, record: Record, vendor: Vendor, fact: Retried) -> None:
        asked = self._vendor_of(record, fact.attempt, vendor)
        self._book.add(names.RETRIES, (*asked, fact.error, fact.told_by))
        self._book.add(names.RETRY_WAIT, (fact.told_by,), fact.wait_s)

    def _retry_stop(self, record: Record, vendor: Vendor, fact: RetryStopped) -> None:
        asked = self._vendor_of(record, fact.attempt, vendor)
        self._book.add(names.RETRY_STOPS, (*asked, fact.error, fact.reason))

    def _splice(self, _: Record, __: Vendor, fact: Spliced) -> None:
        self._book.add(names.SPLICES, (fact.policy, self._target(fact.source), fact.error, fact.reason))

    def _fallback(self, record: Record, _: Vendor, fact: FellBack) -> None:
        labels = self._target(fact.source), self._target(fact.target), fact.error, record.end
        self._book.add(names.FALLBACKS, labels)

    def _limited(self, _: Record, __: Vendor, fact: Limited) -> None:
        limit = self._limit(fact.limit)
        self._book.add(names.LIMITS, (limit, fact.unit, fact.verdict))
        if fact.waited_s:
            self._book.add(names.LIMIT_WAIT, (limit,), fact.waited_s)

    def _budgeted(self, _: Record, __: Vendor, fact: Budgeted) -> None:
        self._book.add(names.BUDGETS, (self._budget(fact.budget), fact.verdict))

    def _circuit_noted(self, _: Record, __: Vendor, fact: CircuitNoted) -> None:
        self._book.add(names.CIRCUITS, (self._circuit(fact.target), fact.event))

    def _shadow_begun(self, _: Record, __: Vendor, fact: ShadowBegun) -> None:
        if fact.refused:
            self._book.add(names.SHADOW_DROPS, (self._shadow(fact.shadow), fact.refused))

    def _pooled(self, _: Record, __: Vendor, fact: Pooled) -> None:
        pool = self._pool(fact.pool)
        self._book.add(names.POOLS, (pool, fact.verdict))
        if fact.waited_s:
            self._book.add(names.POOL_WAIT, (pool,), fact.waited_s)

    def _deduplicated(self, _: Record, __: Vendor, fact: Deduplicated) -> None:
        self._book.add(names.DEDUPLICATION, (fact.role,))

    def _batched(self, _: Record, __: Vendor, fact: Batched) -> None:
        self._book.add(names.BATCH, (fact.role,))

    def _store_failed(self, _: Record, __: Vendor, fact: StoreFailed) -> None:
        self._book.add(names.STORE_FAILURES, (self._stage(fact.stage), fact.policy))

    def _fault(self, _: Record, __: Vendor, fact: FaultInjected) -> None:
        self._book.add(names.FAULTS, (fact.fault,))

    def _replayed(self, _: Record, __: Vendor, fact: Replayed) -> None:
        self._book.add(names.REPLAYS, (fact.verdict,))

    def _translated(self, _: Record, vendor: Vendor, fact: Translation) -> None:
        self._book.add(names.TRANSLATIONS, (vendor[0], self._parameter(fact.parameter), fact.action))

    def _hedge(self, record: Record, _: Vendor, hedged: Hedged) -> None:
        target = self._target(hedged.target)
        self._book.add(names.HEDGES, (target, hedged.result, hedged.reason))
        lines = record.cost.lines if record.cost is not None else ()
        if waste_usd := sum(line.amount_usd for line in lines if line.attempt in hedged.lost):
            self._book.add(names.HEDGE_WASTE, (target,), float(waste_usd))

    def _vendor_of(self, record: Record, number: int, otherwise: Vendor) -> Vendor:
        failed = next((attempt for attempt in record.attempts if attempt.number == number), None)
        return otherwise if failed is None else self._vendor(failed.provider, failed.model, record)

    def _cost(self, record: Record, vendor: Vendor, cost: Cost) -> None:
        book, amount_usd = self._book, cost.amount_usd
        if cost.unpriced or cost.status == "unpriced":
            book.add(names.UNPRICED, vendor)
        if cost.saved_usd:
            book.add(names.SAVED, vendor, float(cost.saved_usd))
        if amount_usd is None:
            return
        wasted_usd = float(cost.wasted_usd) if cost.wasted_usd else 0.0
        useful_usd = max(0.0, float(amount_usd - cost.wasted_usd)) if wasted_usd else float(amount_usd)
        key = (vendor, cost.status)
        (self._costs.get(key) or self._bound_cost(key)).add(useful_usd)
        if wasted_usd:
            book.add(names.COST, (*vendor, "false", cost.status), wasted_usd)
        if record.tenant:
            book.add(names.TENANT_COST, (self._tenant(record.tenant),), float(amount_usd))

    def _bound_cost(self, key: tuple[Vendor, str]) -> Adds:
        """As many as the bounds of the labels allow."""
        vendor, status = key
        bound = self._costs[key] = self._book.number(names.COST, (*vendor, "true", status))
        return bound
