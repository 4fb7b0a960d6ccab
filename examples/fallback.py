"""A vendor that is down: retried, then left for another, and one record that tells the story."""

from __future__ import annotations

from glassway import Client, Pipeline
from glassway.middlewares import Cost, Fallback, Retry
from glassway.pipeline.facts import FALLBACKS, RETRIES
from glassway.providers import Simulated
from glassway.providers.simulated import Fault, SimulatedVendor

down = SimulatedVendor(faults=[Fault("overloaded")])
stack = Pipeline(
    [Cost(), Fallback(["backup/claude-sim"]), Retry(attempts=2, initial_s=0.05)],
    providers=[Simulated(name="main", vendor=down), Simulated(name="backup", dialect="anthropic")],
)

with Client(stack) as client:
    reply = client.chat("main/gpt-sim", "What is the capital of Japan?")
    print(reply.text, f"(from {reply.provider})\n")
    for attempt in reply.record.attempts:
        print(
            f"#{attempt.number} {attempt.reason}: {attempt.provider}/{attempt.model} {attempt.status_code} {attempt.error or 'ok'}"
        )
    for retried in reply.record.get(RETRIES):
        print(f"waited {retried.wait_s * 1000:.0f} ms after {retried.error}, told by {retried.told_by}")
    for moved in reply.record.get(FALLBACKS):
        print(f"moved from {moved.source} to {moved.target} after {moved.error}")
