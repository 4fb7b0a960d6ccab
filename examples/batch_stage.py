"""Embeddings that several callers ask for at about the same time: one request, each with its own vectors."""

from __future__ import annotations

import asyncio

from glassway import Client, Pipeline
from glassway.middlewares import Batch, Cost
from glassway.providers import Simulated

MODEL = "simulated/embed-sim"
TEXTS = (["the cat sleeps", "the dog sleeps"], ["taxes are due"], ["it rains", "it snows"])


async def main() -> None:
    """Three callers."""
    async with Client(Pipeline([Cost(), Batch(wait_s=0.02)], Simulated())) as client:
        replies = await asyncio.gather(*(client.aembedding(MODEL, texts) for texts in TEXTS))
    for reply in replies:
        role = reply.record.facts["batch"].role
        print(f"{role}: {len(reply.vectors)} vectors, {reply.usage.total_tokens} tokens, ${reply.cost:f}")
    sent = [attempt for reply in replies for attempt in reply.record.attempts]
    print(f"{'one request' if len(sent) == 1 else 'several'} for {sum(map(len, TEXTS))} texts")
    print(
        f"tokens in all: {sent[0].usage.total_tokens}, the shares: {sum(reply.usage.total_tokens for reply in replies)}"
    )


asyncio.run(main())
