"""Clients that are made of another one: its providers and names, with other stages in front."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from .errors import ConfigError
from .pipeline import Pipeline, Provider
from .registry import Registry
from .stream import Middleware

if TYPE_CHECKING:
    from .client import Client

ORDER = (
    "Tracing", "Callbacks", "Ledger", "Cost", "RateLimit", "Budget", "Guardrails", "Defaults", "Deduplicate", "Cache",
    "SemanticCache", "Shadow", "Router", "Fallback", "Retry", "Hedge", "CircuitBreaker", "Pool", "Batch", "Timeout",
    "Record", "Replay", "Faults",
)  # fmt: skip
"""Where the stages that come with Glassway usually stand, the outermost first."""


def with_stage(stages: Mapping[str, Middleware], stage: Middleware) -> list[Middleware]:
    """The stages with this one in the place of the one of its kind, or else where it usually stands."""
    kind = type(stage).__name__
    if any(type(one).__name__ == kind for one in stages.values()):
        return [stage if type(one).__name__ == kind else one for one in stages.values()]
    place = ORDER.index(kind)
    listed = list(stages.values())
    inner = [
        at for at, one in enumerate(listed) if type(one).__name__ in ORDER and ORDER.index(type(one).__name__) > place
    ]
    listed.insert(inner[0] if inner else len(listed), stage)
    return listed


class Derived:
    """Methods of `Client`; see there."""

    pipeline: Pipeline
    registry: Registry

    def with_fallback(self, targets: Sequence[str], **settings: Any) -> Client:
        """A client of the same providers, names and stages that goes on to `targets` when a call fails: see `Fallback`.

        It shares the providers and the other stages with this one, which opens and closes them: close it last.
        """
        return self._with(_stage("Fallback")(list(targets), **settings))

    def with_retry(self, attempts: int = 3, **settings: Any) -> Client:
        """A client of the same providers, names and stages that tries calls again: see `Retry`. Shares them, as `with_fallback` does."""
        return self._with(_stage("Retry")(attempts=attempts, **settings))

    def _with(self, stage: Middleware) -> Client:
        from .client import Client

        return Client(self.pipeline.derive(with_stage(self.pipeline.stages, stage)), registry=self.registry)


def create_router(
    targets: Sequence[Any] | None = None,
    *,
    strategy: Any = "priority",
    route: Any = None,
    rules: Sequence[Any] = (),
    name: str = "router",
    providers: Sequence[Provider] | None = None,
    fallback: bool = True,
    **settings: Any,
) -> Client:
    """A client whose model `name` is chosen for each call: among `targets` by `strategy`, by `route`, a function of the call, or by `rules`.

        router = gw.create_router(["openai/gpt-4o-mini", "anthropic/claude-haiku-4-5"], strategy="latency")
        router.chat("router", "Hello")

    `providers`: by default every vendor that we know. `fallback`: whether the targets that were not chosen are gone on to when a
    call fails. Further settings are those of `Router`. Raises `ConfigError` for a router that cannot be.
    """
    from .client import Client
    from .presets import minimal

    if not targets and route is None and not rules and "default" not in settings:
        raise ConfigError("create_router: expected targets, a route or rules, found none. Name at least two targets.")
    router = _stage("Router")(rules=rules, **settings)
    stages = [router if type(stage).__name__ == "Router" else stage for stage in minimal()]
    if fallback:
        stages.insert(-1, _stage("Fallback")(targets="route"))
    client = Client(
        Pipeline(
            stages,
            providers=list(providers)
            if providers is not None
            else import_module("..providers", __package__).every_provider(),
        )
    )
    if targets or route is not None:
        client.registry.register(name, targets=targets, strategy=strategy, route=route)
    return client


def _stage(name: str) -> Any:
    return getattr(import_module("..middlewares", __package__), name)
