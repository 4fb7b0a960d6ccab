"""llama.cpp's Responses API, which nobody here has written, behind a whole pipeline."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import openai
import pytest

from glassway.middlewares import Retry, Timeout
from glassway.pipeline.call import CallOptions
from glassway.pipeline.errors import AuthenticationError, ContextWindowExceededError
from glassway.pipeline.facts import TRANSLATION
from glassway.pipeline.pipeline import Pipeline
from glassway.pipeline.stream import Stream
from glassway.pipeline.types import ChatRequest, ChatResponse
from glassway.providers import provider

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.usefixtures("each_transport")]

HELLO = [{"role": "user", "content": "Say hello."}]
PARAMETERS = {
    "type": "object",
    "properties": {"up": {"type": "boolean"}},
    "required": ["up"],
    "additionalProperties": False,
}
TOOL = {"type": "function", "function": {"name": "flip", "parameters": PARAMETERS}}


@pytest.fixture
async def stack(llamacpp_url: str) -> AsyncIterator[Pipeline]:
    server = provider("llamacpp", base_url=f"{llamacpp_url}/v1", api_key="sk-local", api="responses")
    async with Pipeline([Retry(attempts=2), Timeout(30)], providers=[server]) as pipeline:
        yield pipeline


async def whole(stack: Pipeline, **fields: Any) -> ChatResponse:
    """The response; of a stream the assembled one."""
    asked = {"model": "llamacpp/tiny-random", "messages": HELLO, "max_tokens": 60, "temperature": 0, **fields}
    reply = await stack.send(ChatRequest.model_validate(asked))
    response = await reply.response() if isinstance(reply, Stream) else reply
    assert isinstance(response, ChatResponse)
    return response


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer(stack: Pipeline, llamacpp_url: str, stream: bool) -> None:
    ours = await whole(stack, stream=stream)
    async with openai.AsyncOpenAI(base_url=f"{llamacpp_url}/v1", api_key="sk-local", max_retries=0) as client:
        theirs = await client.responses.create(
            model="tiny-random", input="Say hello.", max_output_tokens=60, temperature=0
        )
    assert (ours.text, ours.model, ours.finish_reason) == (theirs.output_text, "tiny-random", "stop")
    assert ours.id.startswith("resp_")
    assert ours.usage is not None
    assert theirs.usage is not None
    assert ours.usage.completion_tokens == theirs.usage.output_tokens
    assert ours.usage.anomalies() == ()
    assert ours.record is not None
    assert [(fact.parameter, fact.action) for fact in ours.record.facts[TRANSLATION.name]] == [
        ("max_tokens", "renamed")
    ]


async def calling(stack: Pipeline, stream: bool) -> ChatResponse:
    """A model of random weights, which no seed can be given here, calls a tool and comes to an end nearly every time.

    What it says comes back in the next prompt, and its context is short.
    """
    for _ in range(20):
        response = await whole(
            stack, stream=stream, tools=[TOOL], tool_choice="required", max_tokens=200, temperature=1
        )
        assert response.usage is not None
        if response.tool_calls and response.usage.completion_tokens < 200:
            break
    return response


@pytest.mark.parametrize("stream", [False, True])
async def test_tool_calls_and_their_results_go_back(stack: Pipeline, stream: bool) -> None:
    asked = await calling(stack, stream)
    assert asked.finish_reason == "tool_calls"
    assert all(
        isinstance(json.loads(call.function.arguments)["up"], bool) for call in asked.tool_calls if call.function
    )
    results = [{"role": "tool", "tool_call_id": call.id, "content": "done"} for call in asked.tool_calls]
    response = await whole(stack, messages=[*HELLO, asked.message.to_dict(), *results], tools=[TOOL])
    assert response.usage is not None
    assert asked.usage is not None
    assert response.usage.prompt_tokens > asked.usage.prompt_tokens


async def test_a_single_call_may_ask_for_it(llamacpp_url: str) -> None:
    server = provider("llamacpp", base_url=f"{llamacpp_url}/v1", api_key="sk-local")
    async with Pipeline([], providers=[server]) as pipeline:
        request = ChatRequest.model_validate({"model": "tiny-random", "messages": HELLO, "max_tokens": 5})
        chat = await pipeline.send(request)
        response = await pipeline.send(request, options=CallOptions(settings={"api": "responses"}))
    assert isinstance(chat, ChatResponse)
    assert isinstance(response, ChatResponse)
    assert (chat.id[:5], response.id[:5]) == ("chatc", "resp_")


@pytest.mark.parametrize("stream", [False, True])
async def test_a_prompt_that_is_too_long(stack: Pipeline, stream: bool) -> None:
    with pytest.raises(ContextWindowExceededError):
        await whole(stack, stream=stream, messages=[{"role": "user", "content": "hello world " * 3000}])


async def test_a_wrong_key(llamacpp_url: str) -> None:
    server = provider("llamacpp", base_url=f"{llamacpp_url}/v1", api_key="sk-wrong-key", api="responses")
    async with Pipeline([], providers=[server]) as pipeline:
        with pytest.raises(AuthenticationError):
            await whole(pipeline)
