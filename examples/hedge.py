"""One answer in five is slow: a second request overtakes it, and what that cost is in the bill."""

from __future__ import annotations

from glassway import Client, Pipeline
from glassway.middlewares import Cost, Hedge
from glassway.pipeline.facts import HEDGES
from glassway.providers import Simulated
from glassway.providers.simulated import Fault, SimulatedVendor, Timing

sometimes_slow = SimulatedVendor(timing=Timing(0.05, 0.001), faults=[Fault("slow_first_chunk", for_s=20, every=5)])
stack = Pipeline([Cost(), Hedge(after_s=0.5)], providers=[Simulated(vendor=sometimes_slow)])

with Client(stack) as client:
    for number in range(1, 7):
        reply = client.chat("simulated/gpt-sim", f"What is {number} times 7?")
        for hedged in reply.record.get(HEDGES):
            cost = reply.record.cost
            print(f"call {number} was slow: {hedged.result} after {hedged.after_s} s, {reply.latency_s:.1f} s in all")
            print(f"  ${cost.amount_usd.normalize():f}, of which ${cost.wasted_usd.normalize():f} bought nothing")
            for attempt in reply.record.attempts:
                print(f"  #{attempt.number} {attempt.reason}: {attempt.error or 'ok'}")
