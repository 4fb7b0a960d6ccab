"""Conversations that began anywhere go on at Bedrock, and those that began here go on here with their signatures."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from bedrock_exchanges import CLAUDE, CORPUS, EXCHANGES, RECORDED, Recorded, by_name, call_of, faults, ours

from glassway.pipeline.types import ChatRequest, ChatResponse
from glassway.providers.codecs.anthropic import AnthropicCodec
from glassway.providers.codecs.bedrock import BedrockCodec
from glassway.providers.codecs.openai import OpenAICodec
from glassway.providers.dialect import COMPATIBLE

if TYPE_CHECKING:
    from pathlib import Path

NOVA = "us.amazon.nova-lite-v1:0"


def unary(pattern: str) -> list[Path]:
    found = []
    for path in sorted(CORPUS.glob(pattern)):
        answer = json.loads(path.read_text())["response"]
        if answer["status"] == 200 and not answer["streaming"]:
            found.append(path)
    return found


def next_body(answer: ChatResponse, model: str) -> dict[str, Any]:
    """What is sent to `model` after `answer`, with a result for each of its tool calls."""
    results = [{"role": "tool", "tool_call_id": call.id, "content": "done"} for call in answer.tool_calls]
    messages = [
        {"role": "user", "content": "q"},
        answer.message.to_dict(),
        *results,
        {"role": "user", "content": "go on"},
    ]
    request = ChatRequest.model_validate_json(json.dumps({"model": model, "messages": messages}))
    return json.loads(BedrockCodec().encode(call_of(request.model_dump(exclude_none=True))).content)


def obstacles(body: dict[str, Any]) -> list[str]:
    """What the vendor would answer with a 400."""
    roles = [turn["role"] for turn in body["messages"]]
    blocks = [block for turn in body["messages"] for block in turn["content"]]
    calls = [block["toolUse"]["toolUseId"] for block in blocks if "toolUse" in block]
    results = [block["toolResult"]["toolUseId"] for block in blocks if "toolResult" in block]
    found = [faults(body)] if faults(body) else []
    found += ["turns do not alternate"] * (roles != ["user", "assistant", "user"][: len(roles)] or roles[0] != "user")
    found += ["calls without results"] * (calls != results)
    found += ["tools are missing"] * (bool(calls) and "toolConfig" not in body)
    found += [f"id {one}" for one in calls if not re.fullmatch(r"[a-zA-Z0-9_.:-]{1,64}", one)]
    return found


@RECORDED
@pytest.mark.parametrize("model", [CLAUDE, NOVA])
@pytest.mark.parametrize("path", unary("anthropic/messages-*.json"), ids=lambda path: path.stem)
def test_after_anthropic(path: Path, model: str) -> None:
    answer = AnthropicCodec().decode(call_of({}), json.loads(path.read_text())["response"]["body_text"].encode())
    body = next_body(answer, model)
    assert obstacles(body) == []
    signed = [block for block in answer.message.reasoning_blocks or () if block.signature]
    sent = [block for turn in body["messages"] for block in turn["content"] if "reasoningContent" in block]
    assert len(sent) == (len(signed) if model == CLAUDE else 0)


@RECORDED
@pytest.mark.parametrize("path", unary("[dgm]*/chat-*.json"), ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_after_vendors_of_openais_wire(path: Path) -> None:
    answer = OpenAICodec(COMPATIBLE).decode(call_of({}), json.loads(path.read_text())["response"]["body_text"].encode())
    if answer.message.text or answer.tool_calls:
        assert obstacles(next_body(answer, CLAUDE)) == []


@RECORDED
@pytest.mark.parametrize("one", [one for one in EXCHANGES if one.api == "converse" and one.status == 200], ids=by_name)
def test_after_bedrock(one: Recorded) -> None:
    answer = ours(one)
    for model in (one.model, CLAUDE, NOVA):
        body = next_body(answer, model)
        assert obstacles(body) == []
        sent = [block for turn in body["messages"] for block in turn["content"] if "reasoningContent" in block]
        kept = [
            block.signature for block in answer.message.reasoning_blocks or () if block.signature and "claude" in model
        ]
        assert [block["reasoningContent"]["reasoningText"]["signature"] for block in sent] == kept


def test_the_judge_finds_obstacles() -> None:
    talk = [
        {"role": "user", "content": [{"text": "q"}]},
        {"role": "assistant", "content": [{"toolUse": {"toolUseId": "a|b", "name": "f", "input": {}}}]},
    ]
    assert obstacles({"messages": talk}) == ["calls without results", "tools are missing", "id a|b"]
    assert obstacles({"messages": talk[:1] * 2}) == ["turns do not alternate"]
