"""Similar questions have one answer: the embedding is a line on the bill, hits say how similar, and one hit in so many is checked."""

from __future__ import annotations

import asyncio

from glassway import Client, Pipeline
from glassway.middlewares import Cost, SemanticCache
from glassway.pipeline.facts import SEMANTIC
from glassway.providers import Simulated

cache = SemanticCache(embed="simulated/embed-sim", threshold=0.8, check_share=1.0, flush_s=5)
QUESTIONS = (
    "What is the capital of Italy?",
    "What is the capital of Italy now?",
    "How do birds find their way in winter?",
)

client = Client(Pipeline([Cost(), cache], providers=[Simulated()]))
with client:
    for question in QUESTIONS:
        reply = client.chat("simulated/gpt-sim", question)
        verdict = reply.record.get(SEMANTIC)
        similar = f", similarity {verdict.similarity:.2f}" if verdict.similarity is not None else ""
        print(f"{question} -> {verdict.verdict}{similar}")
        if verdict.verdict == "hit":
            cost = reply.record.cost
            print(f"  saved ${cost.saved_usd.normalize():f}; the embedding on the bill: {cost.lines[0].item}")

false_hits = asyncio.run(cache.state())["false_hits"]  # closing has waited for the check
low, high = (f"{false_hits[bound]:.0%}" for bound in ("low", "high"))
print(f"checked {false_hits['checked']} hits: {false_hits['different']} wrong, between {low} and {high}")
