"""Requests to Ollama's own API: recorded ones there and back, and every parameter of OpenAI's."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from glassway.pipeline.call import Call
from glassway.pipeline.errors import BadRequestError
from glassway.pipeline.types import ImageRequest
from glassway.providers.codecs.ollama import OllamaCodec, canonical_request
from glassway.providers.codecs.ollama_inbound import canonical_embeddings
from glassway.testing import FakeClock

if TYPE_CHECKING:
    from pathlib import Path

CODEC = OllamaCodec()
TOOL = {
    "type": "function",
    "function": {"name": "f", "parameters": {"type": "object", "properties": {"a": {"type": "string"}}}},
}
OTHER = {"type": "function", "function": {"name": "g"}}
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}
FORMAT = {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}}
PNG = "iVBORw0KGgo="


def encoded(request: Any, model: str) -> tuple[str, dict[str, Any]]:
    sent = CODEC.encode(Call.start(request.but(model=model), clock=FakeClock()))
    return sent.path, json.loads(sent.content)


def _justified(body: dict[str, Any]) -> dict[str, Any]:
    """What may differ: `stream` is said where its default was meant; no format, no tools and no options say nothing."""
    return {"stream": True} | {name: value for name, value in body.items() if value not in (None, "", [], {})}


def test_a_recorded_chat_request_comes_back_as_it_was(asked_chat: Path, exchange: Any, faults: Any) -> None:
    recorded = exchange(asked_chat)["request"]["json"]
    path, body = encoded(canonical_request(recorded), recorded["model"])
    assert body == _justified(recorded)
    assert (path, faults(path, body)) == ("/api/chat", [])


def test_a_recorded_embeddings_request_comes_back_as_it_was(embedding: Path, exchange: Any, faults: Any) -> None:
    recorded = exchange(embedding)["request"]["json"]
    path, body = encoded(canonical_embeddings(recorded), recorded["model"])
    assert body == recorded
    assert (path, faults(path, body)) == ("/api/embed", [])


def test_a_request_with_everything_comes_back_as_it_was(faults: Any) -> None:
    asked = {
        "model": "m",
        "stream": False,
        "format": SCHEMA,
        "think": "high",
        "keep_alive": "5m",
        "tools": [TOOL],
        "options": {
            "temperature": 0.5,
            "top_k": 3,
            "top_p": 0.1,
            "seed": 1,
            "stop": ["a"],
            "num_predict": 9,
            "num_ctx": 64,
            "min_p": 0.1,
        },
        "messages": [
            {"role": "system", "content": "s"},
            {"role": "user", "content": "look", "images": [PNG, "/9j/AAAA"]},
            {
                "role": "assistant",
                "content": "",
                "thinking": "hm",
                "tool_calls": [{"id": "c1", "function": {"index": 0, "name": "f", "arguments": {"a": "b"}}}],
            },
            {"role": "tool", "content": "r", "tool_name": "f", "tool_call_id": "c1"},
        ],
    }
    path, body = encoded(canonical_request(asked), "m")
    assert body == asked
    assert faults(path, body) == []


def test_no_limit_stays_no_limit() -> None:
    asked = {"messages": [{"role": "user", "content": "x"}], "options": {"num_predict": -1}}
    assert canonical_request(asked).output_limit is None
    assert encoded(canonical_request(asked), "m")[1]["options"] == {"num_predict": -1}


@pytest.mark.parametrize(
    ("given", "expected", "notes"),
    [
        ({}, {}, {}),
        (
            {"temperature": 0.2, "top_p": 0.5, "top_k": 4, "seed": 3, "frequency_penalty": 0.1, "presence_penalty": 0.2},
            {"options": {"temperature": 0.2, "top_p": 0.5, "top_k": 4, "seed": 3, "frequency_penalty": 0.1, "presence_penalty": 0.2}},
            {},
        ),
        ({"max_tokens": 7, "stop": "a"}, {"options": {"num_predict": 7, "stop": ["a"]}}, {"max_tokens": "renamed"}),
        ({"num_ctx": 8192, "options": {"min_p": 0.1}}, {"options": {"num_ctx": 8192, "min_p": 0.1}}, {}),
        ({"temperature": 1, "options": {"temperature": 0}}, {"options": {"temperature": 1}}, {}),
        ({"keep_alive": "10m", "think": True, "reasoning_effort": "low"}, {"keep_alive": "10m", "think": True}, {}),
        ({"reasoning_effort": "none"}, {"think": False}, {"reasoning_effort": "renamed"}),
        ({"reasoning_effort": "medium"}, {"think": "medium"}, {"reasoning_effort": "renamed"}),
        ({"reasoning_effort": "xhigh"}, {"think": "high"}, {"reasoning_effort": "clamped"}),
        ({"reasoning_effort": "odd"}, {}, {"reasoning_effort": "dropped"}),
        ({"response_format": {"type": "json_object"}}, {"format": "json"}, {"response_format": "renamed"}),
        ({"response_format": FORMAT}, {"format": SCHEMA}, {"response_format": "renamed"}),
        ({"response_format": {"type": "text"}}, {}, {}),
        ({"logprobs": True, "top_logprobs": 2}, {"logprobs": True, "top_logprobs": 2}, {}),
        ({"n": 2, "user": "u", "logit_bias": {"1": 1}}, {}, {"n": "dropped", "user": "dropped", "logit_bias": "dropped"}),
        ({"modalities": ["audio"], "service_tier": "flex"}, {}, {"modalities": "dropped", "service_tier": "dropped"}),
        ({"metadata": {"a": "b"}, "made_up": 1}, {}, {"metadata": "dropped", "made_up": "dropped"}),
    ],
)  # fmt: skip
def test_parameters(sent: Any, given: Any, expected: Any, notes: Any) -> None:
    body, noted = sent(given)
    assert {name: value for name, value in body.items() if name not in ("model", "messages", "stream")} == expected
    assert noted == notes


def test_streaming_is_always_said_since_the_server_streams_by_default(sent: Any) -> None:
    assert sent({})[0]["stream"] is False
    assert sent({"stream": True})[0]["stream"] is True


@pytest.mark.parametrize(
    ("choice", "names", "notes"),
    [
        (None, ["f", "g"], {}),
        ("auto", ["f", "g"], {}),
        ("none", [], {"tool_choice": "emulated"}),
        ("required", ["f", "g"], {"tool_choice": "dropped"}),
        ({"type": "function", "function": {"name": "g"}}, ["g"], {"tool_choice": "emulated"}),
    ],
)
def test_tool_choice(sent: Any, choice: Any, names: list[str], notes: Any) -> None:
    body, noted = sent({"tools": [TOOL, OTHER], "tool_choice": choice})
    assert [tool["function"]["name"] for tool in body.get("tools", ())] == names
    assert noted == notes


def test_marks_on_tools_are_dropped(sent: Any) -> None:
    strict = {**TOOL, "function": {**TOOL["function"], "strict": True}, "cache_control": {"type": "ephemeral"}}
    body, notes = sent({"tools": [strict, {"type": "web_search"}], "parallel_tool_calls": False})
    assert body["tools"] == [TOOL]
    assert notes == dict.fromkeys(("tools.strict", "tools.cache_control", "tools", "parallel_tool_calls"), "dropped")


def test_a_conversation_of_another_vendor(sent: Any) -> None:
    block = {"type": "thinking", "text": "hm", "signature": "s", "provider": "anthropic"}
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
    broken = {"id": "c2", "type": "function", "function": {"name": "g", "arguments": "{"}}
    custom = {"id": "c3", "type": "custom", "custom": {"name": "h", "input": "i"}}
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}", "detail": "high"}}
    linked = {"type": "image_url", "image_url": {"url": "https://x.test/a.png"}}
    messages = [
        {"role": "developer", "content": "d"},
        {"role": "user", "name": "Ann", "content": [{"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}, image, linked, {"type": "text", "text": "b"}, {"type": "file", "file": {"file_id": "x"}}]},
        {"role": "assistant", "content": None, "reasoning_content": "hm", "reasoning_blocks": [block], "tool_calls": [call, broken, custom], "annotations": [{"type": "url_citation"}]},
        {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "r"}]},
        {"role": "assistant", "refusal": "no"},
    ]  # fmt: skip
    body, notes = sent({"messages": messages})
    assert body["messages"] == [
        {"role": "system", "content": "d"},
        {"role": "user", "content": "a\nb", "images": [PNG]},
        {
            "role": "assistant",
            "content": "",
            "thinking": "hm",
            "tool_calls": [
                {"id": "c1", "function": {"index": 0, "name": "f", "arguments": {"a": 1}}},
                {"id": "c2", "function": {"index": 1, "name": "g", "arguments": {"invalid_arguments": "{"}}},
                {"id": "c3", "function": {"index": 2, "name": "h", "arguments": {"input": "i"}}},
            ],
        },
        {"role": "tool", "content": "r", "tool_name": "f", "tool_call_id": "c1"},
        {"role": "assistant", "content": "no"},
    ]
    dropped = (
        "name",
        "content.cache_control",
        "content.image_url.detail",
        "content.image_url",
        "content.file",
        "reasoning_blocks",
        "annotations",
    )
    assert notes == {f"messages.{name}": "dropped" for name in dropped} | {"messages.tool_calls.arguments": "emulated"}


@pytest.mark.parametrize(
    ("given", "expected", "notes"),
    [
        ({"input": "a"}, {"input": "a"}, {}),
        (
            {"input": ["a", "b"], "dimensions": 8, "encoding_format": "base64", "truncate": True, "num_ctx": 4},
            {"input": ["a", "b"], "dimensions": 8, "truncate": True, "options": {"num_ctx": 4}},
            {},
        ),
        ({"input": "a", "user": "u", "odd": 1}, {"input": "a"}, {"user": "dropped", "odd": "dropped"}),
    ],
)
def test_embeddings(sent: Any, given: Any, expected: Any, notes: Any) -> None:
    body, noted = sent({"operation": "embeddings", **given})
    assert body == {"model": "llama3.2", **expected}
    assert noted == notes


def test_token_ids_cannot_be_embedded(sent: Any) -> None:
    with pytest.raises(BadRequestError, match="expected texts"):
        sent({"operation": "embeddings", "input": [[1, 2]]})


def test_other_operations_are_refused() -> None:
    with pytest.raises(BadRequestError, match="chat or embeddings"):
        CODEC.encode(Call.start(ImageRequest.model_validate({"model": "m", "prompt": "p"}), clock=FakeClock()))


@pytest.mark.parametrize(
    "body",
    [
        {"messages": "x"},
        {"messages": [{"role": "robot"}]},
        {"messages": []},
        {"messages": [{"role": "user", "content": 3}]},
    ],
)
def test_nonsense_is_refused_with_its_place(body: dict[str, Any]) -> None:
    with pytest.raises(BadRequestError, match="messages"):
        canonical_request(body)


@pytest.mark.parametrize(
    "body",
    [
        {"messages": []},
        {"model": "m", "odd": 1},
        {"model": "m", "messages": [{"role": "user", "content": "x", "odd": 1}]},
        {"model": "m", "options": {"odd": 1}},
    ],
)
def test_the_judge_refuses_what_the_sdk_does_not_declare(faults: Any, body: dict[str, Any]) -> None:
    assert faults("/api/chat", body)
