"""What every method of the client does: arguments into a request, the request through the pipeline."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, cast

from .call import CallOptions
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
        target, defaults = self.registry.resolve(model)
        further, options = split_params({**defaults, **params}, options)
        given = {name: value for name, value in fields.items() if value is not None}
        return Params(kind(**{"model": target, **further, **given}), options)

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
