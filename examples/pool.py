"""So many calls at once: two places, six calls; looked at, made larger, drained."""

from __future__ import annotations

import asyncio

from glassway import ChatResponse, Client, Pipeline
from glassway.middlewares import Pool
from glassway.pipeline.errors import QueueFull
from glassway.providers import Simulated
from glassway.providers.simulated import SimulatedVendor, Timing

MODEL = "simulated/gpt-sim"


async def ask(client: Client, number: int) -> list[ChatResponse]:
    """So many calls, begun together."""
    calls = [asyncio.create_task(client.achat(MODEL, f"Question {each}")) for each in range(number)]
    await asyncio.sleep(0.02)
    print(str(client.pools["all"].report()).split(";")[0])
    return list(await asyncio.gather(*calls))


async def main() -> None:
    """Six calls, twice."""
    vendor = SimulatedVendor(timing=Timing(scale=0.2))
    async with Client(Pipeline([Pool(size=2, queue=10)], Simulated(vendor=vendor))) as client:
        replies = await ask(client, 6)
        print(f"waited: {sum(reply.record.facts['pools'][0].waited_s > 0 for reply in replies)} of 6")
        client.pools["all"].resize(6)
        print("after resize(6):", end=" ")
        replies = await ask(client, 6)
        print(f"{sum(reply.record.facts['pools'][0].waited_s > 0 for reply in replies)} waited")
        print(f"drained: {await client.pools['all'].adrain()}")
        try:
            await client.achat(MODEL, "One more")
        except QueueFull as error:
            print(f"refused: {error}")


asyncio.run(main())
