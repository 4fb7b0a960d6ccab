"""The client's methods about itself: what it has done, how it does, and other settings while it runs."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import Any

from .delivery import delivery_counts
from .errors import ConfigError
from .health import Answers, HasPools, HasState, Health, whole
from .pipeline import Pipeline, Provider
from .plan import Plan
from .portal import portal, run_sync
from .statistics import Stats
from .stream import Middleware
from .updating import changed_stages


class Administration:
    """Methods of `Client`; see there."""

    pipeline: Pipeline
    _retiring: set[Future[None]]

    def stats(self) -> Stats:
        """Calls, successes, failures, times, tokens and money since the pipeline was made, over updates: in all and by target."""
        return self.pipeline.statistics.snapshot()

    def health(self, *, probe: bool = False) -> Health:
        """How providers and stages do now. `probe`: ask each vendor too, side by side; that costs nothing but its list of models."""
        return run_sync(self._health, probe)

    async def ahealth(self, *, probe: bool = False) -> Health:
        """`health`, on the running event loop."""
        return await self._health(probe)

    @property
    def pools(self) -> Mapping[str, Any]:
        """The pools of places by name, each a `PoolView`: `stats()`, `report()`, `resize(n)`, `drain()`. Empty without a Pool stage."""
        found: dict[str, Any] = {}
        stages: Mapping[str, object] = self.pipeline.stages
        for stage in stages.values():
            if isinstance(stage, HasPools):
                found |= stage.views
        return found

    def update(
        self,
        *,
        stages: Sequence[Middleware] | None = None,
        providers: Sequence[Provider] | None = None,
        timeout_s: float | None = None,
        attempts: int | None = None,
        **settings: Mapping[str, Any] | None,
    ) -> Plan:
        """Other settings from the next call on: `update(retry={"attempts": 5}, cache=None, timeout_s=30)`. Returns the new plan.

        A stage is named as in a configuration; its other settings, its store and its statistics stay; None takes it out.
        `stages` and `providers` replace the whole list instead. Calls under way, streams too, end as they began; what only
        they used is closed after the last of them. Raises `ConfigError` or `PlanError`, and then nothing has changed.
        """
        if stages is not None and settings:
            raise ConfigError("update: expected settings of stages or a whole list of stages, found both.")
        old = self.pipeline
        after = stages if stages is not None else changed_stages(old.stages, settings)
        new = old.succeeded_by(after, providers, timeout_s=timeout_s, attempts=attempts)
        self.pipeline = new
        task: Future[None] = portal().start_task_soon(old.retire)
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)
        return new.explain()

    def drain(self, timeout_s: float = 30.0) -> bool:
        """Refuse new calls and wait for those under way; whether all of them ended in time. Close it afterwards."""
        return run_sync(self.pipeline.drain, timeout_s)

    async def adrain(self, timeout_s: float = 30.0) -> bool:
        """`drain`, on the running event loop."""
        return await self.pipeline.drain(timeout_s)

    async def _health(self, probe: bool) -> Health:
        pipeline = self.pipeline
        providers = {name: pipeline.statistics.condition(name) for name in pipeline.providers}
        stages = await _states(pipeline.stages)
        probes = await _probes(pipeline.providers) if probe else {}
        return Health(
            whole(providers, stages, probes), providers, stages, pipeline.in_flight, delivery_counts(), probes
        )


async def _states(stages: Mapping[str, object]) -> dict[str, Mapping[str, Any]]:
    return {name: await stage.state() for name, stage in stages.items() if isinstance(stage, HasState)}


async def _probes(providers: Mapping[str, Provider]) -> dict[str, Answers]:
    asking = {name: asked for name, provider in providers.items() if (asked := getattr(provider, "available", None))}
    answers = await asyncio.gather(*(ask() for ask in asking.values()))
    return dict(zip(asking, answers, strict=True))
