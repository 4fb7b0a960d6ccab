"""A tool: the model asks for it, we run it, the result goes back, the model answers."""

from __future__ import annotations

import json

from glassway import Client, Pipeline
from glassway.middlewares import Cost
from glassway.providers import Simulated

TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city, now.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


def get_weather(city: str) -> dict[str, object]:
    """Ask the sky."""
    return {"city": city, "sky": "clear", "celsius": 21}


with Client(Pipeline([Cost()], providers=[Simulated()])) as client:
    messages: list = [{"role": "user", "content": "What is the weather in Oslo?"}]
    reply = client.completion("simulated/gpt-sim", messages, tools=[TOOL])
    messages.append(reply.message)
    for call in reply.tool_calls:
        print(f"the model asks for {call.function.name}({call.function.arguments})")
        result = get_weather(**json.loads(call.function.arguments))
        messages.append({"role": "tool", "tool_call_id": call.id, "content": json.dumps(result)})

    answer = client.completion("simulated/gpt-sim", messages, tools=[TOOL])
    print(f"the model answers: {answer.text}")
    print(f"two calls, ${reply.cost + answer.cost} together")
