"""Structured outputs: the vendor's format where the model has it, a forced tool where it has not."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from glassway.providers.codecs.anthropic import AnthropicCodec

if TYPE_CHECKING:
    from glassway.pipeline.types import ChatResponse

CODEC = AnthropicCodec()
OLD, MIDDLE, NEW, NEWEST = "claude-3-5-haiku-20241022", "claude-sonnet-4-5", "claude-opus-4-8", "claude-fable-5"


TOOL = {"tools": [{"type": "function", "function": {"name": "f"}}]}


SCHEMA = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}}, "required": ["n"]}
FORMAT = {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}}


def test_a_schema_is_a_format_where_the_model_has_them(sent: Any) -> None:
    body, notes = sent(FORMAT)
    schema = body["output_config"]["format"]["schema"]
    assert schema["additionalProperties"] is False
    assert schema["properties"]["n"] == {"type": "integer", "description": '{"minimum": 1}'}
    assert notes["response_format"] == "renamed"
    assert notes["response_format.json_schema.bounds"] == "emulated"


def test_a_property_may_be_called_like_a_keyword(sent: Any) -> None:
    schema = {"type": "object", "properties": {"minimum": {"type": "integer"}}, "additionalProperties": False}
    wanted = {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}}
    assert sent(wanted)[0]["output_config"]["format"]["schema"] == schema


def test_a_schema_is_a_forced_tool_elsewhere(sent: Any) -> None:
    body, notes = sent(FORMAT | {"model": OLD})
    assert body["tools"][0]["input_schema"] == SCHEMA
    assert body["tool_choice"] == {"type": "tool", "name": body["tools"][0]["name"]}
    assert notes["response_format"] == "emulated"


def test_beside_other_tools_the_model_must_choose_one(sent: Any) -> None:
    body, _ = sent(FORMAT | TOOL | {"model": OLD})
    assert [tool["name"] for tool in body["tools"]] == ["f", "answer_as_json"]
    assert body["tool_choice"] == {"type": "any"}


def test_any_json_object_is_a_forced_tool_on_every_model_that_can_be_forced(sent: Any) -> None:
    body, notes = sent({"response_format": {"type": "json_object"}})
    assert body["tools"][0]["input_schema"] == {"type": "object"}
    assert notes["response_format"] == "emulated"
    assert sent({"response_format": {"type": "json_object"}, "model": NEWEST})[1]["response_format"] == "dropped"


def _answer(content: list[dict[str, Any]], stop: str = "tool_use") -> bytes:
    return json.dumps(
        {
            "type": "message",
            "id": "m",
            "role": "assistant",
            "model": "c",
            "content": content,
            "stop_reason": stop,
            "usage": {},
        }
    ).encode()


def test_the_forced_tools_arguments_are_the_answer(call_of: Any) -> None:
    call = call_of(FORMAT | {"model": OLD})
    answer = CODEC.decode(call, _answer([{"type": "tool_use", "id": "t", "name": "answer_as_json", "input": {"n": 1}}]))
    assert json.loads(answer.text) == {"n": 1}
    assert answer.tool_calls == ()
    assert (answer.finish_reason, answer.choices[0].native_finish_reason) == ("stop", "tool_use")


def test_a_streamed_forced_tool_is_text_too(call_of: Any) -> None:
    events = [
        {
            "type": "message_start",
            "message": {"id": "m", "model": "c", "usage": {"input_tokens": 1, "output_tokens": 1}},
        },
        {
            "type": "content_block_start",
            "index": 0,
            "content_block": {"type": "tool_use", "id": "t", "name": "answer_as_json", "input": {}},
        },
        {"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": '{"n"'}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": ": 1}"}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 5}},
        {"type": "message_stop"},
    ]
    call = call_of(FORMAT | {"model": OLD, "stream": True})
    decoder = CODEC.decoder(call)
    chunks = [
        *decoder.feed(b"".join(b"data: %s\n\n" % json.dumps(event).encode() for event in events)),
        *decoder.finish(),
    ]
    answer: ChatResponse = CODEC.assemble(call, chunks)
    assert json.loads(answer.text) == {"n": 1}
    assert (answer.tool_calls, answer.finish_reason) == ((), "stop")
