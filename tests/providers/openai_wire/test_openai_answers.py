"""Recorded answers read as the official OpenAI client reads them, however their bytes arrive."""

from __future__ import annotations

from collections import Counter
from typing import Any

import httpx2
import openai
import pytest
from openai.lib.streaming.chat import ChatCompletionStreamState

from glassway.pipeline.call import Call
from glassway.pipeline.errors import APIError, error_kind
from glassway.pipeline.types import ChatChunk, ChatRequest, ChatResponse
from glassway.providers.catalogue import row_of
from glassway.providers.codecs.openai import OpenAICodec

BYTES_PER_STREAM = 3_000_000
"""How much each stream's splits may add up to: every offset of a short one, evenly spread offsets of a long one."""

tally: Counter[tuple[str, str, bool]] = Counter()


def codec(vendor: str) -> OpenAICodec:
    return OpenAICodec(row_of({"ollama-openai": "ollama"}.get(vendor, vendor)).dialect)


def call() -> Call:
    return Call.start(ChatRequest.model_validate({"model": "m", "messages": [{"role": "user", "content": "x"}]}))


def official(recorded: Any) -> openai.OpenAI:
    """The official client, answered with the recorded bytes."""

    def answer(request: httpx2.Request) -> httpx2.Response:
        headers = {name: value for name, value in recorded.headers.items() if name in ("content-type", "x-request-id")}
        return httpx2.Response(recorded.status, headers=headers, content=recorded.body, request=request)

    http = httpx2.Client(transport=httpx2.MockTransport(answer))
    return openai.OpenAI(api_key="k", base_url="http://vendor.invalid/v1", max_retries=0, http_client=http)


# -- what both readings are compared by


def plain(value: Any) -> Any:
    """Without fields that are None or empty: whether a vendor wrote `null` or nothing is not an answer's meaning."""
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items() if item not in (None, [], ())}
    return [plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def text_of(content: Any) -> str:
    """Mistral types its content; the official client hands the list on as it is."""
    if isinstance(content, list):
        return "".join(part.get("text", "") for part in content if part["type"] == "text")
    return content or ""


def thinking_of(content: Any) -> str:
    if not isinstance(content, list):
        return ""
    return "".join(piece["text"] for part in content if part["type"] == "thinking" for piece in part["thinking"])


def official_choice(choice: dict[str, Any]) -> dict[str, Any]:
    message = choice["message"]
    content = message.get("content")
    return {
        "index": choice["index"],
        "text": text_of(content),
        "reasoning": message.get("reasoning_content") or message.get("reasoning") or thinking_of(content),
        "refusal": message.get("refusal") or "",
        "finish": {"eos": "stop"}.get(choice["finish_reason"], choice["finish_reason"]),
        "tools": [
            (tool["id"], tool.get("type") or "function", tool["function"]["name"], tool["function"]["arguments"])
            for tool in message.get("tool_calls") or []
        ],
        "logprobs": plain(choice.get("logprobs") or {}),
    }


def our_choice(choice: Any) -> dict[str, Any]:
    message = choice.message
    tools = message.tool_calls or ()
    return {
        "index": choice.index,
        "text": message.text,
        "reasoning": message.reasoning_content or "",
        "refusal": message.refusal or "",
        "finish": choice.finish_reason,
        "tools": [(tool.id, tool.type, tool.function.name, tool.function.arguments) for tool in tools],
        "logprobs": plain(choice.logprobs or {}),
    }


def expected_usage(vendor: str, raw: dict[str, Any] | None) -> dict[str, Any] | None:
    """The vendor's counts with OpenAI's meaning: the listed differences are those of the vendors' own definitions."""
    if raw is None:
        return None
    usage: dict[str, Any] = plain(raw)
    details = usage.get("prompt_tokens_details", {})
    cached = {"deepseek": "prompt_cache_hit_tokens", "mistral": "num_cached_tokens"}.get(vendor, "cached_tokens")
    if cached in usage and "cached_tokens" not in details:
        usage["prompt_tokens_details"] = {**details, "cached_tokens": usage[cached]}
    if vendor == "xai":  # reasoning is counted beside the completion
        usage["completion_tokens"] = usage["total_tokens"] - usage["prompt_tokens"]
    if vendor == "mistral" and "prompt_audio_seconds" in usage:  # audio is counted beside the prompt
        usage["prompt_tokens"] = usage["total_tokens"] - usage["completion_tokens"]
    return usage


def compare(recorded: Any, ours: ChatResponse, theirs: dict[str, Any], usage: Any) -> None:
    assert [our_choice(choice) for choice in ours.choices] == [official_choice(choice) for choice in theirs["choices"]]
    assert (plain(ours.usage.to_dict()) if ours.usage else None) == expected_usage(recorded.vendor, usage)
    assert (ours.id, ours.model) == (theirs["id"], theirs["model"])


# -- whole answers


def official_whole(recorded: Any) -> Any:
    return official(recorded).chat.completions.create(model="m", messages=[]).to_dict(mode="json", warnings=False)


def test_a_whole_answer_reads_as_the_official_client_reads_it(recorded_whole: Any) -> None:
    key = (recorded_whole.vendor, recorded_whole.kind)
    tally[*key, False] += 1
    theirs = official_whole(recorded_whole)
    ours = codec(recorded_whole.vendor).decode(call(), recorded_whole.body)
    compare(recorded_whole, ours, theirs, theirs.get("usage"))
    tally[*key, True] += 1


def test_no_field_of_a_whole_answer_is_lost(recorded_whole: Any) -> None:
    theirs = official_whole(recorded_whole)
    ours = codec(recorded_whole.vendor).decode(call(), recorded_whole.body).to_dict()
    known = {"choices", "usage"}
    assert {k: v for k, v in ours.items() if k not in known} == {k: v for k, v in theirs.items() if k not in known}
    for our, their in zip(ours["choices"], theirs["choices"], strict=True):
        assert their.keys() - our.keys() == set()
        lost = plain(their["message"]).keys() - our["message"].keys()
        assert lost <= {"reasoning", "reasoning_details"}  # they are `reasoning_content` and `reasoning_blocks`


# -- streams


def read(vendor: str, *pieces: bytes) -> list[ChatChunk]:
    decoder = codec(vendor).decoder(call())
    chunks: list[ChatChunk] = []
    for piece in pieces:
        chunks += decoder.feed(piece)
    return chunks + list(decoder.finish())


def joinable(chunk: Any) -> Any:
    """Mistral's typed content, and tool calls without an index, make the official client raise `TypeError`."""
    for choice in chunk.choices:
        if isinstance(choice.delta.content, list):
            choice.delta.content = text_of(choice.delta.content)
        for place, tool in enumerate(choice.delta.tool_calls or []):
            tool.index = place if tool.index is None else tool.index
    return chunk


def official_stream(recorded: Any) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """The official client's own joining of its chunks, and the last counts that it saw."""
    state, usage, kept, heads = ChatCompletionStreamState(), None, [], []
    for chunk in official(recorded).chat.completions.create(model="m", messages=[], stream=True):
        data: dict[str, Any] = chunk.to_dict(mode="json", warnings=False)
        heads.append(data)
        usage = data.get("usage") or (data.get("x_groq") or {}).get("usage") or usage
        kept += [choice for choice in data["choices"] if isinstance(choice["delta"].get("content"), list)]
        state.handle_chunk(joinable(chunk))
    snapshot: dict[str, Any] = state.current_completion_snapshot.to_dict(mode="json", warnings=False)
    for name in ("id", "model"):  # Azure's first chunk has neither; the official client keeps the first it sees
        snapshot[name] = next((head[name] for head in heads if head.get(name)), "")
    thinking = "".join(thinking_of(choice["delta"]["content"]) for choice in kept)
    if thinking:
        snapshot["choices"][0]["message"]["reasoning_content"] = thinking
    return snapshot, usage


def test_a_stream_reads_as_the_official_client_reads_it(recorded_stream: Any) -> None:
    key = (recorded_stream.vendor, recorded_stream.kind)
    tally[*key, False] += 1
    if "mid-stream-error" in recorded_stream.kind:
        with pytest.raises(openai.APIError):
            official_stream(recorded_stream)
        with pytest.raises(APIError) as caught:
            read(recorded_stream.vendor, recorded_stream.body, b"")
        assert (caught.value.status_code, error_kind(caught.value)) == (400, "invalid_request")
    else:
        theirs, usage = official_stream(recorded_stream)
        ours = codec(recorded_stream.vendor).assemble(call(), read(recorded_stream.vendor, recorded_stream.body))
        compare(recorded_stream, ours, theirs, usage)
    tally[*key, True] += 1


def outcome(vendor: str, *pieces: bytes) -> tuple[list[ChatChunk], str]:
    """All chunks that came out, and how it ended."""
    decoder, chunks = codec(vendor).decoder(call()), list[ChatChunk]()
    try:
        for piece in pieces:
            chunks += decoder.feed(piece)
        chunks += decoder.finish()
    except APIError as error:
        return chunks, str(error)
    return chunks, "complete"


def test_any_split_of_the_bytes_gives_the_same_chunks(recorded_stream: Any) -> None:
    vendor, body = recorded_stream.vendor, recorded_stream.body
    whole = outcome(vendor, body)
    assert outcome(vendor, *(body[i : i + 1] for i in range(len(body)))) == whole
    step = max(1, len(body) * len(body) // BYTES_PER_STREAM)
    for offset in range(0, len(body), step):
        assert outcome(vendor, body[:offset], body[offset:]) == whole, offset


def test_a_stream_that_lacks_its_end_is_never_complete(recorded_stream: Any) -> None:
    vendor, body = recorded_stream.vendor, recorded_stream.body
    finish = body.find(b'"finish_reason":"')
    if finish < 0:
        finish = body.find(b'"finish_reason": "')
    until = finish if finish > 0 else len(body)
    for offset in range(0, until, max(1, until // 20)):
        assert outcome(vendor, body[:offset])[1] != "complete", offset


# -- errors


def test_an_error_is_the_official_clients_error(recorded_error: Any) -> None:
    key = (recorded_error.vendor, recorded_error.kind)
    tally[*key, False] += 1
    with pytest.raises(openai.APIStatusError) as theirs:
        official(recorded_error).chat.completions.create(model="m", messages=[])
    ours = codec(recorded_error.vendor).error(recorded_error.status, recorded_error.headers, recorded_error.body)
    assert type(theirs.value).__name__ in {kind.__name__ for kind in type(ours).__mro__}
    assert ours.status_code == theirs.value.status_code
    if "x-request-id" in recorded_error.headers:
        assert ours.request_id == theirs.value.request_id
    tally[*key, True] += 1


def test_the_table_of_vendors_and_kinds_has_no_gap() -> None:
    kinds = sorted({(vendor, kind) for vendor, kind, _ in tally})
    if not kinds:
        pytest.skip("the tests above did not run")
    for vendor, kind in kinds:
        print(f"{vendor:15} {kind:32} {tally[vendor, kind, True]}/{tally[vendor, kind, False]}")
    total, passed = (sum(n for (*_, ok), n in tally.items() if ok is which) for which in (False, True))
    print(f"{'all':48} {passed}/{total}")
    assert passed == total
