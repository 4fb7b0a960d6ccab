"""Requests to the Messages API, read as canonical ones and written again: nothing is lost that the vendor would notice."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from glassway.pipeline.call import Call
from glassway.pipeline.errors import BadRequestError
from glassway.pipeline.facts import TRANSLATION
from glassway.pipeline.types import ChatRequest, OtherPart
from glassway.providers.codecs.anthropic import AnthropicCodec, canonical_request
from glassway.testing import FakeClock

CORPUS = Path(os.environ.get("GLASSWAY_CORPUS") or Path(__file__).parents[3] / "../shared/corpus").resolve()


def _bodies() -> list[Any]:
    params = []
    for path in sorted((*CORPUS.glob("anthropic/messages-*.json"), *CORPUS.glob("vertex/anthropic-*.json"))):
        body = (json.loads(path.read_text())["request"] or {}).get("json")
        if body:
            params.append(pytest.param(body, id=path.stem))
    return params


BODIES = _bodies()
RECORDED = pytest.mark.skipif(not BODIES, reason=f"no recorded exchanges at {CORPUS}")


def encode(request: ChatRequest, codec: AnthropicCodec) -> tuple[dict[str, Any], dict[str, str], Call]:
    call = Call.start(request, clock=FakeClock())
    encoded = codec.encode(call)
    return json.loads(encoded.content), dict(encoded.headers), call


def again(body: dict[str, Any]) -> dict[str, Any]:
    codec = AnthropicCodec(host="vertex" if "anthropic_version" in body else "anthropic")
    request = canonical_request(body)
    if not request.model:
        request = request.but(model="claude-sonnet-4@20250514")
    return encode(request, codec)[0]


def normal(body: dict[str, Any]) -> dict[str, Any]:
    """A body without differences that mean nothing to the vendor:

    * `stream: false`, an empty `tools`, an empty `system` and a tool's `strict: false` are what their absence means;
    * consecutive turns of one role are one turn (https://platform.claude.com/docs/en/api/messages/create, `messages`).
    """
    body = json.loads(json.dumps(body))
    for name in ("stream", "tools", "system"):
        if not body.get(name):
            body.pop(name, None)
    for tool in body.get("tools", ()):
        if tool.get("strict") is False:
            del tool["strict"]
    turns: list[dict[str, Any]] = []
    for turn in body["messages"]:
        if turns and turns[-1]["role"] == turn["role"]:
            turns[-1]["content"] = [*_blocks(turns[-1]["content"]), *_blocks(turn["content"])]
        else:
            turns.append(turn)
    return body | {"messages": turns}


def _blocks(content: str | list[Any]) -> list[Any]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


@RECORDED
@pytest.mark.parametrize("body", BODIES)
def test_a_recorded_request_is_sent_again_as_it_was(faults: Any, body: dict[str, Any]) -> None:
    assert normal(again(body)) == normal(body)


@RECORDED
@pytest.mark.parametrize("body", BODIES)
def test_a_recorded_request_survives_being_json_in_between(body: dict[str, Any]) -> None:
    """The canonical request may cross a process: cache keys, replays, queues."""
    request = ChatRequest.model_validate_json(canonical_request(body).model_dump_json())
    if not request.model:
        request = request.but(model="claude-sonnet-4@20250514")
    sent = encode(request, AnthropicCodec(host="vertex" if "anthropic_version" in body else "anthropic"))[0]
    assert _without_null(normal(sent)) == _without_null(normal(body))


def _without_null(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_null(one) for key, one in value.items() if one is not None}
    return [_without_null(one) for one in value] if isinstance(value, list) else value


@RECORDED
@pytest.mark.parametrize("body", BODIES)
def test_what_is_sent_is_what_the_sdk_would_send(faults: Any, body: dict[str, Any]) -> None:
    sent = again(body)
    if "anthropic_version" in sent:
        sent = {"model": "claude-x"} | {name: value for name, value in sent.items() if name != "anthropic_version"}
    beta = (
        "output_format" in sent or "mcp_servers" in sent or any(turn["role"] == "system" for turn in sent["messages"])
    )
    assert faults(_without_format(sent), beta=beta) == []


def _without_format(body: dict[str, Any]) -> dict[str, Any]:
    """The deprecated `output_format` is in no SDK's parameters any more; it is passed on as it came."""
    return {name: value for name, value in body.items() if name != "output_format"}


def test_the_judge_finds_faults(faults: Any) -> None:
    good = {"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": [{"type": "text", "text": "x"}]}]}
    assert faults(good) == []
    assert faults(good | {"seed": 1})
    assert faults(good | {"messages": [{"role": "user", "content": [{"type": "text", "text": "x", "wrong": 1}]}]})
    assert faults(good | {"messages": [{"role": "user", "content": [{"type": "input_audio", "data": "x"}]}]})


EVERYTHING: dict[str, Any] = {
    "model": "claude-opus-4-8",
    "max_tokens": 5,
    "system": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "q", "cache_control": {"type": "ephemeral"}},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
                {"type": "image", "source": {"type": "url", "url": "https://x.test/a.png"}, "cache_control": {"type": "ephemeral"}},
                {"type": "image", "source": {"type": "file", "file_id": "f1"}},
                {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBE"}, "title": "t"},
                {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "ünï"}, "citations": {"enabled": True}},
                {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "ünï"}},
                {"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": "c"}]}, "context": "k"},
                {"type": "search_result", "source": "s", "title": "t", "content": [{"type": "text", "text": "c"}], "citations": {"enabled": True}},
                {"type": "container_upload", "file_id": "f"},
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "one", "signature": "sig1"},
                {"type": "server_tool_use", "id": "srv_1", "name": "web_search", "input": {"query": "x"}},
                {"type": "web_search_tool_result", "tool_use_id": "srv_1", "content": []},
                {"type": "redacted_thinking", "data": "xyz"},
                {
                    "type": "text",
                    "text": "a",
                    "citations": [{"type": "char_location", "cited_text": "c", "document_index": 0, "document_title": None, "start_char_index": 0, "end_char_index": 1}],
                },
                {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": [1, {"b": None}]}, "caller": {"type": "direct"}},
                {"type": "text", "text": "between"},
                {"type": "tool_use", "id": "t2", "name": "g", "input": {}, "cache_control": {"type": "ephemeral"}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "t1", "content": "r", "is_error": True},
                {"type": "tool_result", "tool_use_id": "t2", "content": [{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA"}}, {"type": "tool_reference", "tool_name": "f"}]},
                {"type": "text", "text": "and now?"},
            ],
        },
        {"role": "system", "content": [{"type": "text", "text": "mid"}]},
        {"role": "assistant", "content": [{"type": "text", "text": "pre"}]},
    ],
    "tools": [
        {"name": "f", "description": "d", "input_schema": {"type": "object", "properties": {"a": {"type": "integer"}}}, "cache_control": {"type": "ephemeral"}, "defer_loading": True, "strict": True},
        {"name": "g", "input_schema": {"type": "object"}, "input_examples": [{"a": 1}]},
        {"type": "web_search_20250305", "name": "web_search", "max_uses": 3},
    ],
    "tool_choice": {"type": "auto", "disable_parallel_tool_use": True},
    "stop_sequences": ["a", "b"],
    "metadata": {"user_id": "u"},
    "service_tier": "standard_only",
    "thinking": {"type": "adaptive", "display": "summarized"},
    "output_config": {"effort": "max", "format": {"type": "json_schema", "schema": {"type": "object", "properties": {}, "additionalProperties": False}}},
    "container": "c1",
    "inference_geo": "us",
    "cache_control": {"type": "ephemeral"},
    "stream": True,
}  # fmt: skip


def test_a_request_with_everything_in_it_is_sent_again_as_it_was(faults: Any) -> None:
    assert again(EVERYTHING) == EVERYTHING
    assert faults(again(EVERYTHING)) == []


def test_a_request_with_everything_in_it_is_canonical_where_openai_has_words() -> None:
    request = canonical_request(EVERYTHING)
    roles = [message.role for message in request.messages]
    assert roles == ["system", "user", "assistant", "tool", "tool", "user", "system", "assistant"]
    assistant = request.messages[2]
    assert [call.function.name for call in assistant.tool_calls or () if call.function] == ["f", "g"]
    assert assistant.reasoning_content == "one"
    assert assistant.text == "abetween"
    assert request.reasoning_effort == "max"
    assert request.response_format is not None
    assert request.response_format.type == "json_schema"
    assert request.parallel_tool_calls is False
    assert request.user == "u"
    assert request.messages[1].content is not None
    kept = [part.type for part in request.messages[1].content if isinstance(part, OtherPart)]
    assert kept == ["image", "document", "document", "search_result", "container_upload"]


def test_a_text_that_a_stage_rewrote_is_sent_as_rewritten() -> None:
    """What the message keeps of the vendor's order holds no second copy of the text."""
    request = canonical_request(EVERYTHING)
    redacted = request.messages[2].but(content="[redacted]")
    sent = encode(request.but(messages=(*request.messages[:2], redacted, *request.messages[3:])), AnthropicCodec())[0]
    kinds = [block["type"] for block in sent["messages"][1]["content"]]
    assert kinds == [
        "thinking",
        "server_tool_use",
        "web_search_tool_result",
        "redacted_thinking",
        "text",
        "tool_use",
        "tool_use",
    ]
    assert "between" not in json.dumps(sent)


@pytest.mark.parametrize("name", ["auto", "any", "none"])
def test_tool_choices_survive(name: str) -> None:
    body = {
        "model": "m",
        "max_tokens": 1,
        "messages": [{"role": "user", "content": "x"}],
        "tools": [{"name": "f", "input_schema": {"type": "object"}}],
        "tool_choice": {"type": name},
    }
    assert again(body) == body


def test_an_order_of_results_and_texts_survives() -> None:
    content = [
        {"type": "text", "text": "a"},
        {"type": "tool_result", "tool_use_id": "t"},
        {"type": "text", "text": "b"},
    ]
    body = {"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": content}]}
    assert again(body) == body


def test_a_passed_effort_is_not_translated_twice() -> None:
    request = canonical_request(
        {
            "model": "claude-opus-4-5",
            "max_tokens": 5,
            "messages": [{"role": "user", "content": "x"}],
            "output_config": {"effort": "low"},
        }
    )
    sent, _, call = encode(request, AnthropicCodec())
    assert sent["output_config"] == {"effort": "low"}
    assert "thinking" not in sent
    assert call.trail(TRANSLATION) == ()


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"messages": "x"}, "messages"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages.0.role"),
        ({"messages": [{"role": "user", "content": [{"text": "PROMPT"}]}]}, "messages.0.content"),
        ({"messages": [{"role": "user"}]}, "messages.0.content"),
        ({"messages": []}, "messages"),
        ({"temperature": "PROMPT"}, "temperature"),
        ({"tools": ["PROMPT"]}, "tools"),
        ({"stop_sequences": 3}, "stop"),
        ({"max_tokens": "PROMPT"}, "max_tokens"),
        ({"model": None}, "model"),
    ],
)
def test_a_wrong_request_is_refused_with_the_place_and_without_its_content(change: dict[str, Any], place: str) -> None:
    body = {"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": "x"}]} | change
    with pytest.raises(BadRequestError) as error:
        canonical_request(body)
    assert error.value.message.startswith(place)
    assert "PROMPT" not in error.value.message
