"""The stage that keeps calls within limits of requests and tokens."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from ...pipeline.call import Call
from ...pipeline.errors import ConfigError, RateLimitExceeded
from ...pipeline.facts import ATTEMPTS, LIMITS, Limited, LimitVerdict
from ...pipeline.gauges import Reading, watch
from ...pipeline.outcome import Outcome
from ...pipeline.plan import Rule
from ...pipeline.record import Record
from ...pipeline.scope import Per, check_names, read_scopes
from ...pipeline.sharing import Afterwards, OnStoreFailure, ask_now, ask_store, check_policy
from ...pipeline.stream import Handler, Reply
from ...pipeline.tokens import bound_output_tokens, bound_request_tokens
from ...stores import ImmediateStore, Store, Taken, immediate, make_store
from .lanes import Lanes
from .limit import NO_CLAIMS, Bound, Claims, Limit, Windows

_new_tuple = tuple.__new__  # half the time of a named tuple's own constructor

METRIC = "glassway.limit_waiting"


@dataclass(frozen=True, slots=True, weakref_slot=True)
class RateLimit:
    """Lets so many requests and tokens pass in a time, for each tenant, model, key ...; the rest waits, or is refused.

    `RateLimit(requests_per_minute=60, tokens_per_minute=100_000, per="tenant")`, or a list of `Limit`. A call has to fit into
    all of its limits; it takes from all of them or from none. Tokens are reserved by estimate before the call and put right by
    what it used. Any window of the given length holds, not only those that begin with the clock's minute.
    """

    rule: ClassVar[Rule] = Rule(
        better_outside={
            "Hedge": "inside Hedge the tokens of the two requests of one call are told apart by guess",
        },
        provides=("limits",),
        may_short_circuit=True,
        notes=("calls may wait",),
    )

    limits: Sequence[Limit] = ()
    """Each an object, or a mapping of its settings."""
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    per: Per = "all"
    """Whom the two numbers above hold for."""
    max_wait_s: float = 0.0
    """How long a call may wait for room; 0 refuses at once. Never beyond its deadline."""
    max_waiting: int = 1000
    """Calls that may wait at once; more are refused (`QueueFull`)."""
    output_tokens: int = 1000
    """Reserved for the output of a chat that sets no limit to it."""
    store: Store | str = "memory"
    """`memory`, `disk:./state`, `redis://...`, or a store: who shares it shares the limits."""
    on_store_failure: OnStoreFailure = "fail_open"
    _windows: tuple[Windows, ...] = field(init=False, repr=False, compare=False)
    _wants_tokens: bool = field(init=False, repr=False, compare=False)
    _lanes: Lanes = field(init=False, repr=False, compare=False)
    _store: Store = field(init=False, repr=False, compare=False)
    _at_once: ImmediateStore | None = field(init=False, repr=False, compare=False)
    """The store, if no question to it waits."""
    _afterwards: Afterwards = field(init=False, repr=False, compare=False, default_factory=Afterwards)

    def __post_init__(self) -> None:
        limits = read_scopes(Limit, self.limits, "RateLimit.limits")
        object.__setattr__(self, "limits", limits)
        if self.requests_per_minute is not None or self.tokens_per_minute is not None:
            limits = (*limits, Limit(requests=self.requests_per_minute, tokens=self.tokens_per_minute, per=self.per))
        if not limits:
            raise ConfigError("RateLimit: expected requests_per_minute, tokens_per_minute or limits, found none.")
        if not 0 <= self.max_wait_s < math.inf:
            raise ConfigError(f"RateLimit.max_wait_s: expected seconds from 0, found {self.max_wait_s!r}.")
        for name in ("max_waiting", "output_tokens"):
            if (
                isinstance(getattr(self, name), bool)
                or not isinstance(getattr(self, name), int)
                or getattr(self, name) < 1
            ):
                raise ConfigError(f"RateLimit.{name}: expected a whole number from 1, found {getattr(self, name)!r}.")
        check_names(limits, "RateLimit")
        check_policy("RateLimit", self.on_store_failure)
        object.__setattr__(self, "_windows", tuple(Windows(limit) for limit in limits))
        object.__setattr__(self, "_wants_tokens", any(limit.tokens is not None for limit in limits))
        object.__setattr__(self, "_lanes", Lanes(self.max_waiting))
        object.__setattr__(self, "_store", make_store(self.store) if isinstance(self.store, str) else self.store)
        object.__setattr__(self, "_at_once", immediate(self._store))
        watch(self)

    @property
    def held_store(self) -> Store:
        """The store in use."""
        return self._store

    def __call__(self, call: Call, call_next: Handler) -> Awaitable[Reply]:
        """The reply, once there is room. Raises `RateLimitExceeded`, `QueueFull`, and `StoreError` with `fail_closed`."""
        claims = self._claims(call)
        if not claims.windows:
            return call_next(call)
        store = self._at_once
        if store is None or call.state.dry_run or self._lanes.waiting:
            return self._wait(call, call_next, claims, None)
        # without a coroutine: this is nearly every call's way
        taken = ask_now(call, "RateLimit", self.on_store_failure, store.take_now, claims.windows, claims.amounts)
        if taken is not None and not taken.granted:
            return self._wait(call, call_next, claims, taken)
        _note(call, claims, taken, "passed")
        return self._go_on(call, call_next, claims, taken)

    async def _wait(self, call: Call, call_next: Handler, claims: Claims, refused: Taken | None) -> Reply:
        if call.dry_run:
            await self._look(call, claims)
            return await call_next(call)
        return await self._go_on(call, call_next, claims, await self._taken(call, claims, refused))

    def _go_on(self, call: Call, call_next: Handler, claims: Claims, taken: Taken | None) -> Awaitable[Reply]:
        if taken is not None and self._wants_tokens:
            state = call.state
            for earlier in state.recorded:
                if earlier.__class__ is _Reserved:
                    earlier.ends_at(self, state.attempts_made)
            call.when_recorded(_Reserved(self, claims, taken, state.attempts_made))
        return call_next(call)

    def _claims(self, call: Call) -> Claims:
        tokens = 0
        if self._wants_tokens:  # about what the call will use, at least 1: where text does not tell, it is put right
            request = call.request
            tokens = bound_request_tokens(request, call.target.model) + bound_output_tokens(request, self.output_tokens)
            tokens = tokens or 1
        if len(self._windows) == 1:
            return self._windows[0].claims(call, tokens)
        return sum((windows.claims(call, tokens) for windows in self._windows), NO_CLAIMS)

    async def _look(self, call: Call, claims: Claims) -> None:
        """What would become of a dry run."""
        taken = await self._ask(call, claims, claims.none)
        if taken is None:
            return
        for bound, amount, used in zip(claims.bounds, claims.amounts, taken.used, strict=True):
            fits = used + amount <= bound.window.limit
            call.add(LIMITS, _verdict(bound, amount, "passed" if fits else "would_refuse", used, 0.0))

    async def _taken(self, call: Call, claims: Claims, taken: Taken | None) -> Taken | None:
        """What was taken; None where the store could not be asked. Raises if there is no room in time. `taken`: what the store has refused already."""
        lane: str | None = None
        if taken is None:
            lane = self._lanes.is_waited_for([window.key for window in claims.windows]) if self._lanes.waiting else None
            taken = await self._ask(call, claims, claims.amounts) if lane is None else None
            if lane is None and (taken is None or taken.granted):
                _note(call, claims, taken, "passed")
                return taken
        if taken is not None:
            lane = claims.windows[taken.short].key
            self._check_hope(call, claims, taken)
        if lane is None or not self.max_wait_s:
            raise await self._refusal(call, claims, taken)
        return await self._waited(call, claims, lane)

    async def _waited(self, call: Call, claims: Claims, lane: str) -> Taken | None:
        began_ns = call.clock.now_ns()
        left_s = call.remaining_s()
        patience_s = self.max_wait_s if left_s is None else min(self.max_wait_s, left_s)
        last: Taken | None = None
        try:
            async with call.clock.limit(patience_s) as limit, self._lanes.place(lane):
                while True:
                    last = await self._ask(call, claims, claims.amounts)
                    if last is None or last.granted:
                        waited_s = (call.clock.now_ns() - began_ns) / 1e9
                        _note(call, claims, last, "waited", waited_s)
                        return last
                    self._check_hope(call, claims, last)
                    await call.clock.sleep(last.wait_s)
        except TimeoutError:
            if not limit.expired():
                raise
            waited_s = (call.clock.now_ns() - began_ns) / 1e9
            raise await self._refusal(call, claims, last, waited_s) from None

    def _ask(self, call: Call, claims: Claims, amounts: Sequence[int]) -> Awaitable[Taken | None]:
        question = self._store.take(claims.windows, amounts)
        return ask_store(call, "RateLimit", self.on_store_failure, question, None)

    def _check_hope(self, call: Call, claims: Claims, taken: Taken) -> None:
        """Raises if no waiting would help."""
        if taken.wait_s < math.inf:
            return
        bound, amount = claims.bounds[taken.short], claims.amounts[taken.short]
        call.add(LIMITS, _verdict(bound, amount, "refused", taken.used[taken.short], 0.0))
        raise RateLimitExceeded(
            f"The call needs {amount} {bound.unit}, and the limit {bound.limit.name!r} allows {bound.window.limit} "
            f"in {bound.limit.per_s:g} s: it can never pass. Send less at once (max_tokens), or raise the limit."
        )

    async def _refusal(
        self, call: Call, claims: Claims, taken: Taken | None, waited_s: float = 0.0
    ) -> RateLimitExceeded:
        if taken is None:
            taken = await self._ask(call, claims, claims.none)
        short = taken.short if taken is not None and taken.short >= 0 else 0
        bound, amount = claims.bounds[short], claims.amounts[short]
        used = taken.used[short] if taken is not None else bound.window.limit
        wait_s = taken.wait_s if taken is not None and 0 < taken.wait_s < math.inf else 0.0
        call.add(LIMITS, _verdict(bound, amount, "refused", used, waited_s))
        return RateLimitExceeded(
            f"The limit {bound.limit.name!r} of {bound.window.limit} {bound.unit} in {bound.limit.per_s:g} s is reached"
            f"{f' (waited {waited_s:.1f} s)' if waited_s else ''}. Try again in {wait_s:.1f} s, or raise it.",
            retry_after_s=wait_s or None,
        )

    def readings(self) -> Iterable[Reading]:
        """For the gauge."""
        return [Reading(METRIC, (), self._lanes.waiting)]

    async def state(self) -> Mapping[str, Any]:
        """Calls that wait, and what is left of limits that all calls share; degraded when the queue is half full or the store is away."""
        limits: dict[str, Any] = {}
        away = False
        for windows in self._windows:
            if windows.limit.is_one:
                for _, unit, window in windows.bounds(""):
                    try:
                        used = (await self._store.take([window], [0])).used[0]
                    except Exception:  # noqa: BLE001 - said by `condition`
                        away = True
                        continue
                    limits[f"{windows.limit.name} {unit}"] = {"most": window.limit, "left": max(0, window.limit - used)}
        crowded = 2 * self._lanes.waiting > self.max_waiting
        return {"condition": "degraded" if away or crowded else "ok", "waiting": self._lanes.waiting, "limits": limits}

    async def aclose(self) -> None:
        """Finish corrections, and close a store that this stage has made."""
        await self._afterwards.flush()
        if isinstance(self.store, str):
            await self._store.aclose()


class _Reserved:
    """What a call has taken. When the call has ended, the tokens that it used are put in the place of those that were reserved.

    The attempts that count are those of this run of the stage: a call that comes through it again takes anew.
    """

    __slots__ = ("after", "claims", "loop", "stage", "taken", "until")

    def __init__(self, stage: RateLimit, claims: Claims, taken: Taken, attempts_made: int) -> None:
        self.stage = stage
        self.claims = claims
        self.taken = taken
        self.after = attempts_made
        self.until = math.inf
        self.loop = asyncio.get_running_loop() if stage._at_once is None else None  # noqa: SLF001 - of this file

    def ends_at(self, stage: RateLimit, attempts_made: int) -> None:
        """The call comes through `stage` again."""
        if stage is self.stage and attempts_made < self.until:
            self.until = attempts_made

    def __call__(self, record: Record, _: Outcome) -> None:
        """Observes the call's end."""
        used, after, until = 0, self.after, self.until
        for attempt in record.facts.get(ATTEMPTS.name, ()):
            if after < attempt.number <= until:
                usage = attempt.usage
                if usage is not None:
                    used += usage.total_tokens
                elif attempt.useful or attempt.chunks:
                    return  # a vendor was at work and nobody knows: the reservation stands
        corrections = []
        slices = self.taken.slices
        bounds, _windows, amounts = self.claims
        for place, amount in enumerate(amounts):
            _limit, unit, window = bounds[place]
            if used != amount and unit == "tokens":
                corrections.append((window, slices[place], used - amount))
        stage = self.stage
        stage._afterwards.settle(self.loop, stage._store, corrections)  # noqa: SLF001 - as above


def _note(call: Call, claims: Claims, taken: Taken | None, verdict: LimitVerdict, waited_s: float = 0.0) -> None:
    used = taken.used if taken is not None else claims.none
    verdict = verdict if taken is not None else "not_checked"
    facts = []
    for place, bound in enumerate(claims.bounds):
        facts.append(_verdict(bound, claims.amounts[place], verdict, used[place], waited_s))
        waited_s = 0.0  # it waited once
    call.extend(LIMITS, facts)


def _verdict(bound: Bound, amount: int, verdict: LimitVerdict, used: int, waited_s: float) -> Limited:
    limit, unit, window = bound
    most = window.limit
    left = most - used if used < most else 0
    return _new_tuple(Limited, (limit.name, unit, verdict, most, left, limit.per_s, amount, waited_s))
