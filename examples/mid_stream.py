"""A stream that is cut in the middle of a sentence: another model goes on, and the reader sees one answer."""

from __future__ import annotations

from glassway import Client, Pipeline
from glassway.middlewares import Cost, Fallback
from glassway.pipeline.facts import SPLICES
from glassway.providers import Simulated
from glassway.providers.simulated import Fault, SimulatedVendor

ORDER = "say exactly: A river begins as rain, gathers in the hills, and ends in the sea."
"""What the simulated model understands. It repeats the sentence from its beginning; what was said before the cut is left out."""

unreliable = SimulatedVendor(faults=[Fault("cut", after_chunks=6)])
stack = Pipeline(
    [Cost(), Fallback(["backup/claude-sim"], mid_stream="continue", instruction=ORDER)],
    providers=[Simulated(name="main", vendor=unreliable), Simulated(name="backup", dialect="anthropic")],
)

with Client(stack) as client:
    stream = client.chat("main/gpt-sim", ORDER, stream=True)
    for chunk in stream:
        print(chunk.text, end="", flush=True)
    response = stream.response()

    [splice] = response.record.get(SPLICES)
    print(
        f"\n\n{splice.source} broke ({splice.error}) after {splice.chunks} chunks, {splice.characters} characters; "
        f"{splice.target} went on"
    )
    for attempt in response.record.attempts:
        print(f"#{attempt.number} {attempt.reason}: {attempt.provider}/{attempt.model} useful={attempt.useful}")
    print(f"one answer: finish reason {response.finish_reason}, {response.usage.completion_tokens} tokens")
    print(f"both are billed: ${response.record.cost.amount_usd.normalize():f} ({response.record.cost.status})")
