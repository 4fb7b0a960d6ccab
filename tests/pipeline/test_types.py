"""Requests, messages and responses: whole, frozen, and free of secrets where they fail."""

from __future__ import annotations

from typing import Any

import pytest
from builders import answer, ask
from pydantic import ValidationError

from glassway.pipeline.types import (
    AudioPart,
    ChatRequest,
    ChatResponse,
    FilePart,
    ImagePart,
    Message,
    OtherPart,
    ReasoningBlock,
    RefusalPart,
    Response,
    TextPart,
    Tool,
    ToolCall,
    Usage,
)

PARTS: list[tuple[type, dict[str, Any]]] = [
    (TextPart, {"type": "text", "text": "Hi", "cache_control": {"type": "ephemeral"}}),
    (ImagePart, {"type": "image_url", "image_url": {"url": "https://x/y.png", "detail": "low"}}),
    (AudioPart, {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}),
    (FilePart, {"type": "file", "file": {"file_id": "f1"}}),
    (RefusalPart, {"type": "refusal", "refusal": "No."}),
    (OtherPart, {"type": "video_url", "video_url": {"url": "https://x/y.mp4"}}),
]


@pytest.mark.parametrize(("kind", "data"), PARTS, ids=lambda value: value.__name__ if isinstance(value, type) else "")
def test_every_part_is_read_and_written_as_it_came(kind: type, data: dict[str, Any]) -> None:
    message = Message.model_validate({"role": "user", "content": [data | {"unknown": 1}]})
    assert isinstance(message.content, tuple)
    assert type(message.content[0]) is kind
    assert message.to_dict() == {"role": "user", "content": [data | {"unknown": 1}]}
    assert Message(role="user", content=message.content) == message


@pytest.mark.parametrize(
    ("value", "type_"),
    [
        (TextPart(text="x"), "text"),
        (ToolCall(id="1"), "function"),
        (Tool(), "function"),
        (ReasoningBlock(text="t"), "thinking"),
    ],
    ids=str,
)
def test_a_type_that_is_the_default_is_written_out_too(value: Any, type_: str) -> None:
    assert value.to_dict()["type"] == type_
    assert type(value).model_construct(**value.to_dict()).to_dict()["type"] == type_


def test_a_request_keeps_what_it_does_not_know_at_every_level() -> None:
    data = {
        "model": "m",
        "messages": [
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{"}, "z": 1}],
                "y": 2,
            }
        ],
        "tools": [
            {"type": "web_search", "depth": 3},
            {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}},
        ],
        "safety_settings": [{"a": 1}],
    }
    request = ChatRequest.model_validate(data)
    assert request.to_dict() == data
    assert request.extra == {"safety_settings": [{"a": 1}]}
    assert request.but(temperature=0.5).to_dict() == data | {"temperature": 0.5}


@pytest.mark.parametrize(
    "value",
    [ask(), answer(), Message(role="user", content="x"), TextPart(text="x"), Usage()],
    ids=lambda value: type(value).__name__,
)
def test_values_are_frozen(value: Any) -> None:
    with pytest.raises(ValidationError, match="frozen"):
        value.model = "other"


@pytest.mark.parametrize(
    "fields",
    [
        {"messages": []},
        {"messages": "sk-secret"},
        {"messages": [{"role": "sk-secret", "content": "x"}]},
        {"messages": [{"content": "sk-secret"}]},
        {},
        {"model": 5},
    ],
    ids=str,
)
def test_a_request_that_is_none_is_refused_without_repeating_it(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as caught:
        ChatRequest.model_validate({"model": "m"} | fields)
    assert "sk-secret" not in str(caught.value)


def test_either_name_of_the_output_limit_and_either_form_of_stop() -> None:
    assert [
        ask(**fields).output_limit for fields in ({}, {"max_tokens": 5}, {"max_tokens": 5, "max_completion_tokens": 0})
    ] == [None, 5, 0]
    assert [ask(stop=stop).stop_sequences for stop in (None, "a", ["a", "b"])] == [(), ("a",), ("a", "b")]


USUAL = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
LIKE = {
    "usual": USUAL,
    "in another order": {
        "temperature": 0.5,
        "stream": True,
        "messages": USUAL["messages"],
        "seed": 1,
        "model": "m",
        "user": "u",
    },
    "nulls": USUAL | {"temperature": None, "stop": None, "tools": None, "metadata": None},
    "stop is a list": USUAL | {"stop": ["a", "b"]},
    "tools": USUAL | {"tools": [{"type": "function", "function": {"name": "f"}}], "tool_choice": "auto"},
    "a choice of tool": USUAL | {"tool_choice": {"type": "function", "function": {"name": "f"}}},
    "a schema": USUAL | {"response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": {}}}},
    "unknown fields": USUAL | {"thinking": {"type": "enabled"}, "zebra": 1, "alpha": (2, 3)},
    "parts": {"model": "m", "messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}]},
    "no content": {"model": "m", "messages": [{"role": "assistant", "content": None}]},
    "a message with more": {
        "model": "m",
        "messages": [{"role": "assistant", "content": "Hi", "name": "n", "reasoning_content": "r", "own": {"x": [1]}}],
    },
    "an answer to a tool": {"model": "m", "messages": [{"role": "tool", "content": "1", "tool_call_id": "c"}]},
    "numbers": USUAL | {"temperature": float("inf"), "top_p": 1, "n": 2, "logit_bias": {"1": 0.5}},
}


@pytest.mark.parametrize("fields", LIKE.values(), ids=LIKE)
def test_the_quick_way_to_write_a_request_writes_what_pydantic_does(fields: dict[str, Any]) -> None:
    request = ChatRequest.model_validate(fields)
    changed = request.but(model="other", temperature=1, messages=(*request.messages, request.messages[0]))
    listed = request.but(stop=("a", "b"))
    made = Message.model_construct({"role", "content"}, role="assistant", content="Hi", unknown={"a": 1})
    assert made.to_dict()["unknown"] == {"a": 1}
    for one in (request, changed, listed, made, request.but(messages=(made,)), *request.messages):
        written = one.model_dump(mode="json", exclude_unset=True, by_alias=True, warnings=False)
        plain = one.to_dict()
        assert plain == written
        assert list(plain) == list(written)


def test_a_messages_text_is_its_text_parts() -> None:
    parts = (TextPart(text="a"), ImagePart.model_validate(PARTS[1][1]), TextPart(text="b"))
    assert [Message(role="user", content=content).text for content in (None, "x", parts)] == ["", "x", "ab"]


def test_a_responses_shortcuts() -> None:
    response = answer("Hello")
    assert (response.text, response.finish_reason, response.tool_calls, response.reasoning) == (
        "Hello",
        "stop",
        (),
        None,
    )
    assert response.message is response.choices[0].message
    empty = ChatResponse()
    assert (empty.text, empty.finish_reason, empty.tool_calls, empty.reasoning) == ("", None, (), None)
    with pytest.raises(IndexError):
        _ = empty.message


def test_a_response_of_no_pipeline_knows_nothing_of_a_call() -> None:
    response = answer()
    assert [
        response.record,
        response.cost,
        response.provider,
        response.latency_s,
        response.trace_id,
        response.request_id,
    ] == [None] * 6
    assert Response().text == ""


@pytest.mark.parametrize(
    ("usage", "anomalies"),
    [
        (Usage(prompt_tokens=3, completion_tokens=2, total_tokens=5), ()),
        (Usage(prompt_tokens=3, completion_tokens=2), ()),
        (
            Usage(prompt_tokens=1, prompt_tokens_details={"cached_tokens": 1, "cache_write_tokens": 1}),
            ("cached_exceeds_prompt",),
        ),
        (
            Usage(completion_tokens=1, completion_tokens_details={"reasoning_tokens": 2}),
            ("reasoning_exceeds_completion",),
        ),
        (Usage(prompt_tokens=1, completion_tokens=1, total_tokens=3), ("total_is_not_the_sum",)),
        (Usage(prompt_tokens=-1), ("cached_exceeds_prompt", "negative")),
    ],
    ids=lambda value: str(value) if isinstance(value, tuple) else "",
)
def test_counts_that_cannot_be_are_named(usage: Usage, anomalies: tuple[str, ...]) -> None:
    assert usage.anomalies() == anomalies


def test_usage_writes_only_what_was_set() -> None:
    assert Usage(prompt_tokens=1, prompt_tokens_details={"cached_tokens": 1}).to_dict() == {
        "prompt_tokens": 1,
        "prompt_tokens_details": {"cached_tokens": 1},
    }


def test_a_text_of_a_class_of_its_own_is_a_text() -> None:
    class Name(str):
        __slots__ = ()

    message = Message(role="user", content="x").but(content=Name("Ann"))
    assert message.text == "Ann"
    assert ChatResponse.model_validate({"choices": [{"index": 0, "message": message}]}).text == "Ann"
