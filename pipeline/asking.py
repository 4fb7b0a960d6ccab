"""What every method of the client does: arguments into a request, the request through the pipeline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeVar, cast

from .call import CallOptions
from .errors import ConfigError
from .params import Params, split_params
from .pipeline import Pipeline
from .portal import run_sync
from .registry import Registry
from .stream import Reply, Stream
from .syncstream import SyncStream
from .types import Request, Response

ResponseT = TypeVar("ResponseT", bound=Response)


class Asking:
    """A pipeline and the names that callers may use as models."""

    pipeline: Pipeline
    registry: Registry

    def _params(
        self,
        kind: type[Request],
        model: str,
        fields: Mapping[str, Any],
        options: CallOptions,
        params: Mapping[str, Any],
    ) -> Params:
        """The request of a method's own `fields` and the caller's `params`, which may hold options too."""
        target, further, options = self._named(model, params, options)
        given = {name: value for name, value in fields.items() if value is not None}
        return Params(kind(**{"model": target, **further, **given}), options)

    def _named(
        self, model: str, params: Mapping[str, Any], options: CallOptions
    ) -> tuple[str, Mapping[str, Any], CallOptions]:
        """What a model's name stands for: (target, fields, options). Raises `ConfigError` for a group where nothing chooses."""
        target, defaults = self.registry.resolve(model)
        fields, options = split_params({**defaults, **params} if defaults else params, options)
        group = self.registry.group(target)
        if group is not None:
            if "Router" not in self.pipeline.stages:
                raise ConfigError(
                    f"{model!r} stands for several targets, and this pipeline has no stage that chooses. Put Router() into it, outside Fallback and Retry."
                )
            options = replace(options, route=group)
        return target, fields, options

    def _reply(self, params: Params) -> Response | SyncStream[Any]:
        """The reply, for sync code."""
        reply = run_sync(self._areply, params)
        return SyncStream(reply) if isinstance(reply, Stream) else reply

    async def _areply(self, params: Params) -> Reply:
        return await self.pipeline.send(params.request, params.options)

    def _whole(self, kind: type[ResponseT], params: Params) -> ResponseT:  # noqa: ARG002 - for the type
        return cast("ResponseT", run_sync(self._areply, params))

    async def _awhole(self, kind: type[ResponseT], params: Params) -> ResponseT:  # noqa: ARG002 - for the type
        return cast("ResponseT", await self._areply(params))
