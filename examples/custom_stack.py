"""A stack of your own: a list of stages in front of vendors, and everything that a call left behind."""

from __future__ import annotations

from glassway import Client, Pipeline
from glassway.middlewares import Cache, Callbacks, Cost, Fallback, Guardrails, Retry, Tracing
from glassway.providers import Simulated

told: list[str] = []
stack = Pipeline(
    [Tracing(), Callbacks(on_success=[lambda event: told.append(event.record.end)]), Cost(), Guardrails(["secrets"]),
     Cache(ttl_s=3600), Fallback(["simulated/gpt-sim-mini"]), Retry(attempts=3)],
    providers=[Simulated()],  # or OpenAI(), Anthropic(): keys come from the environment
)  # fmt: skip

with Client(stack) as client:
    for turn in ("first", "again"):
        reply = client.chat("simulated/gpt-sim", "What is the capital of Italy?")
        cache = reply.record.facts["cache"].verdict
        print(f"{turn}: {reply.text} ${reply.cost:f} in {reply.latency_s * 1000:.1f} ms, cache: {cache}")
    print(" > ".join(f"{stage.name} {stage.self_s * 1e6:.0f} us" for stage in reply.record.stages))
    print(client.explain())
print(f"callbacks were told: {', '.join(told)}")
