"""Messages in OpenAI's shape as turns of the Messages API."""

from __future__ import annotations

from typing import Any

import pytest

from glassway.providers.codecs.anthropic import AnthropicCodec

CODEC = AnthropicCodec()
OLD, MIDDLE, NEW, NEWEST = "claude-3-5-haiku-20241022", "claude-sonnet-4-5", "claude-opus-4-8", "claude-fable-5"


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


@pytest.fixture
def turns(sent: Any) -> Any:
    """The turns that these messages become."""
    return lambda *messages, model="claude-sonnet-4-5": sent({"messages": messages, "model": model})[0]["messages"]


def test_leading_system_messages_become_the_system_prompt(sent: Any) -> None:
    one, _ = sent({"messages": [{"role": "system", "content": "s"}, user("x")]})
    two, _ = sent({"messages": [{"role": "system", "content": "s"}, {"role": "developer", "content": "d"}, user("x")]})
    assert one["system"] == "s"
    assert two["system"] == [{"type": "text", "text": "s"}, {"type": "text", "text": "d"}]
    assert two["messages"] == [user("x")]


def test_cache_marks_are_kept_on_parts_messages_and_tools(sent: Any) -> None:
    mark = {"type": "ephemeral", "ttl": "1h"}
    body, notes = sent(
        {
            "max_tokens": 5,
            "messages": [
                {"role": "system", "content": [{"type": "text", "text": "s", "cache_control": mark}]},
                {"role": "user", "content": "x", "cache_control": mark},
            ],
            "tools": [{"type": "function", "function": {"name": "f"}, "cache_control": mark}],
        }
    )
    assert body["system"][0]["cache_control"] == mark
    assert body["messages"][0]["content"] == [{"type": "text", "text": "x", "cache_control": mark}]
    assert body["tools"][0]["cache_control"] == mark
    assert notes == {}


CONVERSATION = [user("a"), {"role": "assistant", "content": "b"}, user("c"), {"role": "system", "content": "later"}]


def test_a_later_system_message_stays_where_the_model_hears_it(sent: Any) -> None:
    body, notes = sent({"model": NEW, "max_tokens": 5, "messages": CONVERSATION})
    assert body["messages"][-1] == {"role": "system", "content": [{"type": "text", "text": "later"}]}
    assert notes == {}


def test_a_later_system_message_moves_up_for_older_models(sent: Any) -> None:
    body, notes = sent({"max_tokens": 5, "messages": CONVERSATION})
    assert body["system"] == [{"type": "text", "text": "later"}]
    assert [turn["role"] for turn in body["messages"]] == ["user", "assistant", "user"]
    assert notes == {"messages.system": "emulated"}


def test_a_system_message_between_user_messages_waits_until_they_are_over(turns: Any) -> None:
    """The vendor takes it behind a user's turn and before an assistant's only."""
    messages = [
        user("a"),
        {"role": "system", "content": "s"},
        user("b"),
        {"role": "assistant", "content": "c"},
        user("d"),
    ]
    roles = [turn["role"] for turn in turns(*messages, model=NEW)]
    assert roles == ["user", "system", "assistant", "user"]


def test_only_system_messages_are_a_question_of_the_user(sent: Any) -> None:
    body, notes = sent({"messages": [{"role": "system", "content": "s"}, {"role": "system", "content": "t"}]})
    assert (body["system"], body["messages"]) == ("s", [user("t")])
    assert notes["messages"] == "emulated"


def test_turns_alternate(turns: Any) -> None:
    merged = turns(
        user("a"),
        user([{"type": "text", "text": "b"}]),
        {"role": "assistant", "content": "c"},
        {"role": "assistant", "content": "d"},
    )
    assert merged == [
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
        {"role": "assistant", "content": [{"type": "text", "text": "c"}, {"type": "text", "text": "d"}]},
    ]


def test_a_conversation_begins_with_the_user(sent: Any) -> None:
    body, notes = sent({"messages": [{"role": "assistant", "content": "hello"}, user("hi")]})
    assert [turn["role"] for turn in body["messages"]] == ["user", "assistant", "user"]
    assert notes["messages"] == "emulated"


def test_an_empty_assistant_turn_is_left_out(sent: Any) -> None:
    body, notes = sent({"messages": [user("a"), {"role": "assistant", "content": ""}, user("b")]})
    assert [turn["role"] for turn in body["messages"]] == ["user"]
    assert notes["messages.assistant"] == "dropped"


def _called(*calls: tuple[str, str, str]) -> dict[str, Any]:
    made = [
        {"id": id_, "type": "function", "function": {"name": name, "arguments": arguments}}
        for id_, name, arguments in calls
    ]
    return {"role": "assistant", "content": None, "tool_calls": made}


def test_tool_calls_and_their_results(turns: Any) -> None:
    conversation = turns(
        user("x"),
        _called(("t1", "f", '{"a": "é"}'), ("t2", "g", "")),
        {"role": "tool", "tool_call_id": "t1", "content": "one"},
        {"role": "tool", "tool_call_id": "t2", "content": [{"type": "text", "text": "two"}]},
        user("and?"),
    )
    assert conversation[1:] == [
        {
            "role": "assistant",
            "content": [
                {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": "é"}},
                {"type": "tool_use", "id": "t2", "name": "g", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "t1", "content": "one"},
                {"type": "tool_result", "tool_use_id": "t2", "content": [{"type": "text", "text": "two"}]},
                {"type": "text", "text": "and?"},
            ],
        },
    ]


@pytest.mark.parametrize("arguments", ['{"a": 1', "[1]", '"text"', "nonsense"])
def test_arguments_that_are_no_object_are_sent_as_text(sent: Any, arguments: str) -> None:
    body, notes = sent(
        {
            "messages": [
                user("x"),
                _called(("t1", "f", arguments)),
                {"role": "tool", "tool_call_id": "t1", "content": "r"},
            ]
        }
    )
    assert body["messages"][1]["content"][0]["input"] == {"invalid_arguments": arguments}
    assert notes["messages.tool_calls.arguments"] == "emulated"


def test_ids_of_other_vendors_are_spelled_in_the_letters_that_are_allowed(sent: Any) -> None:
    body, notes = sent(
        {
            "messages": [
                user("x"),
                _called(("call:0/é", "f", "{}")),
                {"role": "tool", "tool_call_id": "call:0/é", "content": "r"},
            ]
        }
    )
    assert body["messages"][1]["content"][0]["id"] == "call_0__"
    assert body["messages"][2]["content"][0]["tool_use_id"] == "call_0__"
    assert notes["messages.tool_calls.id"] == "renamed"


def test_reasoning_that_anthropic_signed_comes_first(sent: Any) -> None:
    blocks = [
        {"type": "redacted_thinking", "data": "enc", "index": 1, "provider": "anthropic"},
        {"type": "thinking", "text": "hm", "signature": "sig", "index": 0},
        {"type": "thinking", "text": "other vendor's", "signature": "s", "provider": "gemini"},
        {"type": "thinking", "text": "unsigned"},
    ]
    body, notes = sent({"messages": [user("x"), {"role": "assistant", "content": "a", "reasoning_blocks": blocks}]})
    assert body["messages"][1]["content"] == [
        {"type": "thinking", "thinking": "hm", "signature": "sig"},
        {"type": "redacted_thinking", "data": "enc"},
        {"type": "text", "text": "a"},
    ]
    assert notes["messages.reasoning"] == "dropped"
