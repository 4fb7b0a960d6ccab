"""Proving a stack: faults by rule, and what the stack made of each. Nothing leaves this machine."""

from __future__ import annotations

import logging
import sys

from glassway import Client, Pipeline
from glassway.middlewares import Cost, Fallback, FaultRule, Faults, Retry
from glassway.pipeline.errors import StreamInterruptedError
from glassway.pipeline.facts import FAULTS
from glassway.providers import Simulated

logging.basicConfig(stream=sys.stdout, format="log: %(message)s")

faults = Faults(
    [
        FaultRule("rate_limit", target="main/*", first=2, retry_after_s=0.02),
        "overloaded;target=main/*;tag=outage",
        FaultRule("cut", tag="streams", after_chunks=3),
    ]
)
stack = Pipeline(
    [Cost(), Fallback(["backup/claude-sim"]), Retry(attempts=3, initial_s=0.01, maximum_s=0.01), faults],
    providers=[Simulated(name="main"), Simulated(name="backup", dialect="anthropic")],
)

with Client(stack) as client:
    for tag in ("calm", "outage"):
        reply = client.chat("main/gpt-sim", "What is the capital of Italy?", tags=(tag,))
        assert reply.record is not None
        story = [f"{attempt.provider} {attempt.error or 'ok'}" for attempt in reply.record.attempts]
        print(f"{tag}: {reply.text} after {', '.join(story)}")
        print(f"  on purpose: {[fault.fault for fault in reply.record.get(FAULTS)]}, cost ${reply.cost}")
    try:
        for _chunk in client.chat("main/gpt-sim", "Tell me a story.", stream=True, tags=("streams",)):
            pass
    except StreamInterruptedError as error:
        print(f"streams: {error.kind}, {len(error.partial.text) if error.partial else 0} characters had arrived")
