"""Vectors of texts: by a function of the user's own, or by a provider of the same pipeline."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ...pipeline.beside import begin_beside, end_beside
from ...pipeline.billing import cost_of_call
from ...pipeline.call import Call
from ...pipeline.facts import COST, SIDE_COSTS, SideCost
from ...pipeline.outcome import Outcome, completed, outcome_of
from ...pipeline.pricing import PriceTable
from ...pipeline.stream import Handler
from ...pipeline.types import EmbeddingsRequest, EmbeddingsResponse
from .index import as_vector

if TYPE_CHECKING:
    from .index import Vector

Vectors = Sequence[Sequence[float]] | Any
"""Rows of numbers, one for each text; a numpy array is one."""

EmbedFunction = Callable[[list[str]], Vectors | Awaitable[Vectors]]
"""`texts -> vectors`, plain (it runs in a thread) or async."""

LINE = "semantic_cache_embedding"
"""What the embedding's lines on the call's bill are called."""


class Embedder:
    """Makes vectors. `sends`: whether that asks a vendor."""

    def __init__(self, embed: EmbedFunction | str, prices: PriceTable, timeout_s: float) -> None:
        self._embed = embed
        self._prices = prices
        self._timeout_s = timeout_s
        self.sends = isinstance(embed, str)

    @property
    def name(self) -> str:
        """What made the vectors: vectors of two models are not compared."""
        if isinstance(self._embed, str):
            return self._embed
        return getattr(self._embed, "__qualname__", type(self._embed).__qualname__)

    async def vectors(self, call: Call, call_next: Handler, texts: list[str], *, billed: bool) -> list[Vector]:
        """One vector for each text, of length 1, within the call's deadline. Raises what goes wrong.

        `billed`: whether what it costs is on the call's bill.
        """
        limit_s = min(self._timeout_s, call.remaining_s() or self._timeout_s)
        async with call.clock.limit(limit_s):
            rows = await self._rows(call, call_next, texts, limit_s, billed=billed)
        found = [as_vector(row) for row in rows]
        if len(found) != len(texts):
            raise ValueError(f"expected {len(texts)} vectors, found {len(found)}")
        return found

    async def _rows(self, call: Call, call_next: Handler, texts: list[str], limit_s: float, *, billed: bool) -> Vectors:
        if isinstance(self._embed, str):
            return await self._asked(self._embed, call, call_next, texts, limit_s, billed=billed)
        if inspect.iscoroutinefunction(self._embed) or inspect.iscoroutinefunction(
            getattr(self._embed, "__call__", None)  # noqa: B004 - the method itself is asked for
        ):
            found: Any = self._embed(texts)
            return await found
        made = await asyncio.to_thread(self._embed, texts)
        return await made if inspect.isawaitable(made) else made

    async def _asked(
        self, model: str, call: Call, call_next: Handler, texts: list[str], limit_s: float, *, billed: bool
    ) -> Vectors:
        """By a call beside: its attempt is none of the call's, and its cost is a line on the call's bill."""
        options = replace(call.options, route=None)
        if call.resolve(model).provider != call.target.provider:
            options = replace(options, api_key=None, base_url=None, headers={}, settings={})
        request = EmbeddingsRequest(model=model, input=tuple(texts))
        beside = begin_beside(call, "SemanticCache", request, options, timeout_s=limit_s, attempts=2)
        try:
            reply = await call_next(beside)
        except BaseException as error:
            self._end(call, beside, Outcome(outcome_of(error), error=error), billed=billed)
            raise
        if not isinstance(reply, EmbeddingsResponse):
            raise TypeError(f"expected embeddings, found {type(reply).__name__}")
        self._end(call, beside, completed(reply), billed=billed)
        return reply.vectors

    def _end(self, call: Call, beside: Call, outcome: Outcome, *, billed: bool) -> None:
        cost = cost_of_call(beside, outcome, self._prices)
        beside.set(COST, cost)
        end_beside(beside, outcome)
        if billed and not call.state.finished:
            call.add(SIDE_COSTS, SideCost(LINE, cost))
