"""A provider may have a name of the user's own: its prices are its vendor's."""

from __future__ import annotations

from decimal import Decimal

import pytest

from glassway.middlewares import Cache, Cost
from glassway.pipeline.facts import COST_RANGE
from glassway.pipeline.pipeline import Pipeline
from glassway.pipeline.types import ChatRequest, ChatResponse, Message
from glassway.providers import Simulated
from glassway.providers.simulated import SimulatedVendor, Timing

pytestmark = pytest.mark.anyio

REQUEST = ChatRequest(model="mine/gpt-sim", messages=(Message(role="user", content="Hi"),), max_tokens=9)


def _pipeline(cost: Cost) -> Pipeline:
    vendor = SimulatedVendor(timing=Timing(scale=0))
    return Pipeline([cost, Cache()], providers=[Simulated(name="mine", vendor=vendor)], telemetry=False)


async def test_a_hit_saves_what_the_vendor_would_have_charged():
    async with _pipeline(Cost()) as pipeline:
        first, again = await pipeline.send(REQUEST), await pipeline.send(REQUEST)
    assert isinstance(first, ChatResponse)
    assert isinstance(again, ChatResponse)
    assert again.record is not None
    assert again.record.cost is not None
    assert again.record.cost.saved_usd == first.cost > 0


async def test_a_dry_run_knows_the_price():
    async with _pipeline(Cost()) as pipeline:
        dry_run = await pipeline.aexplain(REQUEST)
    assert dry_run.facts[COST_RANGE.name].maximum_usd > Decimal(0)


async def test_a_priced_model_is_not_refused():
    async with _pipeline(Cost(on_unpriced="refuse")) as pipeline:
        assert isinstance(await pipeline.send(REQUEST), ChatResponse)
