"""A client as a system: what it has done, how it does, other settings while it runs, a default for a block, and an orderly end."""

from __future__ import annotations

import glassway as gw
from glassway import Client, Pipeline
from glassway.middlewares import Cache, Cost, Retry, Tracing
from glassway.pipeline.errors import APIError
from glassway.providers import Simulated

client = Client(Pipeline([Tracing(), Cost(), Cache(ttl_s=3600), Retry(attempts=1)], providers=[Simulated()]))

with client, gw.use(client):  # inside the block the module's functions are this client's
    stream = gw.chat("simulated/gpt-sim", "Count to three.", stream=True)
    next(stream)

    plan = client.update(retry={"attempts": 3, "initial_s": 0.01}, cache=None)  # from the next call on
    print("now:", " > ".join(stage.name for stage in plan.stages))
    print("the stream goes on as it began:", " > ".join(stage.name for stage in stream.response().record.stages))

    gw.chat("simulated/gpt-sim", "What is the capital of Norway?")
    try:
        gw.chat("simulated/gpt-sim@fail=server_error", "Hi")
    except APIError as error:
        print(f"failed after {error.attempts} attempts: {error.kind}")

    print(client.stats())
    health = client.health(probe=True)
    print(
        f"health: {health.condition}; simulated: {health.probes['simulated'].reason}, {health.providers['simulated']}"
    )
    print("drained:", client.drain(timeout_s=5))
