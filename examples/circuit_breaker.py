"""A vendor that goes down: it is asked three times, then left alone, and found again when it is back."""

from __future__ import annotations

import logging
import sys
import time

from glassway import Client, Pipeline
from glassway.middlewares import CircuitBreaker, Fallback
from glassway.providers import Simulated
from glassway.providers.simulated import Fault, SimulatedVendor, Timing

logging.basicConfig(stream=sys.stdout, format="log: %(message)s")
main = Simulated(vendor=SimulatedVendor(timing=Timing(scale=0), faults=[Fault("overloaded", times=3)]), name="main")
backup = Simulated(vendor=SimulatedVendor(timing=Timing(scale=0)), name="backup")
breaker = CircuitBreaker(
    failures=3,
    open_s=0.5,
    on_change=lambda change: print(f"{change.target} is {change.state} after {change.failures} failures"),
)

with Client(Pipeline([Fallback(["backup/claude-sim"]), breaker], providers=[main, backup])) as client:
    for number in range(1, 6):
        reply = client.chat("main/gpt-sim", "What is the capital of Italy?")
        failed = [f"{each.provider}/{each.model} {each.error}" for each in reply.record.attempts if each.error]
        answered = reply.record.attempts[-1]
        print(f"{number}: {answered.provider}/{answered.model} after {', '.join(failed) or 'nothing'}")
    health = client.health()
    print(f"health: {health.condition}, {health.stages['CircuitBreaker']['circuits']}")
    time.sleep(0.6)
    reply = client.chat("main/gpt-sim", "What is the capital of Italy?")
    print(f"back: {reply.record.attempts[-1].provider}/{reply.record.attempts[-1].model}")
