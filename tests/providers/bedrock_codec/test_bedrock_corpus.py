"""Every recorded exchange with Converse, read by us and by AWS's own client."""

from __future__ import annotations

import base64
import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from bedrock_exchanges import EXCHANGES, RECORDED, Recorded, boto_reads, by_name, decoded, ours
from botocore.exceptions import ClientError

from glassway.pipeline.errors import APIStatusError, StreamInterruptedError
from glassway.pipeline.types import Message
from glassway.providers.codecs.bedrock_assistant import assistant_blocks
from glassway.providers.codecs.bedrock_models import traits_of

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = RECORDED

CONVERSE = [one for one in EXCHANGES if one.api == "converse" and one.status == 200]
UNARY = [one for one in CONVERSE if not one.streams]
STREAMS = [one for one in CONVERSE if one.streams]
ERRORS = [one for one in EXCHANGES if one.status != 200]

FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "tool_use": "tool_calls",
    "guardrail_intervened": "content_filter",
}


def joined(events: list[dict[str, Any]]) -> dict[str, Any]:
    """A stream's events, as botocore reads them, as the answer that they make."""
    blocks: dict[int, dict[str, Any]] = {}
    answer: dict[str, Any] = {}
    for [(name, data)] in (event.items() for event in events):
        index = data.get("contentBlockIndex")
        if name == "contentBlockStart":
            blocks[index] = {"toolUse": {**data["start"]["toolUse"], "input": ""}}
        elif name == "contentBlockDelta":
            add(blocks.setdefault(index, {}), data["delta"])
        elif name in ("messageStop", "metadata"):
            answer |= data
    content = [blocks[index] for index in sorted(blocks)]
    for block in content:
        if "toolUse" in block:
            block["toolUse"]["input"] = json.loads(block["toolUse"]["input"] or "{}")
    return answer | {"output": {"message": {"role": "assistant", "content": content}}}


def add(block: dict[str, Any], delta: dict[str, Any]) -> None:
    if "text" in delta:
        block["text"] = block.get("text", "") + delta["text"]
    elif "toolUse" in delta:
        block["toolUse"]["input"] += delta["toolUse"]["input"]
    else:
        known = block.setdefault("reasoningContent", {}).setdefault("reasoningText", {})
        for key, piece in delta["reasoningContent"].items():
            known[key] = known.get(key, "") + piece


def boto_answer(one: Recorded) -> dict[str, Any]:
    read = boto_reads(one)
    return joined(read) if one.streams else read


def text_of(block: dict[str, Any]) -> str:
    cited = block.get("citationsContent", {}).get("content", ())
    return block.get("text", "") + "".join(piece["text"] for piece in cited)


def theirs(answer: dict[str, Any]) -> dict[str, Any]:
    """What botocore read, in our words."""
    blocks, counts = answer["output"]["message"]["content"], answer["usage"]
    reasoning = [block["reasoningContent"].get("reasoningText", {}) for block in blocks if "reasoningContent" in block]
    tools = [block["toolUse"] for block in blocks if "toolUse" in block]
    cached, written = counts.get("cacheReadInputTokens", 0), counts.get("cacheWriteInputTokens", 0)
    assert counts["totalTokens"] == counts["inputTokens"] + cached + written + counts["outputTokens"]
    return {
        "text": "".join(map(text_of, blocks)),
        "reasoning": "".join(said["text"] for said in reasoning),
        "signatures": [said.get("signature") for said in reasoning],
        "tools": [(use["toolUseId"], use["name"], use["input"]) for use in tools],
        "citations": [
            one["title"] for block in blocks for one in block.get("citationsContent", {}).get("citations", ())
        ],
        "stop": answer["stopReason"],
        "finish": FINISH[answer["stopReason"]],
        "usage": (
            counts["inputTokens"] + cached + written,
            counts["outputTokens"],
            counts["totalTokens"],
            cached,
            written,
        ),
        "latency_ms": answer["metrics"]["latencyMs"],
        "guardrail": (answer.get("trace") or {}).get("guardrail", {}).get("actionReason"),
    }


def found(answer: Any) -> dict[str, Any]:
    message, usage = answer.message, answer.usage
    return {
        "text": answer.text,
        "reasoning": answer.reasoning or "",
        "signatures": [block.signature for block in message.reasoning_blocks or ()],
        "tools": [(call.id, call.function.name, json.loads(call.function.arguments)) for call in answer.tool_calls],
        "citations": [one["title"] for one in message.annotations or ()],
        "stop": answer.choices[0].native_finish_reason,
        "finish": answer.finish_reason,
        "usage": (
            usage.prompt_tokens,
            usage.completion_tokens,
            usage.total_tokens,
            usage.cached_tokens,
            usage.cache_write_tokens,
        ),
        "latency_ms": answer.extra["metrics"]["latencyMs"],
        "guardrail": answer.extra.get("trace", {}).get("guardrail", {}).get("actionReason"),
    }


@pytest.mark.parametrize("one", CONVERSE, ids=by_name)
def test_we_read_what_aws_own_client_reads(one: Recorded) -> None:
    assert found(ours(one)) == theirs(boto_answer(one))
    assert ours(one).usage.anomalies() == ()
    assert ours(one).model == one.model


@pytest.mark.parametrize("one", STREAMS, ids=by_name)
def test_a_stream_becomes_the_response_that_a_unary_call_would_have_brought(one: Recorded) -> None:
    whole = json.dumps(boto_answer(one), default=lambda data: base64.b64encode(data).decode()).encode()
    assert comparable(ours(one)) == comparable(one.codec().decode(one.call(), whole))


def comparable(answer: Any) -> Any:
    data = json.loads(answer.model_dump_json(exclude_none=True))
    data["usage"] = answer.usage.prompt_tokens, answer.usage.total_tokens
    message = data["choices"][0]["message"]
    for call in message.get("tool_calls", ()):
        call["function"]["arguments"] = json.loads(call["function"]["arguments"])
    return data


@pytest.mark.parametrize("one", STREAMS, ids=by_name)
def test_byte_by_byte_gives_the_same_chunks(one: Recorded) -> None:
    pieces = [one.body[at : at + 1] for at in range(len(one.body))]
    assert decoded(one, pieces)[1] == decoded(one, [one.body])[1]


@pytest.mark.parametrize("one", STREAMS, ids=by_name)
def test_a_cut_in_two_anywhere_gives_the_same_chunks(one: Recorded) -> None:
    whole = decoded(one, [one.body])[1]
    wrong = [at for at in cuts(one.body) if decoded(one, [one.body[:at], one.body[at:]])[1] != whole]
    assert wrong == []


def cuts(data: bytes) -> Iterator[int]:
    """Every offset of the first frames, and every 41st behind them."""
    yield from range(1, min(len(data), 400))
    yield from range(400, len(data), 41)


@pytest.mark.parametrize("one", STREAMS, ids=by_name)
def test_a_stream_that_ends_early_is_an_error_wherever_it_is_cut(one: Recorded) -> None:
    told = one.body.index(b"messageStop")
    for at in [*range(1, 300, 7), *range(300, told, max(1, told // 60)), len(one.body) - 1]:
        with pytest.raises(StreamInterruptedError):
            decoded(one, [one.body[:at]])


@pytest.mark.parametrize("one", CONVERSE, ids=by_name)
def test_an_answer_goes_back_into_the_next_request_as_the_vendor_wrote_it(one: Recorded) -> None:
    """Reasoning with its signature, citations and the order of blocks are all there; unsigned reasoning is left out, and said."""
    notes: list[tuple[str, ...]] = []
    message = Message.model_validate_json(json.dumps(ours(one).message.to_dict()))
    back = assistant_blocks(message, traits_of(one.model), lambda *note: notes.append(note))
    said = [block for block in boto_answer(one)["output"]["message"]["content"] if block.get("text") != ""]
    kept = [native(block) for block in said if signed(block)]
    assert back == kept
    assert [name for name, *_ in notes] == ["messages.reasoning"] * (len(said) > len(kept))


def signed(block: dict[str, Any]) -> bool:
    return "reasoningContent" not in block or bool(block["reasoningContent"].get("reasoningText", {}).get("signature"))


def native(block: dict[str, Any]) -> dict[str, Any]:
    """`type: tool_use` is an undocumented echo of Anthropic's, in one recording."""
    use = block.get("toolUse", {})
    return {"toolUse": {key: use[key] for key in use if key != "type"}} if use else block


@pytest.mark.parametrize("one", ERRORS, ids=by_name)
def test_an_error_is_the_clients_error(one: Recorded) -> None:
    with pytest.raises(ClientError) as read:
        boto_reads(one)
    said, meta = read.value.response["Error"], read.value.response["ResponseMetadata"]
    error = one.codec().error(one.status, one.headers, one.body)
    assert isinstance(error, APIStatusError)
    assert type(error).__name__ == CLASSES.get(said["Message"], CLASSES.get(said["Code"]))
    assert error.status_code == meta["HTTPStatusCode"]
    assert error.request_id == meta.get("RequestId")
    assert error.provider == "bedrock"
    assert said["Message"].rstrip(".") in error.message
    assert not error.retryable


CLASSES = {
    "ValidationException": "BadRequestError",
    "400": "BadRequestError",
    "UnrecognizedClientException": "AuthenticationError",
    "ExpiredTokenException": "AuthenticationError",
    "AccessDeniedException": "PermissionDeniedError",
    "The model returned the following errors: Input Tokens Exceeded: Number of input tokens exceeds maximum length. Please update the input to try again.": "ContextWindowExceededError",
}


def test_table_of_what_was_read(capsys: pytest.CaptureFixture[str]) -> None:
    """100 % of the recordings of Converse, by kind; printed for whoever wants to see it."""
    total: Counter[str] = Counter()
    passed: Counter[str] = Counter()
    for one in (*CONVERSE, *(error for error in ERRORS if error.api == "converse")):
        total[one.kind] += 1
        passed[one.kind] += one.status != 200 or found(ours(one)) == theirs(boto_answer(one))
    with capsys.disabled():
        print(f"\n{'bedrock':40} passed/total")
        for kind in sorted(total):
            print(f"{kind:40} {passed[kind]:3}/{total[kind]}")
        print(f"{'all':40} {passed.total():3}/{total.total()}")
    assert passed == total
