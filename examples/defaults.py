"""What a request did not say is filled in, what it may not say is forced, what is too much is capped; the record says which."""

from __future__ import annotations

from glassway import Call, Client, Pipeline
from glassway.middlewares import Defaults, DefaultsRule
from glassway.pipeline.facts import DEFAULTS
from glassway.pipeline.stream import Handler, Reply
from glassway.providers import Simulated

defaults = Defaults(
    set={"temperature": 0.2, "max_tokens": 1000},
    force={"user": "team-a"},
    system_prefix="Be brief.",
    rules=[DefaultsRule(name="free tier", tenant="free-*", max={"max_tokens": 400})],
)


async def show(call: Call, call_next: Handler) -> Reply:
    """What goes on to the vendor."""
    asked = call.request.to_dict()
    print("completed: " + " ".join(f"{name}={asked[name]}" for name in ("temperature", "max_tokens", "user")))
    print(f"system: {asked['messages'][0]['content']}")
    return await call_next(call)


with Client(Pipeline([defaults, show], providers=[Simulated()])) as client:
    reply = client.chat("simulated/gpt-sim", "What is the capital of Italy?", tenant="free-7", user="somebody")
    for applied in reply.record.get(DEFAULTS):
        print(f"  {applied.field}: {applied.action} by {applied.rule}")
