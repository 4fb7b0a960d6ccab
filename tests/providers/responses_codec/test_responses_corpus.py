"""Recorded answers of Responses read as the official OpenAI client reads them, however their bytes arrive."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import httpx2
import openai
import pytest

from glassway.pipeline.call import Call
from glassway.pipeline.errors import APIError, StreamInterruptedError
from glassway.pipeline.types import ChatRequest, ChatResponse
from glassway.providers.codecs.responses import ResponsesCodec

CALL = Call.start(ChatRequest.model_validate({"model": "m", "messages": [{"role": "user", "content": "x"}]}))
WORK_PER_STREAM = 3_000_000
"""Bytes that all splits of one stream may add up to: every offset of a short one, evenly spread ones of a long one."""

CALLS = {"function_call": "arguments", "custom_tool_call": "input"}
FINISH = {"max_output_tokens": "length", "content_filter": "content_filter"}


def official(recorded: Any) -> openai.OpenAI:
    """The official client, answered with the recorded bytes."""

    def answer(request: httpx2.Request) -> httpx2.Response:
        headers = {name: value for name, value in recorded.headers.items() if name in ("content-type", "x-request-id")}
        return httpx2.Response(recorded.status, headers=headers, content=recorded.body, request=request)

    http = httpx2.Client(transport=httpx2.MockTransport(answer))
    return openai.OpenAI(api_key="k", base_url="http://vendor.invalid/v1", max_retries=0, http_client=http)


def official_answer(recorded: Any) -> dict[str, Any]:
    """What the client read: a whole response, or the one that ends a stream.

    In a stream reasoning is encrypted anew for the event that ends it: of the two, the item's own is taken.
    """
    with official(recorded) as client:
        if not recorded.streaming:
            return client.responses.create(model="m", input="x").to_dict(mode="json", warnings=False)
        sealed: dict[str, Any] = {}
        for event in client.responses.create(model="m", input="x", stream=True):
            data: dict[str, Any] = event.to_dict(mode="json", warnings=False)
            if data["type"] == "response.output_item.done" and data["item"]["type"] == "reasoning":
                sealed[data["item"]["id"]] = data["item"]
            if data["type"] in ("response.completed", "response.incomplete"):
                response: dict[str, Any] = data["response"]
                response["output"] = [sealed.get(item.get("id"), item) for item in response["output"]]
                return response
    raise AssertionError("the client found no end")


def codec(recorded: Any) -> ResponsesCodec:
    return ResponsesCodec(recorded.vendor)


def read(recorded: Any, *pieces: bytes) -> list[Any]:
    decoder = codec(recorded).decoder(CALL)
    chunks = [chunk for piece in pieces for chunk in decoder.feed(piece)]
    return chunks + list(decoder.finish())


def ours(recorded: Any) -> ChatResponse:
    if not recorded.streaming:
        return codec(recorded).decode(CALL, recorded.body)
    return codec(recorded).assemble(CALL, read(recorded, recorded.body))


# -- what both readings are compared by


def theirs(response: dict[str, Any]) -> dict[str, Any]:
    """What the client read, in our words."""
    items, usage = response["output"], response["usage"]
    of = lambda *kinds: [item for item in items if item["type"] in kinds]  # noqa: E731
    parts = [part for item in of("message") for part in item["content"]]
    thoughts = [part for item in of("reasoning") for part in [*item["summary"], *(item.get("content") or [])]]
    reason = (response.get("incomplete_details") or {}).get("reason")
    return {
        "id": response["id"],
        "model": response["model"],
        "created": int(response["created_at"]),
        "text": "".join(part["text"] for part in parts if part["type"] == "output_text"),
        "refusal": "".join(part["refusal"] for part in parts if part["type"] == "refusal"),
        "annotations": [a["type"] for part in parts for a in part.get("annotations") or ()],
        "reasoning": "\n\n".join(part["text"] for part in thoughts if part["text"]),
        "sealed": [(item.get("id"), item.get("encrypted_content")) for item in of("reasoning")],
        "tools": [(item["call_id"], item["name"], item[CALLS[item["type"]]]) for item in of(*CALLS)],
        "items": [(item["type"], item.get("id"), item.get("status"), item.get("phase")) for item in items],
        "native": [item for item in items if item["type"] not in ("message", "reasoning", *CALLS)],
        "finish": FINISH[reason] if reason else "tool_calls" if of(*CALLS) else "stop",
        "usage": (
            usage["input_tokens"],
            usage["output_tokens"],
            usage["total_tokens"],
            (usage.get("input_tokens_details") or {}).get("cached_tokens"),
            (usage.get("output_tokens_details") or {}).get("reasoning_tokens"),
        ),
        "tier": response.get("service_tier"),
    }


def found(answer: ChatResponse) -> dict[str, Any]:
    """The same of our response."""
    message, usage = answer.message, answer.usage
    assert usage is not None
    layout = message.extra.get("provider_blocks", ())
    blocks = list(message.reasoning_blocks or ())
    prompt, completion = usage.prompt_tokens_details, usage.completion_tokens_details
    of_reasoning = iter(blocks)
    sealed = [next(of_reasoning) if entry["type"] == "reasoning" else None for entry in layout]
    states = [(block.id, block.extra.get("status")) if block else None for block in sealed]
    return {
        "id": answer.id,
        "model": answer.model,
        "created": answer.created,
        "text": answer.text,
        "refusal": message.refusal or "",
        "annotations": [note["type"] for note in message.annotations or ()],
        "reasoning": answer.reasoning or "",
        "sealed": [(block.id, block.data) for block in blocks],
        "tools": [_tool(call) for call in answer.tool_calls],
        "items": [
            (e["type"], *(state or (e.get("id"), e.get("status"))), e.get("phase"))
            for e, state in zip(layout, states, strict=True)
        ],
        "native": [
            {name: entry[name] for name in entry if name != "provider"}
            for entry in layout
            if entry["type"] not in ("message", "reasoning", *CALLS)
        ],
        "finish": answer.finish_reason,
        "usage": (
            usage.prompt_tokens,
            usage.completion_tokens,
            usage.total_tokens,
            prompt.cached_tokens if prompt else None,
            completion.reasoning_tokens if completion else None,
        ),
        "tier": answer.service_tier,
    }


def _tool(call: Any) -> tuple[str, str, str]:
    if call.function is None:
        return call.id, call.extra["custom"]["name"], call.extra["custom"]["input"]
    return call.id, call.function.name, call.function.arguments


# -- answers


def test_we_read_what_the_official_client_reads(recorded_answer: Any) -> None:
    answer = ours(recorded_answer)
    assert found(answer) == theirs(official_answer(recorded_answer))
    assert answer.usage is not None
    assert answer.usage.anomalies() == ()


def test_a_stream_becomes_the_response_that_a_unary_call_would_have_brought(recorded_stream: Any) -> None:
    whole = json.dumps(official_answer(recorded_stream)).encode()
    streamed, unary = ours(recorded_stream), codec(recorded_stream).decode(CALL, whole)
    assert streamed.to_dict() == unary.to_dict()


def outcome(recorded: Any, *pieces: bytes) -> tuple[list[Any], str]:
    """All chunks that came out, and how it ended."""
    decoder, chunks = codec(recorded).decoder(CALL), list[Any]()
    try:
        for piece in pieces:
            chunks += decoder.feed(piece)
        chunks += decoder.finish()
    except APIError as error:
        return chunks, str(error)
    return chunks, "complete"


def test_byte_by_byte_gives_the_same_chunks(recorded_stream: Any) -> None:
    body = recorded_stream.body
    assert outcome(recorded_stream, *(body[at : at + 1] for at in range(len(body)))) == outcome(recorded_stream, body)


def test_a_cut_in_two_anywhere_gives_the_same_chunks(recorded_stream: Any) -> None:
    body = recorded_stream.body
    whole = outcome(recorded_stream, body)
    for at in range(0, len(body), max(1, len(body) * len(body) // WORK_PER_STREAM)):
        assert outcome(recorded_stream, body[:at], body[at:]) == whole, at


def test_a_stream_that_lacks_its_end_is_never_complete(recorded_stream: Any) -> None:
    told = recorded_stream.body.index(b'"response.completed"')
    for at in range(0, told, max(1, told // 40)):
        with pytest.raises(StreamInterruptedError):
            read(recorded_stream, recorded_stream.body[:at])


# -- errors


def test_an_error_is_the_official_clients_error(recorded_error: Any) -> None:
    with official(recorded_error) as client, pytest.raises(openai.APIStatusError) as sdks:
        client.responses.create(model="m", input="x")
    error = codec(recorded_error).error(recorded_error.status, recorded_error.headers, recorded_error.body)
    assert type(sdks.value).__name__ in {kind.__name__ for kind in type(error).__mro__}
    assert error.status_code == sdks.value.status_code
    assert error.request_id == recorded_error.headers.get("x-request-id")
    assert error.retryable is False


def test_table_of_what_was_read(capsys: pytest.CaptureFixture[str], recorded_table: Any) -> None:
    """All recordings, by vendor and kind; printed for whoever wants to see it."""
    total, passed = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for recorded in recorded_table:
        total[recorded.vendor, recorded.kind] += 1
        if recorded.status != 200:
            error = codec(recorded).error(recorded.status, recorded.headers, recorded.body)
            passed[recorded.vendor, recorded.kind] += error.status_code == recorded.status
        else:
            passed[recorded.vendor, recorded.kind] += found(ours(recorded)) == theirs(official_answer(recorded))
    with capsys.disabled():
        print(f"\n{'vendor':12} {'kind':32} passed/total")
        for vendor, kind in sorted(total):
            print(f"{vendor:12} {kind:32} {passed[vendor, kind]:3}/{total[vendor, kind]}")
        print(f"{'all':45} {passed.total():3}/{total.total()}")
    assert passed == total
