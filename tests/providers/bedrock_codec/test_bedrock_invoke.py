"""Recorded exchanges by `invoke`, read by us and by botocore with, for Claude's events, Anthropic's SDK."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import anthropic
import httpx2
import pytest
from bedrock_exchanges import CLAUDE, EXCHANGES, RECORDED, Recorded, boto_reads, by_name, call_of, decoded, frame, ours

from glassway.pipeline.errors import BadRequestError, RateLimitError, ResponseValidationError, StreamInterruptedError
from glassway.providers.codecs.bedrock import BedrockCodec, canonical_request
from glassway.providers.codecs.bedrock_models import traits_of

INVOKE = [one for one in EXCHANGES if one.api == "invoke" and one.status == 200]
CLAUDES = [one for one in INVOKE if "claude" in one.model]
NOVAS = [one for one in INVOKE if "nova" in one.model]
SPOKEN = [*CLAUDES, *NOVAS]
LEFT_OUT = {
    "invoke-length-1": "Cohere's first Command models, prompt completion",
    "invoke-length-2": "Cohere's first Command models, prompt completion",
    "invoke-length-stream-1": "Cohere's first Command models, prompt completion",
    "invoke-text-4": "Cohere's embeddings",
    "invoke-text-stream-1": "Titan Text, prompt completion",
    "invoke-text-stream-4": "Titan Text, prompt completion",
}
"""Bodies of models that are not spoken; Converse serves the chat models among them."""


def sdk_message(one: Recorded) -> dict[str, Any]:
    """Claude's answer as Anthropic's SDK reads what botocore took out of the frames."""
    read = boto_reads(one)
    if not one.streams:
        return json.loads(read.read())
    events = [json.loads(event["chunk"]["bytes"]) for event in read]
    body = "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events).encode()
    headers = {"content-type": "text/event-stream"}
    transport = httpx2.MockTransport(lambda _: httpx2.Response(200, headers=headers, content=body))
    asked: dict[str, Any] = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]}
    with (
        anthropic.Anthropic(
            api_key="k", base_url="http://sdk.test", http_client=httpx2.Client(transport=transport)
        ) as client,
        client.messages.stream(**asked) as stream,
    ):
        return stream.get_final_message().to_dict()


def of_claude(one: Recorded) -> dict[str, Any]:
    message = sdk_message(one)
    blocks, counts = message["content"], message["usage"]
    counted = [
        counts.get(name) or 0 for name in ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    ]
    return {
        "id": message["id"],
        "text": "".join(block["text"] for block in blocks if block["type"] == "text"),
        "reasoning": "".join(block["thinking"] for block in blocks if block["type"] == "thinking"),
        "signatures": [block["signature"] for block in blocks if block["type"] == "thinking"],
        "tools": [(block["id"], block["name"], block["input"]) for block in blocks if block["type"] == "tool_use"],
        "stop": message["stop_reason"],
        "usage": (sum(counted), counts["output_tokens"]),
    }


def of_nova(one: Recorded) -> dict[str, Any]:
    read = boto_reads(one)
    if one.streams:
        events = [json.loads(event["chunk"]["bytes"]) for event in read]
        text = "".join(event["contentBlockDelta"]["delta"]["text"] for event in events if "contentBlockDelta" in event)
        [stop] = [event["messageStop"]["stopReason"] for event in events if "messageStop" in event]
        [counts] = [event["metadata"]["usage"] for event in events if "metadata" in event]
    else:
        answer = json.loads(read.read())
        text = "".join(block.get("text", "") for block in answer["output"]["message"]["content"])
        stop, counts = answer["stopReason"], answer["usage"]
    usage = counts["inputTokens"], counts["outputTokens"]
    return {"id": "", "text": text, "reasoning": "", "signatures": [], "tools": [], "stop": stop, "usage": usage}


def found(answer: Any) -> dict[str, Any]:
    message = answer.message
    return {
        "id": answer.id,
        "text": answer.text,
        "reasoning": answer.reasoning or "",
        "signatures": [block.signature for block in message.reasoning_blocks or ()],
        "tools": [(call.id, call.function.name, json.loads(call.function.arguments)) for call in answer.tool_calls],
        "stop": answer.choices[0].native_finish_reason,
        "usage": (answer.usage.prompt_tokens, answer.usage.completion_tokens),
    }


@RECORDED
@pytest.mark.parametrize("one", SPOKEN, ids=by_name)
def test_we_read_what_the_official_clients_read(one: Recorded) -> None:
    assert found(ours(one)) == (of_claude(one) if one in CLAUDES else of_nova(one))


@RECORDED
@pytest.mark.parametrize("one", [one for one in SPOKEN if one.streams], ids=by_name)
def test_byte_by_byte_gives_the_same_chunks(one: Recorded) -> None:
    pieces = [one.body[at : at + 1] for at in range(len(one.body))]
    assert decoded(one, pieces)[1] == decoded(one, [one.body])[1]


@RECORDED
@pytest.mark.parametrize("one", [one for one in SPOKEN if one.streams], ids=by_name)
def test_half_a_stream_is_an_error(one: Recorded) -> None:
    with pytest.raises(StreamInterruptedError):
        decoded(one, [one.body[: len(one.body) // 2]])


@RECORDED
def test_table_of_what_was_read(capsys: pytest.CaptureFixture[str]) -> None:
    """All but the bodies that are listed with their reason."""
    total = Counter(one.kind for one in INVOKE)
    passed = Counter(
        one.kind for one in SPOKEN if found(ours(one)) == (of_claude(one) if one in CLAUDES else of_nova(one))
    )
    with capsys.disabled():
        print(f"\n{'bedrock':40} passed/total")
        for kind in sorted(total):
            print(f"{kind:40} {passed[kind]:3}/{total[kind]}")
        for name, reason in LEFT_OUT.items():
            print(f"  not spoken: {name}: {reason}")
    assert {one.name for one in INVOKE if one not in SPOKEN} == LEFT_OUT.keys()
    assert passed.total() == len(SPOKEN)


def body_of(request: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    call = call_of(request, api="invoke")
    encoded = BedrockCodec().encode(call)
    return encoded.path, json.loads(encoded.content)


def test_claude_is_sent_anthropics_body_less_what_the_path_says() -> None:
    path, body = body_of({"stream": True, "max_tokens": 5, "temperature": 0.5, "betas": ["b-1"]})
    assert path.endswith("v1%3A0/invoke-with-response-stream")
    assert body == {
        "anthropic_version": "bedrock-2023-05-31",
        "anthropic_beta": ["b-1"],
        "max_tokens": 5,
        "messages": [{"role": "user", "content": "x"}],
        "temperature": 0.5,
    }


def test_nova_is_sent_its_own_body() -> None:
    path, body = body_of({"model": "amazon.nova-lite-v1:0", "max_tokens": 5, "top_k": 3})
    assert path == "/model/amazon.nova-lite-v1%3A0/invoke"
    assert body == {
        "schemaVersion": "messages-v1",
        "messages": [{"role": "user", "content": [{"text": "x"}]}],
        "inferenceConfig": {"maxTokens": 5, "topK": 3},
    }


@RECORDED
@pytest.mark.parametrize("one", NOVAS, ids=by_name)
def test_novas_recorded_bodies_are_sent_as_they_were(one: Recorded) -> None:
    request = canonical_request(one.request, one.model, stream=one.streams)
    body = json.loads(BedrockCodec(api="invoke").encode(call_of(request.model_dump())).content)
    said = {key: one.request[key] for key in ("messages", "system", "toolConfig") if one.request.get(key)}
    assert {key: body[key] for key in said} == said


def test_other_models_are_pointed_to_converse() -> None:
    with pytest.raises(BadRequestError, match="Leave api out"):
        body_of({"model": "meta.llama3-8b-instruct-v1:0"})
    with pytest.raises(BadRequestError, match="'converse' or 'invoke'"):
        BedrockCodec().encode(call_of({}, api="mantle"))


@pytest.mark.parametrize("model", [CLAUDE, "amazon.nova-lite-v1:0"])
def test_what_may_be_wrong_inside_a_stream(model: str) -> None:
    def read(data: bytes) -> Any:
        decoder = BedrockCodec(api="invoke").decoder(call_of({"model": model}))
        return [*decoder.feed(data), *decoder.finish()]

    with pytest.raises(RateLimitError, match="slow down"):
        read(frame("throttlingException", {"message": "slow down"}, kind="exception"))
    with pytest.raises(ResponseValidationError, match="model's own event"):
        read(frame("chunk", {"bytes": "?"}))
    with pytest.raises(StreamInterruptedError):
        read(frame("ping", {"p": "x"}))


def test_the_model_behind_an_arn_may_be_named() -> None:
    arn = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc"
    assert not traits_of(arn).is_claude
    call = call_of({"model": arn, "reasoning_effort": "high", "max_tokens": 9_000}, base_model=CLAUDE)
    encoded = BedrockCodec().encode(call)
    assert (
        encoded.path
        == "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Aapplication-inference-profile%2Fabc/converse"
    )
    assert json.loads(encoded.content)["additionalModelRequestFields"]["thinking"]["type"] == "enabled"
