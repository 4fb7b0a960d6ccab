"""The stage that leaves failing targets alone."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, NamedTuple

from ...pipeline.call import Call, Target
from ...pipeline.errors import KINDS, CircuitOpen, ConfigError, Kind, error_kind
from ...pipeline.facts import CIRCUITS, CircuitEvent, CircuitNoted
from ...pipeline.gauges import Reading, watch
from ...pipeline.outcome import Outcome
from ...pipeline.plan import Rule
from ...pipeline.sharing import Afterwards, OnStoreFailure, check_policy
from ...pipeline.stream import Handler, Reply, when_done
from ...stores import MemoryStore, Store, make_store
from .circuit import Circuit, CircuitState, Pass, Terms, Verdict
from .shared import Shared

METRIC = "glassway.circuit_state"

TROUBLE: tuple[Kind, ...] = ("connect", "timeout", "server_error", "overloaded", "bad_response", "stream_interrupted")
"""Failures of a vendor or the network. What a caller did wrong, what a policy refused and a vendor's rate limit say nothing of its health."""

logger = logging.getLogger("glassway")


class CircuitChange(NamedTuple):
    """A circuit has another state."""

    target: str
    state: CircuitState
    failures: int
    """In a row, before it."""


_NUMBERS = ("failures", "window_calls", "least_calls", "probes", "successes")
_LEVELS: Mapping[CircuitState, int] = {"closed": 0, "half_open": 1, "open": 2}
_MOST_TARGETS = 1000


@dataclass(frozen=True, slots=True, weakref_slot=True)
class CircuitBreaker:
    """Sends nothing to a target that has failed too often, for a while; then a few calls try whether it is back.

    A circuit opens after `failures` in a row, or when `failure_share` of the last `window_calls` failed. It stays open for
    `open_s`, twice as long each time it opens again; then `probes` calls at once may pass, and `successes` of them close it.
    Each process judges by its own calls. With a shared store an open circuit is everybody's, and one process tries for all.
    """

    rule: ClassVar[Rule] = Rule(
        better_inside={
            "Fallback": "outside Fallback an open circuit is an error, and no other target is tried",
            "Retry": "outside Retry it sees calls, not the requests that failed in them",
            "Cache": "outside Cache an open circuit hides answers that are there",
        },
        provides=("circuits",),
        may_short_circuit=True,
    )

    failures: int = 5
    failure_share: float | None = 0.5
    """None: only failures in a row count."""
    window_calls: int = 20
    least_calls: int = 10
    """With fewer calls a share says nothing."""
    slow_s: float | None = None
    """An answer (a stream's first chunk) that takes longer counts as a failure."""
    open_s: float = 30.0
    longest_open_s: float = 600.0
    probes: int = 1
    successes: int = 1
    per: Literal["target", "provider"] = "target"
    count: Collection[Kind] = TROUBLE
    """Kinds of errors that are failures."""
    on_change: Callable[[CircuitChange], object] | None = field(default=None, repr=False)
    """Told when a circuit opens or closes. Must not wait."""
    store: Store | str = "memory"
    """`memory` keeps circuits to this process; `disk:...`, `redis://...` or a store shares them."""
    name: str = "circuit"
    """Stages of one name in one store share their circuits."""
    refresh_s: float = 1.0
    """How old news from others may be, at most."""
    on_store_failure: OnStoreFailure = "fail_open"
    """`fail_open`: go on by this process's own judgement."""
    _terms: Terms = field(init=False, repr=False, compare=False)
    _counted: frozenset[str] = field(init=False, repr=False, compare=False)
    _store: Store = field(init=False, repr=False, compare=False)
    _shared: Shared | None = field(init=False, repr=False, compare=False)
    _circuits: dict[str, Circuit] = field(init=False, repr=False, compare=False, default_factory=dict)
    _afterwards: Afterwards = field(init=False, repr=False, compare=False, default_factory=Afterwards)

    def __post_init__(self) -> None:
        self._check()
        terms = Terms(
            self.failures, self.failure_share, self.window_calls, self.least_calls, self.open_s, self.longest_open_s,
            self.probes, self.successes,
        )  # fmt: skip
        store = make_store(self.store) if isinstance(self.store, str) else self.store
        own = isinstance(self.store, str) and isinstance(store, MemoryStore)
        shared = None if own else Shared(store, self.name, self.on_store_failure, self.refresh_s, {})
        for name, value in (
            ("_terms", terms),
            ("_counted", frozenset(self.count)),
            ("_store", store),
            ("_shared", shared),
        ):
            object.__setattr__(self, name, value)
        watch(self)

    def _check(self) -> None:
        for name in _NUMBERS:
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 100_000:
                raise ConfigError(f"CircuitBreaker.{name}: expected a whole number from 1, found {value!r}.")
        if self.failure_share is not None and not 0 < self.failure_share <= 1:
            raise ConfigError(
                f"CircuitBreaker.failure_share: expected a share above 0, 1 at most, or None; found {self.failure_share!r}."
            )
        if self.least_calls > self.window_calls:
            raise ConfigError(
                f"CircuitBreaker: expected least_calls <= window_calls, found {self.least_calls} and {self.window_calls}: it could never open by its share."
            )
        for name in ("open_s", "refresh_s", "slow_s"):
            value = getattr(self, name)
            if (value is not None or name != "slow_s") and not (
                isinstance(value, (int, float)) and 0 < value < math.inf
            ):
                raise ConfigError(f"CircuitBreaker.{name}: expected seconds above 0, found {value!r}.")
        if not self.open_s <= self.longest_open_s < math.inf:
            raise ConfigError(
                f"CircuitBreaker.longest_open_s: expected at least open_s ({self.open_s:g}), found {self.longest_open_s!r}."
            )
        if self.per not in ("target", "provider"):
            raise ConfigError(f"CircuitBreaker.per: expected target or provider, found {self.per!r}.")
        if isinstance(self.count, str) or not self.count or (unknown := set(self.count) - KINDS):
            found = self.count if isinstance(self.count, str) or not self.count else sorted(unknown)
            raise ConfigError(
                f"CircuitBreaker.count: expected a list of kinds of errors ({', '.join(TROUBLE)} ...), found {found!r}."
            )
        if self.on_change is not None and not callable(self.on_change):
            raise ConfigError(f"CircuitBreaker.on_change: expected a function, found {type(self.on_change).__name__}.")
        check_policy("CircuitBreaker", self.on_store_failure)

    @classmethod
    def from_config(cls, settings: Mapping[str, Any]) -> CircuitBreaker:
        """A configuration can say all but functions."""
        if "on_change" in settings:
            raise ConfigError("on_change: is made in Python.")
        return cls(**settings)

    @property
    def held_store(self) -> Store:
        """The store in use."""
        return self._store

    def circuit_open(self, call: Call, target: Target) -> bool:
        """What a router asks: whether nothing may pass to `target` for now."""
        circuit = self._circuits.get(self._name_of(target))
        return circuit is not None and circuit.is_open(call.clock.now_ns())

    async def __call__(self, call: Call, call_next: Handler) -> Reply:
        """The reply. Raises `CircuitOpen` while the target is left alone."""
        target = self._name_of(call.target)
        circuit = self._circuits.get(target) or self._new(target)
        if call.dry_run:
            if circuit.is_open(call.clock.now_ns()):
                call.add(CIRCUITS, CircuitNoted(target, "refused", circuit.failures))
            return await call_next(call)
        if self._shared is not None:
            await self._shared.refresh(call, target, circuit)
        began_ns = call.clock.now_ns()
        passed = circuit.enter(began_ns)
        if not passed.allowed:
            raise self._refusal(call, target, circuit, passed.wait_s)
        if passed.probe:
            await self._probe(call, target, circuit, passed)
        loop = asyncio.get_running_loop()  # a stream may end in a finaliser, where none runs
        try:
            reply = await call_next(call)
        except BaseException as error:
            self._end(call, target, circuit, passed, self._judged(error), loop)
            raise
        is_slow = self.slow_s is not None and call.clock.now_ns() - began_ns > self.slow_s * 1e9

        def ended(outcome: Outcome) -> None:
            verdict: Verdict = "failure" if is_slow else "success"
            if outcome.error is not None:
                verdict = self._judged(outcome.error)
            elif outcome.end != "completed":
                verdict = "ignored"  # the reader went away
            self._end(call, target, circuit, passed, verdict, loop)

        return when_done(reply, ended)

    def _name_of(self, target: Target) -> str:
        return str(target) if self.per == "target" else target.provider or str(target)

    def _new(self, target: str) -> Circuit:
        if len(self._circuits) >= _MOST_TARGETS:
            closed = next((name for name, one in self._circuits.items() if one.state == "closed"), None)
            self._circuits.pop(closed or next(iter(self._circuits)))
        return self._circuits.setdefault(target, Circuit(self._terms))

    def _judged(self, error: BaseException) -> Verdict:
        kind = error_kind(error)
        if kind in self._counted:
            return "failure"
        # An answer that refuses the caller is an answer all the same; what never reached the vendor says nothing.
        return "success" if getattr(error, "status_code", None) is not None else "ignored"

    async def _probe(self, call: Call, target: str, circuit: Circuit, passed: Pass) -> None:
        """Raises if another process tries already."""
        if self._shared is not None:
            try:
                may = await self._shared.may_probe(call, target, self.open_s)
            except BaseException:
                circuit.leave(passed, "ignored", call.clock.now_ns())
                raise
            if not may:
                circuit.leave(passed, "ignored", call.clock.now_ns())
                raise self._refusal(call, target, circuit, self.refresh_s)
        call.add(CIRCUITS, CircuitNoted(target, "probe", circuit.failures))

    def _refusal(self, call: Call, target: str, circuit: Circuit, wait_s: float) -> CircuitOpen:
        call.add(CIRCUITS, CircuitNoted(target, "refused", circuit.failures))
        return CircuitOpen(
            f"{target} failed {circuit.failures} times in a row or too often, and is left alone for {wait_s:.1f} s more. "
            "Use a Fallback to go elsewhere, or wait.",
            model=target,
            retry_after_s=wait_s or None,
        )

    def _end(
        self, call: Call, target: str, circuit: Circuit, passed: Pass, verdict: Verdict, loop: asyncio.AbstractEventLoop
    ) -> None:
        now_ns = call.clock.now_ns()
        failures = circuit.failures
        changed = circuit.leave(passed, verdict, now_ns)
        if self._shared is not None and (changed is not None or passed.probe):
            self._share_later(self._shared, call, target, circuit, passed, changed, loop)
        if changed is not None and (self._shared is None or changed == "closed"):
            self._tell(call, target, circuit, changed, failures)

    def _share_later(
        self,
        shared: Shared,
        call: Call,
        target: str,
        circuit: Circuit,
        passed: Pass,
        changed: CircuitState | None,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        left_s = (circuit.until_ns - call.clock.now_ns()) / 1e9

        async def share() -> None:
            if changed == "open" and await _is_first(shared, target, left_s):
                self._tell(call, target, circuit, "open", circuit.failures)
            if passed.probe:
                await shared.ended(target)

        self._afterwards.run(loop, share, immediate=shared.store.immediate)

    def _tell(self, call: Call, target: str, circuit: Circuit, state: CircuitState, failures: int) -> None:
        event: CircuitEvent = "closed" if state == "closed" else "opened"
        failures = max(failures, circuit.failures)
        if not call.state.finished:
            call.add(CIRCUITS, CircuitNoted(target, event, failures))
        _log(target, state, failures)
        if self.on_change is not None:
            try:
                self.on_change(CircuitChange(target, state, failures))
            except Exception:
                logger.exception("CircuitBreaker.on_change raised; calls go on.")

    def readings(self) -> Iterable[Reading]:
        """For the gauge."""
        return [Reading(METRIC, (target,), _LEVELS[one.state]) for target, one in tuple(self._circuits.items())]

    async def state(self) -> Mapping[str, Any]:
        """Circuits that are not closed; degraded while there are any."""
        known = {name: one.state for name, one in tuple(self._circuits.items()) if one.state != "closed"}
        return {"condition": "degraded" if known else "ok", "circuits": known}

    async def aclose(self) -> None:
        """Finish what is being shared, and close a store that this stage has made."""
        await self._afterwards.flush()
        if isinstance(self.store, str):
            await self._store.aclose()


async def _is_first(shared: Shared, target: str, for_s: float) -> bool:
    try:
        return await shared.is_opened_first(target, for_s)
    except Exception:  # noqa: BLE001 - without the store, this process's own opening is news
        return True


def _log(target: str, state: CircuitState, failures: int) -> None:
    if state == "open":
        logger.warning("The circuit of %s is open: %d failures in a row, or too many.", target, failures)
    else:
        logger.warning("The circuit of %s is closed: it answers again.", target)
