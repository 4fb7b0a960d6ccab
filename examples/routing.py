"""Where a call goes: by rules, by a function, by weight, and by who was faster lately; each decision is on the record."""

from __future__ import annotations

from collections import Counter

from glassway import CallOptions, Client, Pipeline
from glassway.middlewares import Cost, Router, RouteRule
from glassway.middlewares.router import Traits
from glassway.pipeline.facts import ROUTE
from glassway.providers import Simulated
from glassway.providers.simulated import SimulatedVendor, Timing


def by_task(call: Traits) -> str | None:
    """Code goes to the large model; of everything else it has no opinion."""
    return "slow/gpt-sim" if call.task == "code" else None


router = Router(
    route=by_task,
    rules=[RouteRule(target="cheap", name="free users", tenant="free-*")],
    groups={
        "smart": {"targets": ["slow/gpt-sim", "quick/gpt-sim"], "strategy": "latency"},
        "cheap": {"targets": ["slow/gpt-sim", "slow/gpt-sim-mini"], "strategy": "cost"},
        "split": {
            "targets": [{"target": "slow/gpt-sim", "weight": 9}, "quick/gpt-sim"],
            "strategy": {"weighted": {"sticky_by": "user"}},
        },
    },
    default="smart",
)
vendors = [
    Simulated(name="slow", vendor=SimulatedVendor(timing=Timing(first_chunk_s=0.05, per_chunk_s=0.001))),
    Simulated(name="quick", vendor=SimulatedVendor(timing=Timing(first_chunk_s=0.002, per_chunk_s=0.001))),
]

with Client(Pipeline([Cost(), router], providers=vendors)) as client:
    for _ in range(6):
        reply = client.chat("smart", "What is the capital of Norway?")
    route = reply.record.get(ROUTE)
    print("latency:", route.target, "of", *(f"\n  {each}" for each in route.considered))

    reply = client.chat("smart", "Hi", tenant="free-17")
    print("rule:", reply.record.get(ROUTE).rules, "->", reply.record.model)

    reply = client.chat("smart", "Hi", options=CallOptions(metadata={"task": "code"}))
    print("function:", reply.record.get(ROUTE).rules, "->", f"{reply.provider}/{reply.record.model}")

    went = Counter(client.chat("split", "Hi", user=f"user-{number}").provider for number in range(100))
    again = Counter(client.chat("split", "Hi", user="user-7").provider for _ in range(5))
    print("weighted:", dict(went), "and one user stays:", len(again) == 1)

    run = client.explain("anything", [{"role": "user", "content": "Hi"}])
    print("explain:", run.target, "by", run.facts["route"].decided_by)
