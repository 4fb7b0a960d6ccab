"""Embeddings: many texts at once, asked again from the cache, and a small search over them."""

from __future__ import annotations

from glassway import Client, Pipeline
from glassway.middlewares import Cache, Cost
from glassway.providers import Simulated

MODEL = "simulated/embed-sim"
NOTES = ["the cat sleeps on the sofa", "taxes are due in april", "the dog sleeps in the garden"]


def likeness(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    """The cosine of two vectors of length 1."""
    return sum(a * b for a, b in zip(one, other, strict=True))


with Client(Pipeline([Cost(), Cache()], providers=[Simulated()])) as client:
    notes = client.embedding(MODEL, NOTES)
    print(
        f"{len(notes.vectors)} vectors of {len(notes.vector)} numbers, {notes.usage.prompt_tokens} tokens, ${notes.cost:f}"
    )

    again = client.embedding(MODEL, NOTES)
    print(f"asked again: cache {again.record.facts['cache'].verdict}, ${again.cost}")

    question = client.embedding(MODEL, "where does the cat sleep?").vector
    best = max(zip(NOTES, notes.vectors, strict=True), key=lambda note: likeness(question, note[1]))
    print(f"nearest: {best[0]}")

    many = client.embedding(MODEL, [f"note {number}" for number in range(5000)], dimensions=8)
    print(f"{len(many.data)} texts went out in {many.record.facts['divided'].parts} requests")
