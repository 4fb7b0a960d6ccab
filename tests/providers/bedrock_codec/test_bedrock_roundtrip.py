"""Requests to Converse, read as canonical ones and written again: nothing is lost that the vendor would notice."""

from __future__ import annotations

import json
from typing import Any

import pytest
from bedrock_exchanges import CLAUDE, EXCHANGES, RECORDED, Recorded, by_name, faults

from glassway.pipeline.call import Call
from glassway.pipeline.errors import BadRequestError
from glassway.pipeline.facts import TRANSLATION
from glassway.pipeline.types import ChatRequest
from glassway.providers.codecs.bedrock import BedrockCodec, canonical_request
from glassway.testing import FakeClock

CONVERSE = [one for one in EXCHANGES if one.api == "converse"]


def encode(request: ChatRequest) -> tuple[str, dict[str, Any], Call]:
    call = Call.start(request, clock=FakeClock())
    encoded = BedrockCodec().encode(call)
    return encoded.path, json.loads(encoded.content), call


def normal(body: dict[str, Any]) -> dict[str, Any]:
    """A body without differences that mean nothing to the vendor:

    * empty `system`, `inferenceConfig`, `stopSequences` and `additionalModelRequestFields` are what their absence means;
    * consecutive turns of one role are one turn;
    * the text of a JSON schema may be spaced otherwise.
    """
    body = json.loads(json.dumps(body))
    config = {key: value for key, value in body.pop("inferenceConfig", {}).items() if value != []}
    body |= {"inferenceConfig": config} if config else {}
    for name in ("system", "additionalModelRequestFields"):
        if not body.get(name):
            body.pop(name, None)
    if schema := body.get("outputConfig", {}).get("textFormat", {}).get("structure", {}).get("jsonSchema"):
        schema["schema"] = json.loads(schema["schema"])
    turns: list[dict[str, Any]] = []
    for turn in body["messages"]:
        if turns and turns[-1]["role"] == turn["role"]:
            turns[-1]["content"] += turn["content"]
        else:
            turns.append(turn)
    return body | {"messages": turns}


@RECORDED
@pytest.mark.parametrize("one", CONVERSE, ids=by_name)
def test_a_recorded_request_is_sent_again_as_it_was(one: Recorded) -> None:
    path, body, call = encode(canonical_request(one.request, one.model, stream=one.streams))
    assert normal(body) == normal(one.request)
    assert path == f"/model/{one.model.replace(':', '%3A')}/converse{'-stream' * one.streams}"
    assert {fact.parameter for fact in call.trail(TRANSLATION)} <= {"response_format"}


@RECORDED
@pytest.mark.parametrize("one", CONVERSE, ids=by_name)
def test_a_recorded_request_survives_being_json_in_between(one: Recorded) -> None:
    """The canonical request may cross a process: cache keys, replays, queues."""
    request = canonical_request(one.request, one.model, stream=one.streams)
    assert normal(encode(ChatRequest.model_validate_json(request.model_dump_json()))[1]) == normal(one.request)


@RECORDED
@pytest.mark.parametrize("one", CONVERSE, ids=by_name)
def test_what_is_sent_fits_the_service_model(one: Recorded) -> None:
    body = encode(canonical_request(one.request, one.model, stream=one.streams))[1]
    assert faults(body, stream=one.streams) == ""


def test_the_judge_finds_faults() -> None:
    good = {"messages": [{"role": "user", "content": [{"text": "x"}]}]}
    assert faults(good) == ""
    assert faults(good | {"seed": 1})
    assert faults(good | {"inferenceConfig": {"maxTokens": "5"}})
    assert faults({"messages": [{"role": "user", "content": [{"text": "x", "cachePoint": {"type": "default"}}]}]})
    assert faults({"messages": [{"role": "user", "content": [{"image": {"format": "png"}}]}]})


EVERYTHING: dict[str, Any] = {
    "system": [
        {"text": "s"},
        {"cachePoint": {"type": "default", "ttl": "1h"}},
        {"guardContent": {"text": {"text": "g", "qualifiers": ["guard_content"]}}},
    ],
    "messages": [
        {
            "role": "user",
            "content": [
                {"text": "q"},
                {"cachePoint": {"type": "default"}},
                {"image": {"format": "png", "source": {"bytes": "AAAA"}}},
                {"image": {"format": "jpeg", "source": {"s3Location": {"uri": "s3://bucket/a.jpg"}}}},
                {"image": {"format": "png", "source": {"s3Location": {"uri": "s3://bucket/without-a-name"}}}},
                {"image": {"format": "gif", "source": {"s3Location": {"uri": "s3://bucket/a.gif", "bucketOwner": "123456789012"}}}},
                {"video": {"format": "mp4", "source": {"s3Location": {"uri": "s3://bucket/a.mp4"}}}},
                {"video": {"format": "three_gp", "source": {"bytes": "AAAA"}}},
                {"audio": {"format": "wav", "source": {"bytes": "AAAA"}}},
                {"document": {"format": "pdf", "name": "one", "source": {"bytes": "JVBE"}}},
                {"cachePoint": {"type": "default"}},
                {"document": {"format": "docx", "name": "two", "source": {"s3Location": {"uri": "s3://bucket/a.docx"}}}},
                {"document": {"format": "txt", "name": "three", "source": {"text": "t"}, "citations": {"enabled": True}, "context": "c"}},
                {"searchResult": {"source": "s", "title": "t", "content": [{"text": "c"}], "citations": {"enabled": True}}},
                {"guardContent": {"text": {"text": "g"}}},
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"reasoningContent": {"reasoningText": {"text": "r", "signature": "s"}}},
                {"reasoningContent": {"redactedContent": "AAAA"}},
                {"text": "I look"},
                {"citationsContent": {"content": [{"text": "it is so"}], "citations": [{"title": "t", "location": {"web": {"url": "https://x.test"}}}]}},
                {"cachePoint": {"type": "default"}},
                {"toolUse": {"toolUseId": "t1", "name": "look", "input": {"at": ["ünï", None, 1.5]}}},
                {"toolUse": {"toolUseId": "t2", "name": "look", "input": {}}},
                {"cachePoint": {"type": "default"}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"toolResult": {"toolUseId": "t1", "content": [{"text": "sunny"}, {"json": {"a": 1}}], "status": "success"}},
                {"cachePoint": {"type": "default"}},
                {"toolResult": {"toolUseId": "t2", "content": [], "status": "error"}},
                {"text": "and?"},
            ],
        },
        {"role": "assistant", "content": [{"toolUse": {"toolUseId": "s1", "name": "nova_grounding", "input": {}, "type": "server_tool_use"}}, {"text": "a"}, {"text": "b"}]},
        {"role": "user", "content": [{"text": "go"}]},
    ],
    "toolConfig": {
        "tools": [
            {"toolSpec": {"name": "look", "description": "d", "inputSchema": {"json": {"type": "object", "properties": {}}}, "strict": True}},
            {"cachePoint": {"type": "default"}},
            {"systemTool": {"name": "nova_grounding"}},
        ],
        "toolChoice": {"tool": {"name": "look"}},
    },
    "inferenceConfig": {"maxTokens": 5, "temperature": 0.5, "stopSequences": ["x"]},
    "additionalModelRequestFields": {"anthropic_beta": ["b"]},
    "additionalModelResponseFieldPaths": ["/stop_sequence"],
    "guardrailConfig": {"guardrailIdentifier": "g", "guardrailVersion": "1", "trace": "enabled"},
    "performanceConfig": {"latency": "optimized"},
    "requestMetadata": {"team": "a"},
    "serviceTier": {"type": "flex"},
    "outputConfig": {"effort": "low"},
}  # fmt: skip


def test_everything_that_converse_has_goes_through() -> None:
    assert faults(EVERYTHING) == ""
    request = ChatRequest.model_validate_json(canonical_request(EVERYTHING, CLAUDE).model_dump_json())
    _, body, call = encode(request)
    assert normal(body) == normal(EVERYTHING)
    assert call.trail(TRANSLATION) == ()


def test_encoding_leaves_the_request_as_it_was() -> None:
    """An attempt at another model encodes the same request again."""
    request = canonical_request(EVERYTHING, "amazon.nova-lite-v1:0")
    before = request.model_dump_json()
    encode(request)
    assert request.model_dump_json() == before


def test_names_that_had_to_change_change_on_the_wire_only() -> None:
    document = {"document": {"format": "txt", "name": "same", "source": {"text": "t"}}}
    request = canonical_request(
        {"messages": [{"role": "user", "content": [{"text": "q"}, document, document]}]}, CLAUDE
    )
    for _ in range(2):
        blocks = encode(request)[1]["messages"][0]["content"]
        assert [block["document"]["name"] for block in blocks[1:]] == ["same", "same 2"]


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({}, "messages"),
        ({"messages": "x"}, "messages"),
        ({"messages": [{"role": "user", "content": "x"}]}, "messages.0.content"),
        ({"messages": [{"role": "robot", "content": [{"text": "x"}]}]}, "messages.0.role"),
        ({"messages": [{"role": "user", "content": [{}]}]}, "messages.0.content"),
        ({"messages": [{"role": "user", "content": [{"text": "x"}]}], "toolConfig": []}, "toolConfig"),
        ({"messages": [{"role": "user", "content": [{"text": "x"}]}], "inferenceConfig": {"topP": "much"}}, "top_p"),
    ],
)
def test_what_is_no_request_is_refused_with_the_place(body: dict[str, Any], place: str) -> None:
    with pytest.raises(BadRequestError) as error:
        canonical_request(body, "m")
    assert error.value.message.startswith(place)
