"""Functions as tools: the model asks for them, they are run, it answers. All of it on the record."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from glassway import Client, Pipeline
from glassway.middlewares import Cost
from glassway.providers import Simulated


def get_weather(city: Annotated[str, Field(description="The city's name.")], days: int = 1) -> dict[str, object]:
    """The weather in a city, from today on."""
    return {"city": city, "days": days, "sky": "clear", "celsius": 21}


async def get_time(city: str) -> str:
    """The time in a city, now."""
    return f"Half past nine in {city}."


with Client(Pipeline([Cost()], providers=[Simulated()])) as client:
    run = client.run_tools("simulated/gpt-sim", "What is the weather in Oslo?", {get_weather, get_time}, max_rounds=4)
    print(f"the model answers: {run.text}")
    for ran in run.executions:
        print(f"round {ran.round}: {ran.name} {ran.outcome}")
    print(f"{len(run.responses)} calls, ${run.cost} together")
