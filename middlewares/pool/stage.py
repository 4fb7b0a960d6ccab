"""The stage that bounds how many calls are under way at once."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from ...pipeline.call import Call
from ...pipeline.errors import ConfigError, QueueFull
from ...pipeline.facts import POOLS, Pooled
from ...pipeline.gauges import Reading, watch
from ...pipeline.outcome import Outcome
from ...pipeline.plan import Rule
from ...pipeline.scope import Per, Scope, check_names, read_scopes
from ...pipeline.stream import Handler, Reply, when_done
from .places import Places, PoolReport, PoolStats

IN_USE, WAITING, SIZE = "glassway.pool_in_use", "glassway.pool_waiting", "glassway.pool_size"

_MOST_POOLS = 1000

logger = logging.getLogger("glassway")


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolOf(Scope):
    """At most `size` calls at once, for whom `per` says; `queue` more may wait."""

    size: int
    queue: int = 1000
    queue_timeout_s: float = 30.0
    """How long a call may wait for a place; never beyond its deadline."""

    def __post_init__(self) -> None:
        for name, least in (("size", 1), ("queue", 0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= 1_000_000:
                raise ConfigError(f"PoolOf.{name}: expected a whole number from {least}, found {value!r}.")
        if not isinstance(self.queue_timeout_s, (int, float)) or not 0 <= self.queue_timeout_s < math.inf:
            raise ConfigError(f"PoolOf.queue_timeout_s: expected seconds from 0, found {self.queue_timeout_s!r}.")
        per = "function" if callable(self.per) else self.per if isinstance(self.per, str) else "+".join(self.per)
        self.prepare("PoolOf", per + "".join(f" {one}" for one in (self.tenant, self.model) if one is not None))


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Pool:
    """Lets so many calls be under way at once, for each target, provider, tenant ...; the others wait in order.

    `Pool(size=32, per="provider")`, or a list of `PoolOf`, of which the first that is about a call holds. A stream keeps its
    place to its end. Pools are of this process, whatever number of event loops and threads it has.
    """

    rule: ClassVar[Rule] = Rule(
        better_inside={
            "Cache": "outside Cache a hit waits for a place that it does not need",
            "Retry": "outside Retry a call keeps its place while it waits for its next try",
            "Fallback": "outside Fallback a place is of the first target, wherever the call goes",
        },
        provides=("pools",),
        may_short_circuit=True,
        notes=("calls may wait",),
    )

    pools: Sequence[PoolOf] = ()
    """Each an object, or a mapping of its settings."""
    size: int | None = None
    queue: int = 1000
    queue_timeout_s: float = 30.0
    per: Per = "all"
    name: str = ""
    """What the pool that is made of the four settings above is called."""
    monitor: Callable[[PoolStats], object] | None = field(default=None, repr=False)
    """Told how a pool is, when calls come and go, every `monitor_every_s` at most. Must not wait."""
    monitor_every_s: float = 10.0
    _pools: tuple[PoolOf, ...] = field(init=False, repr=False, compare=False)
    _places: dict[tuple[str, str], Places] = field(init=False, repr=False, compare=False, default_factory=dict)
    _told_ns: dict[str, int] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        pools = read_scopes(PoolOf, self.pools, "Pool.pools")
        object.__setattr__(self, "pools", pools)
        if self.size is not None:
            short = PoolOf(
                size=self.size, queue=self.queue, queue_timeout_s=self.queue_timeout_s, per=self.per, name=self.name
            )
            pools = (*pools, short)
        if not pools:
            raise ConfigError("Pool: expected size or pools, found neither. Say how many calls may be under way.")
        check_names(pools, "Pool")
        if self.monitor is not None and not callable(self.monitor):
            raise ConfigError(f"Pool.monitor: expected a function, found {type(self.monitor).__name__}.")
        if not 0 <= self.monitor_every_s < math.inf:
            raise ConfigError(f"Pool.monitor_every_s: expected seconds from 0, found {self.monitor_every_s!r}.")
        object.__setattr__(self, "_pools", pools)
        for pool in pools:
            if pool.is_one:
                self._of(pool, "")
        watch(self)

    @classmethod
    def from_config(cls, settings: Mapping[str, Any]) -> Pool:
        """A configuration can say all but functions."""
        if "monitor" in settings:
            raise ConfigError("monitor: is made in Python.")
        return cls(**settings)

    async def __call__(self, call: Call, call_next: Handler) -> Reply:
        """The reply, once there is a place. Raises `QueueFull`."""
        found = self._pool_of(call)
        if found is None:
            return await call_next(call)
        pool, places = found
        if call.dry_run:
            stats = places.stats()
            call.add(POOLS, Pooled(places.name, "would_wait" if stats.in_use >= stats.size else "entered"))
            return await call_next(call)
        try:
            waited_s = await places.enter(call, pool.queue_timeout_s)
        except QueueFull:
            call.add(POOLS, Pooled(places.name, "refused"))
            self._tell(places, call.clock.now_ns())
            raise
        began_ns = call.clock.now_ns()

        def leave(_: Outcome | None) -> None:
            now_ns = call.clock.now_ns()
            places.leave(now_ns, waited_s, now_ns - began_ns)
            self._tell(places, now_ns)

        try:
            call.add(POOLS, Pooled(places.name, "waited" if waited_s else "entered", waited_s))
            self._tell(places, began_ns)
            reply = await call_next(call)
        except BaseException:
            leave(None)
            raise
        return when_done(reply, leave)

    def _pool_of(self, call: Call) -> tuple[PoolOf, Places] | None:
        for pool in self._pools:
            share = pool.share(call)
            if share is not None:
                return pool, self._places.get((pool.name, share)) or self._of(pool, share)
        return None

    def _of(self, pool: PoolOf, share: str) -> Places:
        if len(self._places) >= _MOST_POOLS:
            idle = next((key for key, one in tuple(self._places.items()) if one.stats()[2:4] == (0, 0)), None)
            if idle is not None:
                self._places.pop(idle, None)
        name = f"{pool.name}/{share}" if share else pool.name
        return self._places.setdefault((pool.name, share), Places(name, pool.size, pool.queue))

    def _tell(self, places: Places, now_ns: int) -> None:
        if self.monitor is None or now_ns - self._told_ns.get(places.name, -(1 << 62)) < self.monitor_every_s * 1e9:
            return
        if len(self._told_ns) >= _MOST_POOLS:
            self._told_ns.clear()
        self._told_ns[places.name] = now_ns
        try:
            self.monitor(places.stats())
        except Exception:
            logger.exception("Pool.monitor raised; calls go on.")

    @property
    def views(self) -> Mapping[str, PoolView]:
        """The pools that there are now, by name; those of a tenant, target ... are called `name/whose`."""
        return {places.name: PoolView(places) for places in tuple(self._places.values())}

    def readings(self) -> Iterable[Reading]:
        """For the gauges."""
        for places in tuple(self._places.values()):
            stats = places.stats()
            yield Reading(IN_USE, (stats.name,), stats.in_use)
            yield Reading(WAITING, (stats.name,), stats.waiting)
            yield Reading(SIZE, (stats.name,), stats.size)

    async def state(self) -> Mapping[str, Any]:
        """Each pool in numbers; degraded when the queue of one is half full."""
        stats = [places.stats() for places in tuple(self._places.values())]
        crowded = any(each.pressure >= _CROWDED for each in stats)
        shown = {each.name: {**each._asdict(), "pressure": round(each.pressure, 3)} for each in stats[:_MOST_SHOWN]}
        return {"condition": "degraded" if crowded else "ok", "pools": shown}


_CROWDED = 0.75
_MOST_SHOWN = 100


@dataclass(frozen=True, slots=True)
class PoolView:
    """One pool, to be looked at and changed: what `client.pools` has."""

    _places: Places = field(repr=False)

    @property
    def name(self) -> str:
        """What it is called."""
        return self._places.name

    def stats(self) -> PoolStats:
        """Now."""
        return self._places.stats()

    def report(self) -> PoolReport:
        """How it has done."""
        return self._places.report()

    def resize(self, size: int) -> None:
        """Another number of places from now on; who has one keeps it. Raises `ConfigError` for a number below 1."""
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise ConfigError(f"resize: expected a whole number from 1, found {size!r}.")
        self._places.resize(size)

    async def adrain(self, timeout_s: float = 30.0) -> bool:
        """Let no call in any more, and wait for those inside; whether all of them ended in time. `reopen` lets calls in again."""
        self._places.draining = True
        until_s = asyncio.get_running_loop().time() + timeout_s
        while (busy := self._places.stats().in_use > 0) and asyncio.get_running_loop().time() < until_s:  # noqa: ASYNC110 - other loops and threads give places back
            await asyncio.sleep(_LOOK_EVERY_S)
        return not busy

    def drain(self, timeout_s: float = 30.0) -> bool:
        """`adrain`, for sync code."""
        from ...pipeline.portal import run_sync

        return run_sync(self.adrain, timeout_s)

    def reopen(self) -> None:
        """Let calls in again."""
        self._places.draining = False


_LOOK_EVERY_S = 0.01
