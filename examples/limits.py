"""Limits and budgets: who may send how much, who waits, who is refused, and what the money was."""

from __future__ import annotations

from glassway import Client, Pipeline
from glassway.middlewares import Budget, BudgetOf, Cost, Limit, RateLimit
from glassway.pipeline.errors import BudgetExceeded, RateLimitExceeded
from glassway.providers import Simulated

MODEL = "simulated/gpt-sim"
limits = RateLimit(limits=[Limit(requests=3, per_s=60, per="tenant", name="each tenant")])
money = Budget(
    budgets=[BudgetOf(usd="0.01", period="day", name="house")],
    on_warning=lambda warning: print(f"warning: {warning.used_usd} of {warning.limit_usd} USD of {warning.budget!r}"),
)

with Client(Pipeline([Cost(), limits, money], providers=[Simulated()])) as client:
    for tenant in ("acme", "acme", "acme", "acme", "umbrella"):
        try:
            reply = client.chat(MODEL, "What is the capital of Italy?", tenant=tenant, max_tokens=100)
            verdict, budget = reply.record.facts["limits"][0], reply.record.facts["budgets"][0]
            print(
                f"{tenant}: {verdict.verdict}, {verdict.left} left; reserved ${budget.reserved_usd}, cost ${reply.cost:f}"
            )
        except RateLimitExceeded as error:
            print(f"{tenant}: {error}")
    try:
        client.chat(MODEL, "Write a novel.", tenant="umbrella", max_tokens=5000)
    except BudgetExceeded as error:
        print(f"umbrella: {error}")
    for name, left in client.health().stages["Budget"]["budgets"].items():
        print(f"{name}: {left['left_usd']} of {left['limit_usd']} USD left")

waiting = RateLimit(limits=[Limit(requests=1, per_s=1)], max_wait_s=5)
with Client(Pipeline([waiting], providers=[Simulated()])) as client:
    for _ in range(2):
        reply = client.chat(MODEL, "Hi")
    print(f"the second waited: {reply.record.facts['limits'][0].waited_s > 0.1}")
