"""OpenAI's own SDK reads what the simulated vendor writes on the OpenAI wire."""

import json

import openai
import pytest
from pydantic import BaseModel

CAPITAL = [{"role": "user", "content": "What is the capital of France?"}]
LONG = [{"role": "user", "content": "Tell me something."}]


def tool(name, **properties):
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    return {"type": "function", "function": {"name": name, "parameters": schema}}


WEATHER = tool("get_weather", city={"type": "string"}, unit={"enum": ["celsius", "fahrenheit"]})
STOCKS = tool("stock_price", symbol={"type": "string"})


def chat(client, messages=CAPITAL, **settings):
    return client.chat.completions.create(model="gpt-sim", messages=messages, **settings)


def test_a_complete_answer_has_text_usage_and_a_request_id(gpt):
    reply = chat(gpt)
    assert reply.choices[0].message.content == "The capital of France is Paris."
    assert reply.choices[0].finish_reason == "stop"
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens
    assert reply.usage.completion_tokens == 8  # 31 characters, four per token
    assert reply.created == 1_750_000_000
    assert reply._request_id.startswith("req_")


def test_a_stream_says_what_the_complete_answer_says_under_the_same_id(gpt):
    reply = chat(gpt, LONG)
    chunks = list(chat(gpt, LONG, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == reply.choices[0].message.content
    assert {chunk.id for chunk in chunks} == {reply.id}
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [chunk.choices[0].finish_reason for chunk in chunks][-1] == "stop"
    assert all(chunk.usage is None for chunk in chunks)


def test_usage_ends_a_stream_only_when_it_was_asked_for(gpt):
    *chunks, last = chat(gpt, LONG, stream=True, stream_options={"include_usage": True})
    assert last.choices == []
    assert last.usage == chat(gpt, LONG).usage
    assert all(chunk.usage is None and "usage" in chunk.model_fields_set for chunk in chunks)


def test_stream_options_without_a_stream_are_refused(gpt):
    with pytest.raises(openai.BadRequestError, match="stream_options"):
        chat(gpt, stream_options={"include_usage": True})


@pytest.mark.parametrize("limit", ["max_tokens", "max_completion_tokens"])
def test_a_token_limit_cuts_the_answer(gpt, limit):
    reply = chat(gpt, **{limit: 3})
    assert (reply.choices[0].message.content, reply.choices[0].finish_reason) == ("The capital ", "length")
    assert reply.usage.completion_tokens == 3


def test_a_stop_sequence_ends_the_answer_before_it(gpt):
    reply = chat(gpt, stop=["France", "is"])
    assert (reply.choices[0].message.content, reply.choices[0].finish_reason) == ("The capital of ", "stop")


def test_n_choices_differ_and_are_interleaved_in_a_stream(gpt):
    reply = chat(gpt, LONG, n=2)
    texts = ["", ""]
    order = []
    for chunk in chat(gpt, LONG, n=2, stream=True):
        texts[chunk.choices[0].index] += chunk.choices[0].delta.content or ""
        order.append(chunk.choices[0].index)
    assert texts == [choice.message.content for choice in reply.choices]
    assert texts[0] != texts[1]
    assert order[:4] == [0, 1, 0, 1]


def test_a_mentioned_tool_is_called_with_arguments_that_fit_its_schema(gpt):
    messages = [{"role": "user", "content": "How is the weather in Lisbon?"}]
    choice = chat(gpt, messages, tools=[STOCKS, WEATHER]).choices[0]
    (call,) = choice.message.tool_calls
    arguments = json.loads(call.function.arguments)
    assert (choice.finish_reason, choice.message.content, call.function.name) == ("tool_calls", None, "get_weather")
    assert arguments["city"] == "Lisbon"
    assert arguments["unit"] in ("celsius", "fahrenheit")


def test_two_mentioned_tools_are_called_in_parallel_unless_forbidden(gpt):
    messages = [{"role": "user", "content": "The weather in Rome and the stock of ACME, please"}]
    both = chat(gpt, messages, tools=[WEATHER, STOCKS]).choices[0].message.tool_calls
    one = chat(gpt, messages, tools=[WEATHER, STOCKS], parallel_tool_calls=False).choices[0].message.tool_calls
    assert [call.function.name for call in both] == ["get_weather", "stock_price"]
    assert [call.function.name for call in one] == ["get_weather"]
    assert both[0].id != both[1].id


def test_streamed_tool_calls_assemble_to_the_complete_ones(gpt):
    messages = [{"role": "user", "content": "The weather in Rome and the stock of ACME, please"}]
    reply = chat(gpt, messages, tools=[WEATHER, STOCKS])
    with gpt.chat.completions.stream(model="gpt-sim", messages=messages, tools=[WEATHER, STOCKS]) as stream:
        streamed = stream.get_final_completion()
    wanted = [(call.id, call.function.name, call.function.arguments) for call in reply.choices[0].message.tool_calls]
    found = [(call.id, call.function.name, call.function.arguments) for call in streamed.choices[0].message.tool_calls]
    assert found == wanted


@pytest.mark.parametrize(
    ("choice", "called"),
    [
        ("none", []),
        ("auto", []),
        ("required", ["get_weather"]),
        ({"type": "function", "function": {"name": "stock_price"}}, ["stock_price"]),
    ],
)
def test_tool_choice_decides_where_no_tool_is_mentioned(gpt, choice, called):
    message = chat(gpt, tools=[WEATHER, STOCKS], tool_choice=choice).choices[0].message
    assert [call.function.name for call in message.tool_calls or []] == called


def test_a_forced_tool_that_was_not_offered_is_refused(gpt):
    with pytest.raises(openai.BadRequestError, match="not found in 'tools'"):
        chat(gpt, tools=[WEATHER], tool_choice={"type": "function", "function": {"name": "other"}})


def test_after_a_tool_result_the_answer_quotes_it(gpt):
    messages = [{"role": "user", "content": "How is the weather in Lisbon?"}]
    asked = chat(gpt, messages, tools=[WEATHER]).choices[0].message
    result = {"role": "tool", "tool_call_id": asked.tool_calls[0].id, "content": "21 degrees"}
    reply = chat(gpt, [*messages, asked.model_dump(exclude_none=True), result], tools=[WEATHER])
    assert reply.choices[0].message.content == "The tool returned: 21 degrees"


@pytest.mark.parametrize("answered", [[], [{"role": "tool", "tool_call_id": "other", "content": "x"}]])
def test_tool_calls_and_results_must_pair_up(gpt, answered):
    call = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}
    asked = {"role": "assistant", "content": None, "tool_calls": [call]}
    with pytest.raises(openai.BadRequestError, match="tool_calls"):
        chat(gpt, [*CAPITAL, asked, *answered, {"role": "user", "content": "well?"}])


class Step(BaseModel):
    explanation: str
    output: int


class Lesson(BaseModel):
    steps: list[Step]
    final_answer: str
    hint: str | None


def test_structured_output_parses_into_the_callers_model(gpt):
    reply = gpt.chat.completions.parse(model="gpt-sim", messages=CAPITAL, response_format=Lesson)
    assert isinstance(reply.choices[0].message.parsed, Lesson)
    assert reply.choices[0].message.parsed.steps


def test_json_mode_answers_with_an_object(gpt):
    reply = chat(gpt, response_format={"type": "json_object"})
    assert json.loads(reply.choices[0].message.content) == {"answer": "The capital of France is Paris."}


def test_reasoning_comes_beside_the_answer_and_is_counted(gpt):
    reply = chat(gpt, reasoning_effort="high")
    message, details = reply.choices[0].message, reply.usage.completion_tokens_details
    assert message.content == "The capital of France is Paris."
    assert details.reasoning_tokens == -(-len(message.reasoning_content) // 4)
    assert reply.usage.completion_tokens == details.reasoning_tokens + 8
    deltas = [chunk.choices[0].delta for chunk in chat(gpt, reasoning_effort="high", stream=True)]
    assert "".join(getattr(delta, "reasoning_content", None) or "" for delta in deltas) == message.reasoning_content


def test_reasoning_may_use_up_the_whole_limit(gpt):
    reply = chat(gpt, reasoning_effort="high", max_completion_tokens=5)
    assert (reply.choices[0].message.content, reply.choices[0].finish_reason) == ("", "length")
    assert reply.usage.completion_tokens_details.reasoning_tokens == 5


def test_a_long_prefix_seen_before_is_cached(gpt):
    system = {"role": "system", "content": "x" * 8000}
    first = chat(gpt, [system, *CAPITAL]).usage.prompt_tokens_details.cached_tokens
    second = chat(gpt, [system, *LONG]).usage.prompt_tokens_details.cached_tokens
    assert (first, second) == (0, 1920)  # 2000 tokens, in steps of 128


def test_models_are_listed(serve, openai_at):
    assert [model.id for model in openai_at(serve(models=["a", "b"])).models.list()] == ["a", "b"]


def test_rate_limit_headers_are_sent(gpt):
    headers = gpt.chat.completions.with_raw_response.create(model="gpt-sim", messages=CAPITAL).headers
    assert headers["x-ratelimit-remaining-requests"] == "9999"
    assert int(headers["x-ratelimit-remaining-tokens"]) < int(headers["x-ratelimit-limit-tokens"])


@pytest.mark.parametrize(
    ("settings", "error", "code"),
    [
        ({"messages": []}, openai.BadRequestError, "empty_array"),
        ({"model": "unknown-model"}, openai.NotFoundError, "model_not_found"),
        ({"messages": [{"role": "user", "content": "x" * 600_000}]}, openai.BadRequestError, "context_length_exceeded"),
        ({"n": 1000}, openai.BadRequestError, "integer_above_max_value"),
        ({"max_tokens": 0}, openai.BadRequestError, "integer_below_min_value"),
    ],
)
def test_bad_requests_are_refused_with_openais_codes(gpt, settings, error, code):
    with pytest.raises(error) as caught:
        gpt.chat.completions.create(**{"model": "gpt-sim", "messages": CAPITAL, **settings})
    assert caught.value.code == code
    assert caught.value.request_id.startswith("req_")


def test_a_wrong_key_is_refused_without_being_shown(serve, openai_at):
    client = openai_at(serve(api_keys=["sk-good"]), api_key="sk-very-secret-key-0001")
    with pytest.raises(openai.AuthenticationError) as caught:
        chat(client)
    assert caught.value.code == "invalid_api_key"
    assert "very-secret" not in str(caught.value)


def test_a_small_context_window_is_enforced(serve, openai_at):
    with pytest.raises(openai.BadRequestError, match="maximum context length is 5 tokens"):
        chat(openai_at(serve(context_window=5)))
