"""Anthropic's own SDK reads what the simulated vendor writes on the Messages wire."""

import anthropic
import pytest
from pydantic import BaseModel

CAPITAL = [{"role": "user", "content": "What is the capital of Japan?"}]
WEATHER = {
    "name": "get_weather",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
STOCKS = {"name": "stock_price", "input_schema": {"type": "object", "properties": {"symbol": {"type": "string"}}}}
BOTH_ASKED = [{"role": "user", "content": "The weather in Rome and the stock of ACME"}]


def ask(client, messages=CAPITAL, **settings):
    return client.messages.create(**{"model": "claude-sim", "max_tokens": 4096, "messages": messages, **settings})


def streamed(client, messages=CAPITAL, **settings):
    settings = {"model": "claude-sim", "max_tokens": 4096, "messages": messages, **settings}
    with client.messages.stream(**settings) as stream:
        return stream.get_final_message()


def test_a_complete_answer_has_text_usage_and_a_request_id(claude):
    reply = ask(claude)
    assert [block.text for block in reply.content] == ["The capital of Japan is Tokyo."]
    assert (reply.stop_reason, reply.usage.output_tokens) == ("end_turn", 8)
    assert reply._request_id.startswith("req_")


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"thinking": {"type": "enabled", "budget_tokens": 1024}},
        {"messages": BOTH_ASKED, "tools": [WEATHER, STOCKS]},
        {"max_tokens": 2},
    ],
)
def test_a_stream_assembles_to_the_complete_answer(claude, settings):
    complete, stream = ask(claude, **settings), streamed(claude, **settings)
    assert stream.model_dump(exclude={"content"}) == complete.model_dump(exclude={"content"})
    assert [block.to_dict() for block in stream.content] == [block.to_dict() for block in complete.content]


def test_the_events_of_a_stream_come_in_anthropics_order(claude):
    with claude.messages.with_streaming_response.create(
        model="claude-sim", max_tokens=2, messages=CAPITAL, stream=True
    ) as reply:
        lines = [line for line in reply.iter_lines() if line.startswith("event: ")]
    kinds = [line.removeprefix("event: ") for line in lines]
    assert kinds[:3] == ["message_start", "content_block_start", "ping"]
    assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    assert set(kinds[3:-3]) == {"content_block_delta"}


def test_a_token_limit_and_a_stop_sequence_end_the_answer(claude):
    cut, stopped = ask(claude, max_tokens=3), ask(claude, stop_sequences=[" is"])
    assert (cut.content[0].text, cut.stop_reason) == ("The capital ", "max_tokens")
    assert (stopped.content[0].text, stopped.stop_reason) == ("The capital of Japan", "stop_sequence")
    assert stopped.stop_sequence == " is"


def test_two_mentioned_tools_are_called_in_parallel_unless_forbidden(claude):
    both = ask(claude, BOTH_ASKED, tools=[WEATHER, STOCKS])
    one = ask(
        claude, BOTH_ASKED, tools=[WEATHER, STOCKS], tool_choice={"type": "auto", "disable_parallel_tool_use": True}
    )
    assert both.stop_reason == "tool_use"
    assert [block.name for block in both.content] == ["get_weather", "stock_price"]
    assert both.content[0].input == {"city": "Rome"}
    assert [block.name for block in one.content] == ["get_weather"]


@pytest.mark.parametrize(
    ("choice", "called"),
    [
        ({"type": "none"}, []),
        ({"type": "auto"}, []),
        ({"type": "any"}, ["get_weather"]),
        ({"type": "tool", "name": "stock_price"}, ["stock_price"]),
    ],
)
def test_tool_choice_decides_where_no_tool_is_mentioned(claude, choice, called):
    reply = ask(claude, tools=[WEATHER, STOCKS], tool_choice=choice)
    assert [block.name for block in reply.content if block.type == "tool_use"] == called


def test_a_conversation_with_thinking_and_tools_goes_on(claude):
    settings = {"tools": [WEATHER], "thinking": {"type": "enabled", "budget_tokens": 1024}}
    question = {"role": "user", "content": "How is the weather in Lisbon?"}
    asked = ask(claude, [question], **settings)
    thinking, call = asked.content
    assert (thinking.type, call.type) == ("thinking", "tool_use")
    result = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.id, "content": "21 degrees"}]}
    turn = {"role": "assistant", "content": [block.to_dict() for block in asked.content]}
    reply = ask(claude, [question, turn, result], **settings)
    assert reply.content[-1].text == "The tool returned: 21 degrees"


def test_thinking_that_was_changed_is_refused(claude):
    first = ask(claude, thinking={"type": "adaptive"})
    blocks = [block.to_dict() for block in first.content]
    blocks[0]["thinking"] += "!"
    turn = {"role": "assistant", "content": blocks}
    with pytest.raises(anthropic.BadRequestError, match=r"messages.1.content.0: Invalid `signature`"):
        ask(claude, [*CAPITAL, turn, {"role": "user", "content": "Sure?"}])


def test_thinking_can_be_omitted_but_stays_signed_and_counted(claude):
    reply = ask(claude, thinking={"type": "adaptive", "display": "omitted"})
    assert (reply.content[0].thinking, bool(reply.content[0].signature)) == ("", True)
    assert reply.usage.output_tokens > 8


@pytest.mark.parametrize("ttl", ["5m", "1h"])
def test_a_marked_prefix_is_written_and_then_read(claude, ttl):
    mark = {"type": "ephemeral", "ttl": ttl}
    system = [{"type": "text", "text": "y" * 8000, "cache_control": mark}]
    first, second = ask(claude, system=system).usage, ask(claude, system=system).usage
    assert (first.cache_creation_input_tokens, first.cache_read_input_tokens) == (2000, 0)
    assert (second.cache_creation_input_tokens, second.cache_read_input_tokens) == (0, 2000)
    assert first.input_tokens == second.input_tokens == 8
    assert getattr(first.cache_creation, f"ephemeral_{ttl}_input_tokens") == 2000


def test_short_prefixes_and_unmarked_ones_are_not_cached(claude):
    short = [{"type": "text", "text": "short", "cache_control": {"type": "ephemeral"}}]
    for system in (short, "z" * 8000):
        ask(claude, system=system)
        usage = ask(claude, system=system).usage
        assert (usage.cache_creation_input_tokens, usage.cache_read_input_tokens) == (0, 0)


class City(BaseModel):
    name: str
    population: int


def test_structured_output_parses_into_the_callers_model(claude):
    reply = claude.messages.parse(model="claude-sim", max_tokens=400, messages=CAPITAL, output_format=City)
    assert isinstance(reply.parsed_output, City)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"messages": []}, anthropic.BadRequestError, "at least one message"),
        ({"model": "unknown-model"}, anthropic.NotFoundError, "model: unknown-model"),
        ({"messages": [{"role": "user", "content": ""}]}, anthropic.BadRequestError, "non-empty content"),
        ({"messages": [{"role": "system", "content": "x"}]}, anthropic.BadRequestError, 'Unexpected role "system"'),
        ({"messages": [{"role": "user", "content": "x" * 600_000}]}, anthropic.BadRequestError, "prompt is too long"),
        (
            {"thinking": {"type": "enabled", "budget_tokens": 10}},
            anthropic.BadRequestError,
            "greater than or equal to 1024",
        ),
        ({"thinking": {"type": "enabled", "budget_tokens": 9999}}, anthropic.BadRequestError, "`max_tokens` must be"),
    ],
)
def test_bad_requests_are_refused_in_anthropics_shape(claude, settings, error, message):
    with pytest.raises(error, match=message) as caught:
        ask(claude, **settings)
    assert caught.value.body["type"] == "error"
    assert caught.value.body["request_id"] == caught.value.request_id


@pytest.mark.parametrize("results", [[], [{"type": "tool_result", "tool_use_id": "toolu_2", "content": "x"}]])
def test_tool_uses_and_results_must_pair_up(claude, results):
    use = {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {}}]}
    after = {"role": "user", "content": [*results, {"type": "text", "text": "well?"}]}
    with pytest.raises(anthropic.BadRequestError, match="tool_use"):
        ask(claude, [*CAPITAL, use, after])


def test_a_wrong_key_is_refused(serve, anthropic_at):
    with pytest.raises(anthropic.AuthenticationError, match="invalid x-api-key"):
        ask(anthropic_at(serve(api_keys=["good"]), api_key="bad"))


def test_models_are_listed_in_anthropics_shape(serve, anthropic_at):
    assert [model.id for model in anthropic_at(serve(models=["a", "b"])).models.list()] == ["a", "b"]
