"""Pipelines of several vendors that answer from scripts, for tests of where calls go."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from builders import Ends, ask

from glassway import CallOptions, Pipeline
from glassway.middlewares import Router
from glassway.pipeline.call import NO_OPTIONS
from glassway.pipeline.facts import ROUTE, Route
from glassway.pipeline.stream import Stream
from glassway.testing import FakeClock, FakeProvider, Scripted

NAMES = ("a", "b", "c")
THREE = ("a/m", "b/m", "c/m")


@dataclass
class Routed:
    """A pipeline of three vendors, with what it was made of."""

    pipeline: Pipeline
    vendors: Mapping[str, FakeProvider]
    clock: FakeClock
    ends: Ends

    async def send(self, model: str = "smart", options: CallOptions = NO_OPTIONS, **fields: Any) -> Route | None:
        """One call, streams read to their end; its route."""
        reply = await self.pipeline.send(ask(model=model, **fields), options)
        if isinstance(reply, Stream):
            await reply.response()
        return self.route

    async def sends(self, count: int, *args: Any, **fields: Any) -> Counter[str]:
        """How many of so many calls, one after the other, went where."""
        routes = [await self.send(*args, **fields) for _ in range(count)]
        return Counter(route.target for route in routes if route is not None)

    @property
    def route(self) -> Route | None:
        """The last call's."""
        found: Route | None = self.ends.records[-1].get(ROUTE)
        return found

    @property
    def reached(self) -> str:
        """The `vendor/model` that the last call reached."""
        record = self.ends.records[-1]
        return f"{record.provider}/{record.model}"


def routed(
    *stages: Any, answers: Mapping[str, Sequence[Any]] | None = None, telemetry: Any = False, **settings: Any
) -> Routed:
    """`stages` in front of the vendors a, b and c."""
    clock, ends = FakeClock(), Ends()
    vendors = {name: FakeProvider((answers or {}).get(name, (Scripted(),)), name=name) for name in NAMES}
    pipeline = Pipeline([ends, *stages], providers=list(vendors.values()), clock=clock, telemetry=telemetry, **settings)
    return Routed(pipeline, vendors, clock, ends)


def grouped(strategy: Any = "priority", targets: Sequence[Any] = THREE, **settings: Any) -> Routed:
    """One Router with the one group `smart`."""
    return routed(Router(groups={"smart": {"targets": targets, "strategy": strategy}}), **settings)
