"""Requests to the v2 API: recorded ones there and back, and every parameter of OpenAI's."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from glassway.pipeline.call import Call
from glassway.pipeline.errors import BadRequestError
from glassway.pipeline.types import ChatRequest, ImageRequest
from glassway.providers.codecs.cohere import CohereCodec, canonical_request
from glassway.providers.codecs.cohere_embeddings import canonical_embeddings
from glassway.providers.codecs.cohere_rerank import canonical_rerank
from glassway.testing import FakeClock

if TYPE_CHECKING:
    from pathlib import Path

CODEC = CohereCodec()
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {"a": {}}}}}
OTHER = {"type": "function", "function": {"name": "g"}}
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
FORMAT = {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA, "strict": True}}


def encoded(request: Any, model: str) -> tuple[str, dict[str, Any]]:
    sent = CODEC.encode(Call.start(request.but(model=model), clock=FakeClock()))
    return sent.path, json.loads(sent.content)


def _justified(body: dict[str, Any]) -> dict[str, Any]:
    """What may differ: nulls say nothing, `stream: false` is the default, and `schema` is the older name of `json_schema`."""
    kept = {"stream": False, **{name: value for name, value in body.items() if value is not None}}
    wanted = kept.get("response_format")
    if wanted and "schema" in wanted:
        kept["response_format"] = {"type": wanted["type"], "json_schema": wanted["schema"]}
    return kept


def test_a_recorded_chat_request_comes_back_as_it_was(asked_chat: Path, exchange: Any, faults: Any) -> None:
    recorded = exchange(asked_chat)["request"]["json"]
    path, body = encoded(canonical_request(recorded), recorded["model"])
    assert body == _justified(recorded)
    assert (path, faults(path, body)) == ("/v2/chat", [])


def test_a_recorded_embeddings_request_comes_back_as_it_was(embedding: Path, exchange: Any, faults: Any) -> None:
    recorded = exchange(embedding)["request"]["json"]
    path, body = encoded(canonical_embeddings(recorded), recorded["model"])
    assert body == recorded
    assert (path, faults(path, body)) == ("/v2/embed", [])


def test_a_recorded_rerank_request_comes_back_as_it_was(ranking: Path, exchange: Any, faults: Any) -> None:
    recorded = exchange(ranking)["request"]["json"]
    path, body = encoded(canonical_rerank(recorded), recorded["model"])
    assert body == {name: value for name, value in recorded.items() if value is not None}
    assert (path, faults(path, body)) == ("/v2/rerank", [])


@pytest.mark.parametrize(
    ("given", "expected", "notes"),
    [
        ({"temperature": 0.2, "seed": 3, "logprobs": True}, {"temperature": 0.2, "seed": 3, "logprobs": True}, {}),
        ({"max_completion_tokens": 7}, {"max_tokens": 7}, {}),
        ({"top_p": 0.5, "top_k": 9}, {"p": 0.5, "k": 9}, {"top_p": "renamed", "top_k": "renamed"}),
        ({"top_p": 1, "top_k": 900}, {"p": 0.99, "k": 500}, {"top_p": "clamped", "top_k": "clamped"}),
        ({"top_p": 0.5, "p": 0.7}, {"p": 0.7}, {}),
        ({"frequency_penalty": 0.5}, {"frequency_penalty": 0.5}, {}),
        ({"presence_penalty": -1}, {"presence_penalty": 0.0}, {"presence_penalty": "clamped"}),
        ({"stop": "a"}, {"stop_sequences": ["a"]}, {}),
        ({"stop": list("abcdefg")}, {"stop_sequences": list("abcde")}, {"stop": "clamped"}),
        ({"n": 2, "user": "u"}, {}, {"n": "dropped", "user": "dropped"}),
        ({"logit_bias": {"1": 2}, "top_logprobs": 2}, {}, {"logit_bias": "dropped", "top_logprobs": "dropped"}),
        ({"metadata": {"a": "b"}, "service_tier": "flex"}, {}, {"metadata": "dropped", "service_tier": "dropped"}),
        ({"modalities": ["text", "audio"], "made_up": 1}, {}, {"modalities": "dropped", "made_up": "dropped"}),
        ({"n": 1, "logprobs": None, "service_tier": "auto", "modalities": ["text"]}, {}, {}),
        ({"safety_mode": "STRICT", "priority": 2}, {"safety_mode": "STRICT", "priority": 2}, {}),
        (
            {"documents": ["d"], "citation_options": {"mode": "FAST"}},
            {"documents": ["d"], "citation_options": {"mode": "FAST"}},
            {},
        ),
    ],
)
def test_parameters(sent: Any, given: dict[str, Any], expected: dict[str, Any], notes: dict[str, str]) -> None:
    body, noted = sent(given)
    assert {name: value for name, value in body.items() if name not in ("model", "messages", "stream")} == expected
    assert noted == notes


@pytest.mark.parametrize(
    ("choice", "expected", "names", "notes"),
    [
        ("auto", None, ["f", "g"], {}),
        ("required", "REQUIRED", ["f", "g"], {}),
        ("none", "NONE", ["f", "g"], {}),
        ({"type": "function", "function": {"name": "g"}}, "REQUIRED", ["g"], {"tool_choice": "emulated"}),
        (
            {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [TOOL]}},
            None,
            ["f"],
            {"tool_choice": "emulated"},
        ),
        ({"type": "odd"}, None, ["f", "g"], {"tool_choice": "dropped"}),
    ],
)
def test_tool_choice(sent: Any, choice: Any, expected: Any, names: list[str], notes: dict[str, str]) -> None:
    body, noted = sent({"tools": [TOOL, OTHER], "tool_choice": choice})
    assert body.get("tool_choice") == expected
    assert [tool["function"]["name"] for tool in body["tools"]] == names
    assert noted == notes


def test_tools_say_what_they_take_and_all_are_strict_or_none(sent: Any) -> None:
    strict = {"type": "function", "function": {**TOOL["function"], "strict": True}}
    body, notes = sent({"tools": [strict, OTHER, {"type": "web_search"}], "parallel_tool_calls": False})
    assert body["strict_tools"] is True
    assert body["tools"][1]["function"]["parameters"] == {"type": "object", "properties": {}}
    assert len(body["tools"]) == 2
    assert notes == {"tools.strict": "clamped", "tools": "dropped", "parallel_tool_calls": "dropped"}


def test_a_choice_without_tools_is_dropped(sent: Any) -> None:
    body, notes = sent({"tool_choice": "required"})
    assert "tool_choice" not in body
    assert notes == {"tool_choice": "dropped"}


def test_a_schema_is_a_json_object_with_that_schema(sent: Any) -> None:
    assert sent({"response_format": FORMAT})[0]["response_format"] == {"type": "json_object", "json_schema": SCHEMA}
    assert sent({"response_format": {"type": "json_object"}})[0]["response_format"] == {"type": "json_object"}
    assert "response_format" not in sent({"response_format": {"type": "text"}})[0]


@pytest.mark.parametrize("beside", [{"tools": [TOOL]}, {"documents": ["d"]}])
def test_a_format_beside_tools_or_documents_is_dropped_since_the_vendor_refuses_it(sent: Any, beside: Any) -> None:
    body, notes = sent({"response_format": FORMAT, **beside})
    assert "response_format" not in body
    assert notes == {"response_format": "dropped"}


@pytest.mark.parametrize(
    ("model", "given", "expected", "action"),
    [
        ("command-a-reasoning-08-2025", {"reasoning_effort": "none"}, {"type": "disabled"}, "renamed"),
        (
            "command-a-reasoning-08-2025",
            {"reasoning_effort": "low"},
            {"type": "enabled", "token_budget": 2048},
            "emulated",
        ),
        ("command-a-plus-05-2026", {"reasoning_effort": "high"}, {"type": "enabled"}, "renamed"),
        (
            "command-a-plus-05-2026",
            {"reasoning_effort": "high", "max_tokens": 100},
            {"type": "enabled", "token_budget": 80},
            "emulated",
        ),
        ("command-a-plus-05-2026", {"reasoning_effort": "odd"}, None, "dropped"),
        ("command-a-03-2025", {"reasoning_effort": "high"}, None, "dropped"),
        ("command-a-03-2025", {"reasoning_effort": "none"}, None, None),
        ("command-a-03-2025", {"reasoning_effort": "low", "thinking": {"type": "enabled"}}, {"type": "enabled"}, None),
    ],
)
def test_how_hard_to_think(sent: Any, model: str, given: Any, expected: Any, action: Any) -> None:
    body, notes = sent({"model": model, **given})
    assert body.get("thinking") == expected
    assert notes.get("reasoning_effort") == action


def test_a_conversation_with_tools_and_pictures(sent: Any) -> None:
    messages = [
        {"role": "developer", "content": "be kind"},
        {"role": "user", "content": [{"type": "text", "text": "t"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA", "detail": "low"}}]},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": ""}}]},
        {"role": "tool", "tool_call_id": "1", "content": [{"type": "document", "document": {"id": "d", "data": {"a": "b"}}}, {"type": "text", "text": "x"}]},
        {"role": "function", "name": "old", "content": "result"},
        {"role": "assistant", "content": ""},
        {"role": "user", "name": "Ann", "content": "go on"},
    ]  # fmt: skip
    body, notes = sent({"messages": messages})
    assert body["messages"] == [
        {"role": "system", "content": "be kind"},
        {"role": "user", "content": messages[1]["content"]},
        {"role": "assistant", "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "1", "content": messages[3]["content"]},
        {"role": "user", "content": "old: result"},
        {"role": "user", "content": "go on"},
    ]  # fmt: skip
    assert notes == {"messages.function": "emulated", "messages.assistant": "dropped", "messages.name": "dropped"}


def test_what_the_vendor_cannot_take_in_a_message_is_noted(sent: Any) -> None:
    parts = [
        {"type": "text", "text": "t", "cache_control": {"type": "ephemeral"}},
        {"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}},
        {"type": "file", "file": {"file_id": "f"}},
    ]
    body, notes = sent({"messages": [{"role": "user", "content": parts, "cache_control": {"type": "ephemeral"}}]})
    assert body["messages"] == [{"role": "user", "content": [{"type": "text", "text": "t"}]}]
    assert set(notes) == {
        "messages.cache_control",
        "messages.content.cache_control",
        "messages.content.input_audio",
        "messages.content.file",
    }


def test_reasoning_of_another_vendor_goes_on_as_a_plan_or_not_at_all(sent: Any) -> None:
    block = {"type": "thinking", "text": "hm", "signature": "s", "provider": "anthropic"}
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    thought = {"role": "assistant", "reasoning_content": "hm", "reasoning_blocks": [block], "content": "c"}
    cited = {"annotations": [{"type": "url_citation", "url_citation": {"url": "u"}}]}
    turns = [{"role": "user", "content": "x"}, {**thought, "tool_calls": [call]}, {**thought, **cited}]
    body, notes = sent({"messages": turns})
    assert body["messages"][1] == {"role": "assistant", "content": "c", "tool_plan": "hm", "tool_calls": [call]}
    assert body["messages"][2] == {"role": "assistant", "content": "c"}
    assert notes["messages.reasoning_blocks"] == notes["messages.annotations"] == "dropped"
    assert notes["messages.reasoning_content"] == "dropped"


def test_own_reasoning_goes_back_as_plan_or_thoughts(sent: Any) -> None:
    blocks = [
        {"type": "tool_plan", "text": "p", "provider": "cohere", "index": -1},
        {"type": "thinking", "text": "t", "provider": "cohere", "index": 0},
    ]
    turn = {"role": "assistant", "content": "c", "reasoning_content": "pt", "reasoning_blocks": blocks}
    body, notes = sent({"messages": [turn]})
    content = [{"type": "thinking", "thinking": "t"}, {"type": "text", "text": "c"}]
    assert body["messages"] == [{"role": "assistant", "tool_plan": "p", "content": content}]
    assert notes == {}


def test_a_custom_tool_call_of_another_vendor_is_a_function_call(sent: Any) -> None:
    turn = {"role": "assistant", "tool_calls": [{"id": "1", "type": "custom", "custom": {"name": "c", "input": "i"}}]}
    body, _ = sent({"messages": [turn]})
    assert body["messages"][0]["tool_calls"][0]["function"] == {"name": "c", "arguments": '{"input":"i"}'}


@pytest.mark.parametrize(
    ("given", "expected", "notes"),
    [
        ({"input": "a"}, {"texts": ["a"], "input_type": "search_document", "embedding_types": ["float"]}, {"input_type": "emulated"}),
        (
            {"input": ["a", "b"], "input_type": "search_query", "dimensions": 256, "encoding_format": "base64", "user": "u"},
            {"texts": ["a", "b"], "input_type": "search_query", "embedding_types": ["base64"], "output_dimension": 256},
            {"dimensions": "renamed", "user": "dropped"},
        ),
        (
            {"input": [{"content": [{"type": "text", "text": "t"}]}], "input_type": "search_document", "truncate": "END", "odd": 1},
            {"inputs": [{"content": [{"type": "text", "text": "t"}]}], "input_type": "search_document", "embedding_types": ["float"], "truncate": "END"},
            {"odd": "dropped"},
        ),
        (
            {"input": "", "images": ["data:image/png;base64,AA"], "input_type": "image"},
            {"images": ["data:image/png;base64,AA"], "input_type": "image", "embedding_types": ["float"]},
            {},
        ),
    ],
)  # fmt: skip
def test_embeddings(sent: Any, given: Any, expected: Any, notes: Any) -> None:
    body, noted = sent({"operation": "embeddings", "model": "embed-v4.0", **given})
    assert body == {"model": "embed-v4.0", **expected}
    assert noted == notes


def test_token_ids_cannot_be_embedded(sent: Any) -> None:
    with pytest.raises(BadRequestError, match="token ids"):
        sent({"operation": "embeddings", "input": [1, 2]})


def test_rerank_takes_texts(sent: Any) -> None:
    documents = ["a", {"text": "b"}, {"title": "c", "year": 1}]
    wanted = {"query": "q", "documents": documents, "top_n": 2, "return_documents": True, "priority": 1, "odd": 1}
    body, notes = sent({"operation": "rerank", "model": "rerank-v3.5", **wanted})
    assert body["documents"] == ["a", "b", '{"title":"c","year":1}']
    assert (body["top_n"], body["priority"]) == (2, 1)
    assert notes == {"documents": "emulated", "return_documents": "emulated", "odd": "dropped"}


@pytest.mark.parametrize(
    "body",
    [
        {"model": "m"},
        {"model": "m", "messages": [], "odd": 1},
        {"model": "m", "messages": [{"role": "user", "content": "x", "odd": 1}]},
    ],
)
def test_the_judge_refuses_what_the_sdk_does_not_declare(faults: Any, body: dict[str, Any]) -> None:
    assert faults("/v2/chat", body)


def test_other_operations_are_refused() -> None:
    with pytest.raises(BadRequestError, match="embeddings or rerank"):
        CODEC.encode(Call.start(ImageRequest.model_validate({"model": "m", "prompt": "p"}), clock=FakeClock()))


@pytest.mark.parametrize(
    "body",
    [
        {"messages": "x"},
        {"messages": [{"role": "robot", "content": "x"}]},
        {"messages": []},
        {"messages": [{"role": "assistant", "content": 3}]},
        {"messages": [{"role": "user", "content": "x"}], "p": "much"},
    ],
)
def test_nonsense_is_refused_with_its_place(body: dict[str, Any]) -> None:
    with pytest.raises(BadRequestError, match=r"expected|Input should"):
        canonical_request({"model": "m", **body})


def test_a_request_in_openais_shape_and_back_is_the_same() -> None:
    asked = {"model": "command-a-03-2025", "messages": [{"role": "user", "content": "x"}], "top_p": 0.5, "top_k": 3, "stop": ["a"], "tools": [TOOL], "tool_choice": "required"}  # fmt: skip
    request = ChatRequest.model_validate(asked)
    back = canonical_request(encoded(request, request.model)[1])
    assert back.to_dict() == {**request.to_dict(), "stream": False}
