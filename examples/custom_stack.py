"""A stack of your own: a list of stages in front of a provider, and everything that a call left behind."""

from __future__ import annotations

from glassway import Client, Pipeline
from glassway.middlewares import Cache, Cost, Fallback, Retry, Tracing
from glassway.providers import Simulated

stack = Pipeline(
    [Tracing(), Cost(), Cache(ttl_s=3600), Fallback(["simulated/gpt-sim-mini"]), Retry(attempts=3)],
    providers=[Simulated()],  # OpenAI(), Anthropic() ... take their place where keys are
)

with Client(stack) as client:
    print(client.explain(), "\n")
    for turn in ("first", "again"):
        reply = client.chat("simulated/gpt-sim", "What is the capital of Italy?")
        cache = reply.record.facts["cache"].verdict
        print(f"{turn}: {reply.text} ${reply.cost} in {reply.latency_s * 1000:.1f} ms, cache: {cache}")
    for stage in reply.record.stages:
        print(f"{'  ' * stage.depth}{stage.name}: {stage.self_s * 1e6:.0f} us itself")
