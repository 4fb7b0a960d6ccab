"""Every recorded exchange with the Messages API, read by us and by Anthropic's own SDK."""

from __future__ import annotations

import json
import os
from collections import Counter
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anthropic
import httpx2
import pytest

from glassway.pipeline.call import Call
from glassway.pipeline.errors import APIStatusError, StreamInterruptedError
from glassway.pipeline.types import ChatRequest, ChatResponse, Message
from glassway.providers.codecs.anthropic import AnthropicCodec
from glassway.providers.codecs.anthropic_assistant import assistant_blocks
from glassway.testing import FakeClock

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

CORPUS = Path(os.environ.get("GLASSWAY_CORPUS") or Path(__file__).parents[3] / "../shared/corpus").resolve()
FILES = sorted((*CORPUS.glob("anthropic/messages-*.json"), *CORPUS.glob("vertex/anthropic-*.json")))
NO_CORPUS = pytest.mark.skipif(not FILES, reason=f"no recorded exchanges at {CORPUS}")
pytestmark = NO_CORPUS

CODEC = AnthropicCodec()
CALL = Call.start(
    ChatRequest.model_validate({"model": "claude-x", "messages": [{"role": "user", "content": "x"}]}), clock=FakeClock()
)


@cache
def response(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text())["response"]


def body(path: Path) -> bytes:
    return response(path)["body_text"].encode()


UNARY = [path for path in FILES if not response(path)["streaming"] and response(path)["status"] == 200]
STREAMS = [path for path in FILES if response(path)["streaming"]]
ERRORS = [path for path in FILES if response(path)["status"] != 200]
by_name = {"ids": lambda path: path.stem}


def sdk(path: Path) -> anthropic.Anthropic:
    """The official client, with a transport that answers with the recorded bytes."""
    recorded = response(path)

    def answer(_: httpx2.Request) -> httpx2.Response:
        headers = {"content-type": recorded["headers"].get("content-type") or ""}
        return httpx2.Response(recorded["status"], headers=headers, content=body(path))

    return anthropic.Anthropic(
        api_key="k",
        base_url="http://sdk.test",
        max_retries=0,
        http_client=httpx2.Client(transport=httpx2.MockTransport(answer)),
    )


ASKED: dict[str, Any] = {"model": "claude-x", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]}


def sdk_message(path: Path) -> dict[str, Any]:
    with sdk(path) as client:
        if not response(path)["streaming"]:
            return client.beta.messages.create(**ASKED).to_dict()
        with client.beta.messages.stream(**ASKED) as stream:
            return stream.get_final_message().to_dict()


def decoded(path: Path, pieces: Sequence[bytes]) -> tuple[ChatResponse, list[Any]]:
    decoder = CODEC.decoder(CALL)
    chunks = [chunk for piece in pieces for chunk in decoder.feed(piece)]
    chunks += decoder.finish()
    return CODEC.assemble(CALL, chunks), chunks


def ours(path: Path) -> ChatResponse:
    return decoded(path, [body(path)])[0] if response(path)["streaming"] else CODEC.decode(CALL, body(path))


FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}


def theirs(message: dict[str, Any]) -> dict[str, Any]:
    """What the SDK read, in our words."""
    blocks, counts = message["content"], message["usage"]
    of = lambda kind: [block for block in blocks if block["type"] == kind]  # noqa: E731
    parts = [
        counts.get(name) or 0 for name in ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    ]
    return {
        "id": message["id"],
        "model": message["model"],
        "text": "".join(block["text"] for block in of("text")),
        "thinking": "".join(block["thinking"] for block in of("thinking")),
        "signatures": [block["signature"] for block in of("thinking")],
        "redacted": [block["data"] for block in of("redacted_thinking")],
        "tools": [(block["id"], block["name"], block["input"]) for block in of("tool_use")],
        "citations": sum(len(block.get("citations") or ()) for block in of("text")),
        "native": [
            (block["type"], block.get("id") or block.get("tool_use_id")) for block in blocks if _is_native(block)
        ],
        "stop": message["stop_reason"],
        "finish": FINISH[message["stop_reason"]],
        "usage": (sum(parts), counts["output_tokens"], parts[1], parts[2]),
        "thinking_tokens": (counts.get("output_tokens_details") or {}).get("thinking_tokens"),
        "server_tools": counts.get("server_tool_use"),
    }


def _is_native(block: dict[str, Any]) -> bool:
    return block["type"] not in ("text", "thinking", "redacted_thinking", "tool_use")


def found(answer: ChatResponse) -> dict[str, Any]:
    message, usage = answer.message, answer.usage
    assert usage is not None
    reasoning = message.reasoning_blocks or ()
    native = [block for block in message.extra.get("provider_blocks") or () if _is_native(block)]
    details = usage.completion_tokens_details
    return {
        "id": answer.id,
        "model": answer.model,
        "text": answer.text,
        "thinking": answer.reasoning or "",
        "signatures": [block.signature for block in reasoning if block.type == "thinking"],
        "redacted": [block.data for block in reasoning if block.data],
        "tools": [
            (call.id, call.function.name, json.loads(call.function.arguments))
            for call in answer.tool_calls
            if call.function
        ],
        "citations": len(message.annotations or ()),
        "native": [(block["type"], block.get("id") or block.get("tool_use_id")) for block in native],
        "stop": answer.choices[0].native_finish_reason,
        "finish": answer.finish_reason,
        "usage": (usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens, usage.cache_write_tokens),
        "thinking_tokens": details.reasoning_tokens if details else None,
        "server_tools": (usage.model_extra or {}).get("server_tool_use"),
    }


@pytest.mark.parametrize("path", [*UNARY, *STREAMS], **by_name)
def test_we_read_what_the_official_sdk_reads(path: Path) -> None:
    assert found(ours(path)) == theirs(sdk_message(path))
    assert ours(path).usage.anomalies() == ()  # type: ignore[union-attr]


@pytest.mark.parametrize("path", STREAMS, **by_name)
def test_a_stream_becomes_the_response_that_a_unary_call_would_have_brought(path: Path) -> None:
    whole = json.dumps(sdk_message(path)).encode()
    assert _comparable(ours(path)) == _comparable(CODEC.decode(CALL, whole))


def _comparable(answer: ChatResponse) -> dict[str, Any]:
    data = answer.model_dump(mode="json", exclude_none=True)
    for call in data["choices"][0]["message"].get("tool_calls", ()):
        call["function"]["arguments"] = json.loads(call["function"]["arguments"])
    return json.loads(json.dumps(data))


@pytest.mark.parametrize("path", STREAMS, **by_name)
def test_byte_by_byte_gives_the_same_chunks(path: Path) -> None:
    data = body(path)
    assert decoded(path, [data[at : at + 1] for at in range(len(data))])[1] == decoded(path, [data])[1]


@pytest.mark.parametrize("path", STREAMS, **by_name)
def test_a_cut_in_two_anywhere_gives_the_same_chunks(path: Path) -> None:
    data = body(path)
    whole = decoded(path, [data])[1]
    wrong = [at for at in cuts(data) if decoded(path, [data[:at], data[at:]])[1] != whole]
    assert wrong == []


def cuts(data: bytes) -> Iterator[int]:
    """Every offset of a small stream; of a large one every offset of its beginning, around every character that is not ASCII, and every 11th."""
    for at in range(1, len(data)):
        near = data[max(0, at - 2) : at + 2]
        if len(data) < 7_000 or at < 1_000 or at % 11 == 0 or not near.isascii():
            yield at


@pytest.mark.parametrize("path", STREAMS, **by_name)
def test_a_stream_that_ends_early_is_an_error_wherever_it_is_cut(path: Path) -> None:
    data = body(path)
    told = data.index(b'"message_delta"')
    for at in range(0, told, max(1, told // 60)):
        with pytest.raises(StreamInterruptedError):
            decoded(path, [data[:at]])


@pytest.mark.parametrize("path", [*UNARY, *STREAMS], **by_name)
def test_an_answer_goes_back_into_the_next_request_as_the_vendor_wrote_it(path: Path) -> None:
    """Thinking with its signature, server tools, citations and the order of blocks are all there."""
    notes: list[tuple[str, ...]] = []
    message = Message.model_validate_json(json.dumps(ours(path).message.to_dict()))
    back = assistant_blocks(message, lambda *note: notes.append(note))
    said = [{key: value for key, value in block.items() if value is not None} for block in sdk_message(path)["content"]]
    assert [_without_empty(block) for block in back] == [_without_empty(block) for block in said]
    assert notes == []


def _without_empty(block: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in block.items() if not (key == "citations" and not value)}


@pytest.mark.parametrize("path", ERRORS, **by_name)
def test_an_error_is_the_sdks_error(path: Path) -> None:
    with sdk(path) as client, pytest.raises(anthropic.APIStatusError) as sdks:
        client.messages.create(**ASKED)
    recorded = response(path)
    error = CODEC.error(recorded["status"], recorded["headers"], body(path))
    assert type(error).__name__ == type(sdks.value).__name__
    assert isinstance(error, APIStatusError)
    assert error.status_code == sdks.value.status_code
    assert error.provider == "anthropic"
    assert error.request_id == (recorded["headers"].get("request-id") or json.loads(body(path))["request_id"])
    assert json.loads(body(path))["error"]["message"] in error.message


def test_table_of_what_was_read(capsys: pytest.CaptureFixture[str]) -> None:
    """100 % of the recordings, by kind; printed for whoever wants to see it."""
    total: Counter[str] = Counter()
    passed: Counter[str] = Counter()
    for path in FILES:
        kind = f"{path.parent.name} {path.stem.rstrip('0123456789').rstrip('-')}"
        total[kind] += 1
        passed[kind] += path in ERRORS or found(ours(path)) == theirs(sdk_message(path))
    with capsys.disabled():
        print(f"\n{'vendor and kind':40} passed/total")
        for kind in sorted(total):
            print(f"{kind:40} {passed[kind]:3}/{total[kind]}")
        print(f"{'all':40} {passed.total():3}/{total.total()}")
    assert passed == total
