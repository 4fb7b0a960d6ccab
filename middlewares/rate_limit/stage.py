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
from ...pipeline.sharing import Afterwards, OnStoreFailure, ask_store, check_policy
from ...pipeline.stream import Handler, Reply
from ...pipeline.tokens import bound_request_tokens
from ...pipeline.types import ChatRequest
from ...stores import Store, Taken, make_store
from .lanes import Lanes
from .limit import Claim, Limit, Windows

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
        watch(self)

    @property
    def held_store(self) -> Store:
        """The store in use."""
        return self._store

    async def __call__(self, call: Call, call_next: Handler) -> Reply:
        """The reply, once there is room. Raises `RateLimitExceeded`, `QueueFull`, and `StoreError` with `fail_closed`."""
        claims = self._claims(call)
        if not claims:
            return await call_next(call)
        if call.dry_run:
            await self._look(call, claims)
            return await call_next(call)
        taken = await self._taken(call, claims)
        if taken is None or not self._wants_tokens:
            return await call_next(call)
        used = _Used(call.state.attempts_made)
        self._settle_later(call, claims, taken, used)
        try:
            return await call_next(call)
        finally:
            used.until = call.state.attempts_made

    def _claims(self, call: Call) -> list[Claim]:
        tokens = self._tokens(call) if self._wants_tokens else 0
        if len(self._windows) == 1:
            return self._windows[0].claims(call, tokens)
        return [claim for windows in self._windows for claim in windows.claims(call, tokens)]

    def _tokens(self, call: Call) -> int:
        """About what the call will use, and at least 1; requests whose tokens text does not tell take 1 and are put right."""
        request = call.request
        prompt = bound_request_tokens(request, call.target.model)
        output = 0
        if isinstance(request, ChatRequest):
            output = (request.output_limit or self.output_tokens) * max(1, request.n or 1)
        return max(1, prompt + output)

    async def _look(self, call: Call, claims: Sequence[Claim]) -> None:
        """What would become of a dry run."""
        taken = await self._ask(call, [claim._replace(amount=0) for claim in claims])
        for claim, used in zip(claims, taken.used, strict=True) if taken is not None else ():
            fits = used + claim.amount <= claim.window.limit
            call.add(LIMITS, _verdict(claim, "passed" if fits else "would_refuse", used, 0.0))

    async def _taken(self, call: Call, claims: Sequence[Claim]) -> Taken | None:
        """What was taken; None where the store could not be asked. Raises if there is no room in time."""
        lane = self._lanes.is_waited_for([claim.window.key for claim in claims]) if self._lanes.waiting else None
        taken: Taken | None = None
        if lane is None:
            taken = await self._ask(call, claims)
            if taken is None or taken.granted:
                _note(call, claims, taken, "passed")
                return taken
            lane = claims[taken.short].window.key
            self._check_hope(call, claims, taken)
        if not self.max_wait_s:
            raise await self._refusal(call, claims, taken)
        return await self._waited(call, claims, lane)

    async def _waited(self, call: Call, claims: Sequence[Claim], lane: str) -> Taken | None:
        began_ns = call.clock.now_ns()
        left_s = call.remaining_s()
        patience_s = self.max_wait_s if left_s is None else min(self.max_wait_s, left_s)
        last: Taken | None = None
        try:
            async with call.clock.limit(patience_s) as limit, self._lanes.place(lane):
                while True:
                    last = await self._ask(call, claims)
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

    def _ask(self, call: Call, claims: Sequence[Claim]) -> Awaitable[Taken | None]:
        question = self._store.take([claim.window for claim in claims], [claim.amount for claim in claims])
        return ask_store(call, "RateLimit", self.on_store_failure, question, None)

    def _check_hope(self, call: Call, claims: Sequence[Claim], taken: Taken) -> None:
        """Raises if no waiting would help."""
        if taken.wait_s < math.inf:
            return
        claim = claims[taken.short]
        _note(call, [claim], taken, "refused")
        raise RateLimitExceeded(
            f"The call needs {claim.amount} {claim.unit}, and the limit {claim.limit.name!r} allows {claim.window.limit} "
            f"in {claim.limit.per_s:g} s: it can never pass. Send less at once (max_tokens), or raise the limit."
        )

    async def _refusal(
        self, call: Call, claims: Sequence[Claim], taken: Taken | None, waited_s: float = 0.0
    ) -> RateLimitExceeded:
        if taken is None:
            taken = await self._ask(call, [claim._replace(amount=0) for claim in claims])
        claim = claims[taken.short] if taken is not None and taken.short >= 0 else claims[0]
        used = taken.used[claims.index(claim)] if taken is not None else claim.window.limit
        wait_s = taken.wait_s if taken is not None and 0 < taken.wait_s < math.inf else 0.0
        call.add(LIMITS, _verdict(claim, "refused", used, waited_s))
        return RateLimitExceeded(
            f"The limit {claim.limit.name!r} of {claim.window.limit} {claim.unit} in {claim.limit.per_s:g} s is reached"
            f"{f' (waited {waited_s:.1f} s)' if waited_s else ''}. Try again in {wait_s:.1f} s, or raise it.",
            retry_after_s=wait_s or None,
        )

    def _settle_later(self, call: Call, claims: Sequence[Claim], taken: Taken, used: _Used) -> None:
        """When the call has ended, put the tokens that it used in the place of those that were reserved."""
        loop, store = asyncio.get_running_loop(), self._store

        def settle(record: Record, _: Outcome) -> None:
            tokens = used.tokens(record)
            if tokens is None:
                return
            corrections = [
                (claim.window, slice_, tokens - claim.amount)
                for claim, slice_ in zip(claims, taken.slices, strict=True)
                if claim.unit == "tokens" and tokens != claim.amount
            ]
            self._afterwards.settle(loop, store, corrections)

        call.when_recorded(settle)

    def readings(self) -> Iterable[Reading]:
        """For the gauge."""
        return [Reading(METRIC, (), self._lanes.waiting)]

    async def state(self) -> Mapping[str, Any]:
        """Calls that wait, and what is left of limits that all calls share; degraded when the queue is half full or the store is away."""
        limits: dict[str, Any] = {}
        away = False
        for windows in self._windows:
            if windows.limit.is_one:
                for unit, window in windows._made(""):  # noqa: SLF001 - one thing in two files
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


class _Used:
    """Which attempts of a call a stage's own run of the chain has made."""

    __slots__ = ("after", "until")

    def __init__(self, after: int) -> None:
        self.after = after
        self.until = math.inf

    def tokens(self, record: Record) -> int | None:
        """What they used; None where a vendor was at work and nobody knows: then the reservation stands."""
        tokens = 0
        for attempt in record.facts.get(ATTEMPTS.name, ()):
            if self.after < attempt.number <= self.until:
                if attempt.usage is None and (attempt.useful or attempt.chunks):
                    return None
                tokens += attempt.usage.total_tokens if attempt.usage is not None else 0
        return tokens


def _note(
    call: Call, claims: Sequence[Claim], taken: Taken | None, verdict: LimitVerdict, waited_s: float = 0.0
) -> None:
    if taken is None:
        call.extend(LIMITS, [_verdict(claim, "not_checked", 0, waited_s) for claim in claims])
        return
    used = taken.used if len(claims) == len(taken.used) else (taken.used[taken.short],)
    waits_s = (waited_s, *[0.0] * (len(claims) - 1)) if waited_s else (0.0,) * len(claims)  # it waited once
    call.extend(LIMITS, list(map(_verdict, claims, (verdict,) * len(claims), used, waits_s)))


def _verdict(claim: Claim, verdict: LimitVerdict, used: int, waited_s: float) -> Limited:
    most = claim.window.limit
    return Limited(
        claim.limit.name, claim.unit, verdict, most, max(0, most - used), claim.limit.per_s, claim.amount, waited_s
    )
