"""A whole pipeline in front of llama.cpp's own server, which nobody here has written."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import openai
import pytest

from glassway.middlewares import Retry, Timeout
from glassway.pipeline.errors import AuthenticationError, BadRequestError, ContextWindowExceededError, NotFoundError
from glassway.pipeline.pipeline import Pipeline
from glassway.pipeline.stream import Stream
from glassway.pipeline.types import ChatRequest, ChatResponse
from glassway.providers import provider

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.usefixtures("each_transport")]

HELLO = [{"role": "user", "content": "Say hello."}]
TOOL = {
    "type": "function",
    "function": {
        "name": "flip",
        "parameters": {
            "type": "object",
            "properties": {"up": {"type": "boolean"}},
            "required": ["up"],
            "additionalProperties": False,
        },
    },
}


@pytest.fixture
async def stack(llamacpp_url: str) -> AsyncIterator[Pipeline]:
    server = provider("llamacpp", base_url=f"{llamacpp_url}/v1", api_key="sk-local")
    async with Pipeline([Retry(attempts=2), Timeout(30)], providers=[server]) as pipeline:
        yield pipeline


def asking(**fields: Any) -> ChatRequest:
    return ChatRequest.model_validate({"model": "llamacpp/tiny-random", "messages": HELLO, "max_tokens": 60, **fields})


async def whole(stack: Pipeline, **fields: Any) -> ChatResponse:
    """The response; of a stream the assembled one."""
    reply = await stack.send(asking(**fields))
    response = await reply.response() if isinstance(reply, Stream) else reply
    assert isinstance(response, ChatResponse)
    return response


async def test_an_answer(stack: Pipeline) -> None:
    response = await whole(stack)
    assert (response.model, response.finish_reason in ("stop", "length")) == ("tiny-random", True)
    assert response.usage is not None
    assert response.usage.anomalies() == ()
    assert response.usage.completion_tokens > 0
    assert response.record is not None
    assert response.record.attempts[0].status_code == 200


async def test_a_stream_says_what_the_whole_answer_says(stack: Pipeline) -> None:
    settled = {"temperature": 0, "seed": 1}
    unary, streamed = await whole(stack, **settled), await whole(stack, stream=True, **settled)
    assert (streamed.text, streamed.finish_reason) == (unary.text, unary.finish_reason)
    assert streamed.usage is not None
    assert unary.usage is not None
    assert streamed.usage.completion_tokens == unary.usage.completion_tokens


async def test_the_official_client_reads_the_same(stack: Pipeline, llamacpp_url: str) -> None:
    ours = await whole(stack, temperature=0, seed=1)
    async with openai.AsyncOpenAI(base_url=f"{llamacpp_url}/v1", api_key="sk-local", max_retries=0) as client:
        theirs = await client.chat.completions.create(
            model="tiny-random",
            messages=HELLO,  # type: ignore[arg-type]
            max_tokens=60,
            temperature=0,
            seed=1,
        )
    assert (ours.text, ours.finish_reason) == (theirs.choices[0].message.content, theirs.choices[0].finish_reason)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("choice", ["required", "auto"])
async def test_a_tool_call(stack: Pipeline, stream: bool, choice: str) -> None:
    response = await whole(stack, stream=stream, tools=[TOOL], tool_choice=choice, seed=0, max_tokens=300)
    assert response.finish_reason == "tool_calls"
    assert len({call.id for call in response.tool_calls}) == len(response.tool_calls) > 0
    for call in response.tool_calls:
        assert call.function is not None
        assert call.function.name == "flip"
        assert isinstance(json.loads(call.function.arguments)["up"], bool)


async def test_a_tools_result_goes_back(stack: Pipeline) -> None:
    asked = {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "1", "type": "function", "function": {"name": "flip", "arguments": '{"up":true}'}}],
    }
    response = await whole(
        stack, messages=[*HELLO, asked, {"role": "tool", "tool_call_id": "1", "content": "done"}], tools=[TOOL]
    )
    assert response.usage is not None
    assert response.usage.prompt_tokens > 0


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_by_schema(stack: Pipeline, stream: bool) -> None:
    schema = {
        "type": "object",
        "properties": {"sky": {"enum": ["blue", "grey"]}},
        "required": ["sky"],
        "additionalProperties": False,
    }
    wanted = {"type": "json_schema", "json_schema": {"name": "sky", "schema": schema, "strict": True}}
    response = await whole(stack, stream=stream, response_format=wanted, temperature=0, max_tokens=200)
    assert json.loads(response.text)["sky"] in ("blue", "grey")


@pytest.mark.parametrize("stream", [False, True])
async def test_several_choices_and_log_probabilities(stack: Pipeline, stream: bool) -> None:
    response = await whole(stack, stream=stream, n=2, logprobs=True, top_logprobs=2, max_tokens=4)
    assert [choice.index for choice in response.choices] == [0, 1]
    assert response.choices[0].logprobs is not None
    assert response.choices[0].logprobs["content"][0]["top_logprobs"]


async def test_sampling_that_only_compatible_servers_know(stack: Pipeline) -> None:
    one = await whole(stack, temperature=2.0, top_k=1, seed=1)
    other = await whole(stack, temperature=2.0, top_k=1, seed=2)
    assert one.text == other.text


@pytest.mark.parametrize("stream", [False, True])
async def test_a_prompt_that_is_too_long(stack: Pipeline, stream: bool) -> None:
    with pytest.raises(ContextWindowExceededError) as caught:
        await stack.send(asking(stream=stream, messages=[{"role": "user", "content": "hello world " * 3000}]))
    assert (caught.value.status_code, caught.value.retryable, caught.value.attempts) == (400, False, 1)
    assert "hello world" not in str(caught.value)


async def test_a_request_that_is_wrong(stack: Pipeline) -> None:
    with pytest.raises(BadRequestError):
        await stack.send(asking(response_format={"type": "nonsense"}))


async def test_a_place_that_is_none(llamacpp_url: str) -> None:
    server = provider("llamacpp", base_url=f"{llamacpp_url}/nowhere", api_key="sk-local")
    async with Pipeline([], providers=[server]) as pipeline:
        with pytest.raises(NotFoundError):
            await pipeline.send(asking())


async def test_a_wrong_key(llamacpp_url: str) -> None:
    server = provider("llamacpp", base_url=f"{llamacpp_url}/v1", api_key="sk-wrong-key")
    async with Pipeline([], providers=[server]) as pipeline:
        with pytest.raises(AuthenticationError) as caught:
            await pipeline.send(asking())
    assert "sk-wrong-key" not in str(caught.value)


async def test_closing_a_stream_early_frees_the_server(stack: Pipeline) -> None:
    for _ in range(6):  # the server has two slots
        stream = await stack.send(asking(stream=True, max_tokens=900, ignore_eos=True))
        assert isinstance(stream, Stream)
        await anext(stream)
        await stream.aclose()
    assert (await whole(stack, max_tokens=3)).usage is not None


async def test_models_and_availability(llamacpp_url: str) -> None:
    server = provider("llamacpp", base_url=f"{llamacpp_url}/v1", api_key="sk-local")
    try:
        assert await server.list_models() == ("tiny-random",)
        assert (await server.available()).available
    finally:
        await server.aclose()
