"""Every recorded exchange with the v2 API, read by us and by Cohere's own SDK."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from glassway.pipeline.errors import StreamInterruptedError, UnprocessableEntityError
from glassway.pipeline.types import Message
from glassway.providers.codecs.cohere import CohereCodec
from glassway.providers.codecs.cohere_assistant import assistant_turn

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from glassway.pipeline.types import ChatResponse

CODEC = CohereCodec()
ASKED: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "x"}]}
FINISH = {"COMPLETE": "stop", "STOP_SEQUENCE": "stop", "MAX_TOKENS": "length", "TOOL_CALL": "tool_calls"}


@pytest.fixture
def read(call_of: Any, exchange: Any) -> Any:
    """`read(path)`: the response that we decode."""

    def ours(path: Path) -> ChatResponse:
        recorded = exchange(path)["response"]
        data = recorded["body_text"].encode()
        return decoded([data], call_of({}))[0] if recorded["streaming"] else CODEC.decode(call_of({}), data)

    return ours


@pytest.fixture
def judge(client: Any, exchange: Any) -> Any:
    """`judge(path)`: what the official SDK reads, in our words."""

    def theirs(path: Path) -> dict[str, Any]:
        recorded = exchange(path)["response"]
        sdk = client(200, recorded["body_text"].encode(), recorded["headers"]["content-type"])
        if recorded["streaming"]:
            return of_events([event.dict() for event in sdk.chat_stream(**ASKED)])
        return of_answer(sdk.chat(**ASKED).dict())

    return theirs


def decoded(pieces: Sequence[bytes], call: Any) -> tuple[ChatResponse, list[Any]]:
    decoder = CODEC.decoder(call)
    chunks = [chunk for piece in pieces for chunk in decoder.feed(piece)]
    chunks += decoder.finish()
    return CODEC.assemble(call, chunks), chunks


def of_answer(answer: dict[str, Any]) -> dict[str, Any]:
    message = answer["message"]
    blocks = message.get("content") or []
    return {
        "id": answer["id"],
        "text": "".join(block["text"] for block in blocks if block["type"] == "text"),
        "thinking": "".join(block["thinking"] for block in blocks if block["type"] == "thinking"),
        "plan": message.get("tool_plan") or "",
        "tools": [_tool(call["id"], call["function"]) for call in message.get("tool_calls") or ()],
        "citations": [
            (one["start"], one["end"], one["text"], len(one["sources"])) for one in message.get("citations") or ()
        ],
        **_ending(answer["finish_reason"], answer["usage"]),
    }


def _tool(id_: str, function: dict[str, Any]) -> tuple[str, str, Any]:
    return id_, function["name"], json.loads(function["arguments"] or "{}")


def _ending(reason: str, usage: dict[str, Any]) -> dict[str, Any]:
    tokens = usage["tokens"]
    return {
        "native": reason,
        "finish": FINISH[reason],
        "usage": (tokens["input_tokens"], tokens["output_tokens"], usage.get("cached_tokens")),
        "reasoning": tokens.get("reasoning_tokens"),
        "billed": {name: value for name, value in usage["billed_units"].items() if value is not None},
    }


def of_events(events: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The SDK leaves joining to its users."""
    joined: dict[str, Any] = {"text": "", "thinking": "", "plan": "", "citations": []}
    calls: dict[int, dict[str, Any]] = {}
    for event in events:
        said = ((event.get("delta") or {}).get("message") or {}) if event["type"] != "message-start" else {}
        content = said.get("content") or {}
        joined["text"] += content.get("text") or ""
        joined["thinking"] += content.get("thinking") or ""
        joined["plan"] += said.get("tool_plan") or ""
        if one := said.get("citations"):
            joined["citations"].append((one["start"], one["end"], one["text"], len(one["sources"])))
        if event["type"] == "message-start":
            joined["id"] = event["id"]
        elif event["type"] == "tool-call-start":
            calls[event["index"]] = {"id": said["tool_calls"]["id"], **said["tool_calls"]["function"]}
        elif event["type"] == "tool-call-delta":
            calls[event["index"]]["arguments"] += said["tool_calls"]["function"]["arguments"]
        elif event["type"] == "message-end":
            joined |= _ending(event["delta"]["finish_reason"], event["delta"]["usage"])
    return joined | {"tools": [_tool(call["id"], call) for call in calls.values()]}


def found(answer: ChatResponse) -> dict[str, Any]:
    message, usage = answer.message, answer.usage
    assert usage is not None
    blocks = message.reasoning_blocks or ()
    details = usage.prompt_tokens_details
    assert (answer.reasoning or "") == "".join(block.text or "" for block in blocks)
    return {
        "id": answer.id,
        "text": answer.text,
        "thinking": "".join(block.text or "" for block in blocks if block.type == "thinking"),
        "plan": "".join(block.text or "" for block in blocks if block.type == "tool_plan"),
        "tools": [_tool(call.id, call.function.model_dump()) for call in answer.tool_calls if call.function],
        "citations": [
            (one["start"], one["end"], one["text"], len(one["sources"])) for one in message.annotations or ()
        ],
        "native": answer.choices[0].native_finish_reason,
        "finish": answer.finish_reason,
        "usage": (usage.prompt_tokens, usage.completion_tokens, details.cached_tokens if details else None),
        "reasoning": usage.completion_tokens_details.reasoning_tokens if usage.completion_tokens_details else None,
        "billed": (usage.model_extra or {})["billed_units"],
    }


def test_we_read_what_the_official_sdk_reads(any_chat: Path, read: Any, judge: Any) -> None:
    assert found(read(any_chat)) == judge(any_chat)
    assert read(any_chat).usage.anomalies() == ()
    assert read(any_chat).model == "command-a-03-2025"


def test_citations_point_at_the_words_that_they_quote(any_chat: Path, read: Any) -> None:
    answer = read(any_chat)
    for citation in answer.message.annotations or ():
        assert answer.text[citation["start_index"] : citation["end_index"]] == citation["text"]


def test_byte_by_byte_gives_the_same_chunks(stream: Path, exchange: Any, call_of: Any) -> None:
    data = exchange(stream)["response"]["body_text"].encode()
    assert decoded([data[at : at + 1] for at in range(len(data))], call_of({}))[1] == decoded([data], call_of({}))[1]


def test_a_cut_in_two_anywhere_gives_the_same_chunks(stream: Path, exchange: Any, call_of: Any) -> None:
    data, call = exchange(stream)["response"]["body_text"].encode(), call_of({})
    whole = decoded([data], call)[1]
    wrong = [at for at in _cuts(data) if decoded([data[:at], data[at:]], call)[1] != whole]
    assert wrong == []


def _cuts(data: bytes) -> Iterator[int]:
    """Every offset of the beginning, around every character that is not ASCII, and every 13th of the rest."""
    for at in range(1, len(data)):
        if at < 600 or at % 13 == 0 or not data[max(0, at - 2) : at + 2].isascii():
            yield at


def test_a_stream_that_ends_early_is_an_error_wherever_it_is_cut(stream: Path, exchange: Any, call_of: Any) -> None:
    data = exchange(stream)["response"]["body_text"].encode()
    told = data.index(b'"message-end"')
    for at in range(0, told, max(1, told // 40)):
        with pytest.raises(StreamInterruptedError):
            decoded([data[:at]], call_of({}))


@pytest.mark.parametrize("size", [1, 50, 100_000])
def test_an_error_at_the_end_of_a_stream_is_raised_behind_what_had_arrived(
    size: int, corpus: Path, exchange: Any, call_of: Any
) -> None:
    record = exchange(corpus / "cohere/chat-mid-stream-error-stream-1.json")
    data, decoder, plan = record["response"]["body_text"].encode(), CODEC.decoder(call_of({})), ""
    with pytest.raises(UnprocessableEntityError) as error:  # noqa: PT012 - where it is raised depends on the size
        for at in range(0, len(data), size):
            plan += "".join(chunk.reasoning for chunk in decoder.feed(data[at : at + size]))
        decoder.finish()
    assert plan.startswith("I will first inspect the tables in the database.")
    assert (error.value.status_code, error.value.retryable, error.value.fault) == (422, True, "provider")
    assert error.value.request_id == "a3c1d0bb-b652-478d-8c79-31098727337b"
    assert "INVALID_TOOL_GENERATION: your request resulted in an invalid tool generation" in error.value.message


def test_an_answer_goes_back_into_the_next_request_as_the_vendor_wrote_it(chat: Path, read: Any, exchange: Any) -> None:
    notes: list[tuple[str, ...]] = []
    message = Message.model_validate_json(json.dumps(read(chat).message.to_dict()))
    back = assistant_turn(message, lambda *note: notes.append(note)) or {}
    said = json.loads(exchange(chat)["response"]["body_text"])["message"]
    blocks = back.pop("content", None)
    if isinstance(blocks, str):
        blocks = [{"type": "text", "text": blocks}]
    assert back | ({"content": blocks} if blocks else {}) == said
    assert notes == []


@pytest.fixture
def vectors(exchange: Any, client: Any, call_of: Any) -> Any:
    """`vectors(path)`: what we and the official SDK read in recorded embeddings."""

    def both(path: Path) -> tuple[Any, Any]:
        recorded = exchange(path)["response"]["body_text"].encode()
        asked = {"model": "m", "texts": ["x"], "input_type": "search_query", "embedding_types": ["float"]}
        theirs = client(200, recorded, "application/json").embed(**asked)
        ours = CODEC.decode(call_of({"operation": "embeddings", "model": "embed-v4.0", "input": "x"}), recorded)
        found = [(item.index, list(item.embedding)) for item in ours.data]
        judged = list(enumerate(theirs.embeddings.float_))
        billed = theirs.meta.billed_units.input_tokens
        return (ours.id, ours.usage.prompt_tokens, found), (theirs.id, billed, judged)

    return both


@pytest.fixture
def rankings(exchange: Any, client: Any, call_of: Any) -> Any:
    """`rankings(path)`: what we and the official SDK read in recorded rankings."""

    def both(path: Path) -> tuple[Any, Any]:
        body = exchange(path)["response"]["body_text"].encode()
        theirs = client(200, body, "application/json").rerank(model="m", query="x", documents=["x"])
        ours = CODEC.decode(call_of({"operation": "rerank", "query": "q", "documents": ["d"]}), body)
        found = [(one.index, one.relevance_score) for one in ours.results]
        judged = [(one.index, one.relevance_score) for one in theirs.results]
        units = theirs.meta.billed_units.search_units
        return (ours.id, ours.meta["billed_units"]["search_units"], found), (theirs.id, units, judged)

    return both


def test_embeddings_are_what_the_official_sdk_reads(embedding: Path, vectors: Any) -> None:
    ours, theirs = vectors(embedding)
    assert ours == theirs
    assert ours[2]


def test_rankings_are_what_the_official_sdk_reads(ranking: Path, rankings: Any) -> None:
    ours, theirs = rankings(ranking)
    assert ours == theirs
    assert ours[2]


@pytest.fixture
def refusals(exchange: Any, client: Any, call_of: Any) -> Any:
    """`refusals(path)`: the error that we and the official SDK find inside a recorded stream."""

    def both(path: Path) -> tuple[str, str]:
        data = exchange(path)["response"]["body_text"].encode()
        (last,) = [
            event.delta
            for event in client(200, data, "text/event-stream").chat_stream(**ASKED)
            if event.type == "message-end"
        ]
        with pytest.raises(UnprocessableEntityError) as error:
            decoded([data], call_of({}))
        return error.value.message.partition(": ")[2].partition(". Change")[0], last.error

    return both


def test_table_of_what_was_read(
    corpus: Path, read: Any, judge: Any, vectors: Any, rankings: Any, refusals: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """By kind; printed for whoever wants to see it."""
    others = {"embeddings": vectors, "rerank": rankings, "chat-mid-stream-error-stream": refusals}
    total: Counter[str] = Counter()
    passed: Counter[str] = Counter()
    for path in sorted(corpus.glob("cohere/*.json")):
        kind = path.stem.rstrip("0123456789").rstrip("-")
        total[kind] += 1
        if "-v1" not in kind:
            ours, theirs = others[kind](path) if kind in others else (found(read(path)), judge(path))
            passed[kind] += ours == theirs
    with capsys.disabled():
        print(f"\n{'vendor and kind':40} passed/total")
        for kind in sorted(total):
            print(
                f"{'cohere ' + kind:40} {passed[kind]:3}/{total[kind]}{' (v1: out of scope)' if '-v1' in kind else ''}"
            )
    assert passed == {kind: count for kind, count in total.items() if "-v1" not in kind}
