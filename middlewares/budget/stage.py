"""The stage that keeps calls within budgets."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, ClassVar, Literal, NamedTuple

from ...pipeline.billing import cost_of_call
from ...pipeline.call import Call
from ...pipeline.errors import BudgetExceeded, ConfigError, UnpricedModel
from ...pipeline.facts import BUDGETS, COST, Budgeted, BudgetVerdict
from ...pipeline.gauges import Reading, watch
from ...pipeline.outcome import Outcome
from ...pipeline.overrides import PriceEntry, with_overrides
from ...pipeline.plan import Rule
from ...pipeline.pricing import PriceTable, default_prices, total
from ...pipeline.record import Record
from ...pipeline.scope import Per, check_names, read_scopes
from ...pipeline.sharing import Afterwards, OnStoreFailure, ask_now, ask_store, check_policy
from ...pipeline.stream import Handler, Reply
from ...stores import ImmediateStore, Store, Taken, immediate, make_store
from .ceiling import Ceilings
from .purse import MICRO, BudgetOf, Claim, Claims, Purse, micro_of

_new_tuple = tuple.__new__  # half the time of a named tuple's own constructor

METRIC = "glassway.budget_used_usd"

logger = logging.getLogger("glassway")


class BudgetWarning(NamedTuple):
    """A budget of which `warn_at` is used."""

    budget: str
    share: str
    """Whose: a tenant's name, for instance; empty for a budget that all calls share."""
    used_usd: Decimal
    limit_usd: Decimal


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Budget:
    """Lets calls pass as long as there is money for them: for each tenant, model, key ... and period.

    `Budget(usd=50, period="month", per="tenant")`, or a list of `BudgetOf`. The most that a call may cost is reserved before it,
    in all of its budgets or in none, and its bill put in the place of that when it has ended: calls at the same time cannot
    spend the same money. What a call costs beyond its reservation (retries, hedges) is taken too.
    """

    rule: ClassVar[Rule] = Rule(
        outside={
            "Retry": "inside Retry each try is reserved for anew, and the bill of the whole call is not known",
            "Hedge": "inside Hedge each of the two requests would take from the budget what the other has taken",
        },
        better_outside={"Fallback": "inside Fallback it knows of one target only; outside, of all that the call costs"},
        provides=("budgets",),
        may_short_circuit=True,
    )

    budgets: Sequence[BudgetOf] = ()
    """Each an object, or a mapping of its settings."""
    usd: Decimal | float | str | None = None
    period: Literal["hour", "day", "week", "month", "year"] | float = "month"
    per: Per = "all"
    """Whom `usd` in `period` holds for."""
    unpriced: Literal["refuse", "allow"] = "refuse"
    """What becomes of a call whose price nobody knows. An unknown price is never 0: if allowed, it is not counted, and a fact says so."""
    output_tokens: int = 1000
    """Reserved for the output of a chat that sets no limit to it."""
    on_warning: Callable[[BudgetWarning], object] | None = field(default=None, repr=False)
    """Told once in a period and process that `warn_at` of a budget is used. Must not wait."""
    prices: PriceTable | None = field(default=None, repr=False)
    overrides: Mapping[str, PriceEntry | Sequence[PriceEntry]] = field(default_factory=dict)
    """Prices of your own by `vendor/model`, as in `Cost`."""
    store: Store | str = "memory"
    """`memory`, `disk:./state`, `redis://...`, or a store: who shares it shares the budgets."""
    on_store_failure: OnStoreFailure = "fail_closed"
    _purse: Purse = field(init=False, repr=False, compare=False)
    _ceilings: Ceilings = field(init=False, repr=False, compare=False)
    _table: PriceTable = field(init=False, repr=False, compare=False)
    _store: Store = field(init=False, repr=False, compare=False)
    _at_once: ImmediateStore | None = field(init=False, repr=False, compare=False)
    """The store, if no question to it waits."""
    _afterwards: Afterwards = field(init=False, repr=False, compare=False, default_factory=Afterwards)
    _used: dict[str, int] = field(init=False, repr=False, compare=False, default_factory=dict)
    """Micro-dollars used of budgets that all calls share, as last seen."""
    _warned: dict[str, None] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        budgets = read_scopes(BudgetOf, self.budgets, "Budget.budgets")
        object.__setattr__(self, "budgets", budgets)
        if self.usd is not None:
            budgets = (*budgets, BudgetOf(usd=self.usd, period=self.period, per=self.per))
        if not budgets:
            raise ConfigError("Budget: expected usd or budgets, found neither. Say how much may be spent.")
        if self.unpriced not in ("refuse", "allow"):
            raise ConfigError(f"Budget.unpriced: expected refuse or allow, found {self.unpriced!r}.")
        if isinstance(self.output_tokens, bool) or not isinstance(self.output_tokens, int) or self.output_tokens < 1:
            raise ConfigError(f"Budget.output_tokens: expected a whole number from 1, found {self.output_tokens!r}.")
        if self.on_warning is not None and not callable(self.on_warning):
            raise ConfigError(f"Budget.on_warning: expected a function, found {type(self.on_warning).__name__}.")
        check_names(budgets, "Budget")
        check_policy("Budget", self.on_store_failure)
        table = self.prices if self.prices is not None else default_prices()
        object.__setattr__(self, "_table", with_overrides(table, self.overrides) if self.overrides else table)
        object.__setattr__(self, "_purse", Purse(budgets))
        object.__setattr__(self, "_ceilings", Ceilings(self._table, self.output_tokens))
        object.__setattr__(self, "_store", make_store(self.store) if isinstance(self.store, str) else self.store)
        object.__setattr__(self, "_at_once", immediate(self._store))
        watch(self)

    @classmethod
    def from_config(cls, settings: Mapping[str, Any]) -> Budget:
        """A configuration can say all but functions."""
        if "on_warning" in settings or "prices" in settings:
            raise ConfigError("on_warning, prices: are made in Python.")
        return cls(**settings)

    @property
    def held_store(self) -> Store:
        """The store in use."""
        return self._store

    async def open(self) -> None:
        """Read the prices before the first call needs them."""
        await asyncio.to_thread(self._table.load)

    def __call__(self, call: Call, call_next: Handler) -> Awaitable[Reply]:
        """The reply, if there is money for it. Raises `BudgetExceeded`, `UnpricedModel`, and `StoreError` with `fail_closed`."""
        claims = self._purse.claims(call)
        if not claims.each:
            return call_next(call)
        reserved = self._ceilings.micro(call)
        if reserved is None:
            self._unpriced(call, claims.each)
            reserved = 0  # taken for what is known of the bill later
        store = self._at_once
        if store is None or call.state.dry_run:
            return self._wait(call, call_next, claims, reserved)
        amounts = (reserved,) * len(claims.windows)
        # without a coroutine: this is nearly every call's way
        taken = ask_now(call, "Budget", self.on_store_failure, store.take_now, claims.windows, amounts)
        self._note(call, claims.each, taken, reserved)
        return call_next(call)

    async def _wait(self, call: Call, call_next: Handler, claims: Claims, reserved: int) -> Reply:
        amounts = (0 if call.dry_run else reserved,) * len(claims.windows)
        question = self._store.take(claims.windows, amounts)
        taken = await ask_store(call, "Budget", self.on_store_failure, question, None)
        (self._look if call.dry_run else self._note)(call, claims.each, taken, reserved)
        return await call_next(call)

    def _unpriced(self, call: Call, claims: Sequence[Claim]) -> None:
        allowed = self.unpriced == "allow" or call.dry_run
        for claim in claims:
            call.add(BUDGETS, _said(claim, "unpriced", 0, 0) if allowed else _said(claim, "refused", 0, 0))
        if not allowed:
            raise UnpricedModel(
                f"Nobody knows what {call.target} costs, and the budget {claims[0].budget.name!r} lets no such call pass. "
                "Give it a price (overrides), or allow it: unpriced='allow'.",
                model=str(call.target),
            )

    def _look(self, call: Call, claims: Sequence[Claim], taken: Taken | None, reserved: int) -> None:
        """What would become of a dry run."""
        for claim, used in zip(claims, taken.used, strict=True) if taken is not None else ():
            fits = used + reserved <= claim.window.limit
            call.add(BUDGETS, _said(claim, "passed" if fits else "would_refuse", used, reserved))

    def _note(self, call: Call, claims: Sequence[Claim], taken: Taken | None, reserved: int) -> None:
        """What was taken; None where the store could not be asked and calls pass without. Raises if there is too little."""
        if taken is None:
            call.extend(BUDGETS, [_said(claim, "not_checked", 0, reserved) for claim in claims])
            return
        if not taken.granted:
            raise self._refusal(call, claims[taken.short], taken, reserved)
        for place, used in enumerate(taken.used):
            claim = claims[place]
            if not reserved and used >= claim.window.limit:  # spent up
                raise self._refusal(call, claim, taken, reserved, used)
            call.add(BUDGETS, _said(claim, self._noticed(claim, used), used, reserved))
        call.when_recorded(_Reserved(self, call, claims, taken, reserved))

    def _refusal(
        self, call: Call, claim: Claim, taken: Taken, reserved: int, used: int | None = None
    ) -> BudgetExceeded:
        spent = taken.used[taken.short] if used is None else used
        self._noticed(claim, spent)
        call.add(BUDGETS, _said(claim, "refused", spent, reserved))
        wait_s = claim.budget.left_s(call.clock.wall_ns())
        if wait_s is None and taken.wait_s < math.inf:
            wait_s = taken.wait_s
        whose = f" of {claim.share!r}" if claim.share else ""
        return BudgetExceeded(
            f"The budget {claim.budget.name!r}{whose} is {_dollars(claim.window.limit)} USD a {claim.period}; "
            f"{_dollars(max(0, claim.window.limit - spent))} are left, and the call may cost {_dollars(reserved)}. "
            "Ask for less (max_tokens, a cheaper model), wait for the next period, or raise it.",
            retry_after_s=wait_s if wait_s and reserved <= claim.window.limit else None,
        )

    def _noticed(self, claim: Claim, used: int) -> BudgetVerdict:
        """Remember how much is used; warn once a period."""
        if claim.gauge is not None:
            self._used[claim.gauge] = used
        if used < claim.warn_micro:
            return "passed"
        key = claim.window.key
        if key not in self._warned:
            if len(self._warned) >= _MOST_WARNED:
                self._warned.pop(next(iter(self._warned)), None)
            self._warned[key] = None
            self._warn(BudgetWarning(claim.budget.name, claim.share, used / MICRO, claim.window.limit / MICRO))
        return "warned"

    def _warn(self, warning: BudgetWarning) -> None:
        logger.warning(
            "The budget %r%s: %s of %s USD are used or reserved.",
            warning.budget, f" of {warning.share!r}" if warning.share else "", warning.used_usd, warning.limit_usd,
        )  # fmt: skip
        if self.on_warning is not None:
            try:
                self.on_warning(warning)
            except Exception:
                logger.exception("Budget.on_warning raised; calls go on.")

    def readings(self) -> Iterable[Reading]:
        """For the gauge: budgets that all calls share, as last seen."""
        return [Reading(METRIC, (name,), used / float(MICRO)) for name, used in tuple(self._used.items())]

    async def state(self) -> Mapping[str, Any]:
        """What is left of budgets that all calls share; degraded when one is spent, or the store is away."""
        budgets: dict[str, Any] = {}
        away = False
        for budget in self._purse.budgets:
            if budget.is_one:
                window = budget.window("", _now_ns())
                try:
                    used = (await self._store.take([window], [0])).used[0]
                except Exception:  # noqa: BLE001 - said by `condition`
                    away = True
                    continue
                left = max(0, window.limit - used)
                budgets[budget.name] = {"limit_usd": _dollars(window.limit), "left_usd": _dollars(left)}
        spent = any(Decimal(each["left_usd"]) == 0 for each in budgets.values())
        return {"condition": "degraded" if away or spent else "ok", "budgets": budgets}

    async def aclose(self) -> None:
        """Finish corrections, and close a store that this stage has made."""
        await self._afterwards.flush()
        if isinstance(self.store, str):
            await self._store.aclose()


_MOST_WARNED = 10_000


def _now_ns() -> int:
    from ...pipeline.clock import SYSTEM_CLOCK

    return SYSTEM_CLOCK.wall_ns()


class _Reserved:
    """What a call has taken. When the call has ended, its bill is put in the place of what was reserved."""

    __slots__ = ("call", "claims", "loop", "micro", "stage", "taken")

    def __init__(self, stage: Budget, call: Call, claims: Sequence[Claim], taken: Taken, micro: int) -> None:
        self.stage = stage
        self.call = call
        self.claims = claims
        self.taken = taken
        self.micro = micro
        """Micro-dollars, in each of the budgets."""
        self.loop = asyncio.get_running_loop() if stage._at_once is None else None  # noqa: SLF001 - of this file

    def __call__(self, record: Record, outcome: Outcome) -> None:
        """Observes the call's end."""
        stage = self.stage
        cost = record.facts.get(COST.name) or cost_of_call(self.call, outcome, stage._table)  # noqa: SLF001 - as above
        amount = cost.amount_usd
        if amount is not None:
            correction = micro_of(amount) - self.micro
        else:  # unknown in part: the reservation stands
            correction = max(0, micro_of(total(line.amount_usd for line in cost.lines)) - self.micro)
        if correction:
            corrections = []
            for place, slice_ in enumerate(self.taken.slices):
                corrections.append((self.claims[place].window, slice_, correction))
            stage._afterwards.settle(self.loop, stage._store, corrections)  # noqa: SLF001 - as above


def _said(claim: Claim, verdict: BudgetVerdict, used: int, reserved: int) -> Budgeted:
    most = claim.window.limit
    left_usd = (most - used if used < most else 0) / MICRO
    return _new_tuple(Budgeted, (claim.budget.name, verdict, claim.limit_usd, left_usd, reserved / MICRO, claim.period))


def _dollars(micro: int) -> str:
    return f"{micro / MICRO:f}"
