"""Five people ask the same at the same time: one request, one bill, five answers."""

from __future__ import annotations

import asyncio

from glassway import Client, Pipeline
from glassway.middlewares import Cost, Deduplicate
from glassway.providers import Simulated

MODEL, QUESTION = "simulated/gpt-sim", "What is the capital of Italy?"


async def main() -> None:
    """At once, then within the window."""
    async with Client(Pipeline([Cost(), Deduplicate(window_s=5)], Simulated())) as client:
        calls = [client.achat(MODEL, QUESTION, tenant="acme") for _ in range(5)]
        replies = [*await asyncio.gather(*calls)]
        for reply in sorted(replies, key=lambda reply: -reply.cost):
            print(f"{reply.record.facts['deduplication'].role}: ${reply.cost:f} for {reply.text!r}")
        print(
            f"{'one request was' if sum(len(r.record.attempts) for r in replies) == 1 else 'many were'} sent, for 5 calls"
        )
        other = await client.achat(MODEL, QUESTION, tenant="umbrella")
        print(f"another tenant asks for itself: {other.record.facts['deduplication'].role}")
        later = await client.achat(MODEL, QUESTION, tenant="acme")
        print(f"within the window: {later.record.facts['deduplication'].role}")


asyncio.run(main())
