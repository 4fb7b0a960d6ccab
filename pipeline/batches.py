"""The client's method for many requests at once."""

from __future__ import annotations

from os import PathLike
from typing import TYPE_CHECKING, Any

from .asking import Asking
from .call import CallOptions
from .stream import Reply
from .types import Request

if TYPE_CHECKING:
    from .batch import Batch
    from .batch.lines import Given


class Batches(Asking):
    """A method of `Client`; see there."""

    def batch(
        self,
        requests: Given,
        *,
        output: str | PathLike[str] | None = None,
        resume: bool = True,
        model: str | None = None,
        **settings: Any,
    ) -> Batch:
        """Many requests: a JSONL file in OpenAI's batch format, or requests. Runs when it is iterated (`for`, `async for`), or by `wait()` or `await`.

        `output`: a file that gets a line for each result, as OpenAI's; the same call again goes on where a killed one ended.
        `model`: for requests that name none. `settings` are those of `BatchSettings`: `concurrency`, `order`, `tries`,
        `longest_pause_s`, `max_failures`, `progress`.

        Every request goes through the pipeline, so that its limits and budgets hold; when one is told to wait, all wait.
        Raises `ConfigError` before the first request is sent if a line is wrong, naming all that are.
        """
        from .batch import Batch, BatchSettings
        from .batch.journal import Journal
        from .batch.lines import read_requests

        how = BatchSettings(**settings)
        read = read_requests(requests, self._params, model)
        return Batch(self._sent, read, Journal(output) if output is not None else None, how, resume=resume)

    async def _sent(self, request: Request, options: CallOptions) -> Reply:
        """By the pipeline of this moment: an update holds for the rest of a batch."""
        return await self.pipeline.send(request, options)
