"""Every recorded exchange with Ollama's own API, read by us and by Ollama's own SDK."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import ollama
import pytest

from glassway.pipeline.errors import NotFoundError, StreamInterruptedError
from glassway.providers.codecs.ollama import OllamaCodec
from glassway.providers.codecs.ollama_models import show_request, shown_model

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from glassway.pipeline.types import ChatResponse

CODEC = OllamaCodec()
DURATIONS = ("total_duration", "load_duration", "prompt_eval_duration", "eval_duration")


def decoded(pieces: Sequence[bytes], call: Any) -> tuple[ChatResponse, list[Any]]:
    decoder = CODEC.decoder(call)
    chunks = [chunk for piece in pieces for chunk in decoder.feed(piece)]
    chunks += decoder.finish()
    return CODEC.assemble(call, chunks), chunks


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
    """`judge(path)`: what the official SDK reads, its pieces joined, in our words."""

    def theirs(path: Path) -> dict[str, Any]:
        recorded = exchange(path)["response"]
        sdk, stream = client(200, recorded["body_text"].encode()), recorded["streaming"]
        if path.stem.startswith("generate"):
            answer = sdk.generate(model="m", prompt="x", stream=stream)
            parts = [
                (one, {"content": one.response, "thinking": one.thinking}) for one in (answer if stream else [answer])
            ]
        else:
            answer = sdk.chat(model="m", messages=[], stream=stream)
            parts = [(one, one.message.model_dump()) for one in (answer if stream else [answer])]
        return of_parts(parts)

    return theirs


def of_parts(parts: list[tuple[Any, dict[str, Any]]]) -> dict[str, Any]:
    last = parts[-1][0]
    assert last.done
    calls = [call["function"] for _, message in parts for call in message.get("tool_calls") or ()]
    finish = "tool_calls" if calls else {"stop": "stop", "length": "length"}[last.done_reason]
    return {
        "model": parts[0][0].model,
        "text": "".join(message["content"] or "" for _, message in parts),
        "thinking": "".join(message["thinking"] or "" for _, message in parts),
        "tools": [(call["name"], call["arguments"]) for call in calls],
        "native": last.done_reason,
        "finish": finish,
        "usage": (last.prompt_eval_count or 0, last.eval_count),
        "durations": {name: getattr(last, name) for name in DURATIONS},
    }


def found(answer: ChatResponse) -> dict[str, Any]:
    usage = answer.usage
    assert usage is not None
    assert usage.anomalies() == ()
    return {
        "model": answer.model,
        "text": answer.text,
        "thinking": answer.reasoning or "",
        "tools": [
            (call.function.name, json.loads(call.function.arguments)) for call in answer.tool_calls if call.function
        ],
        "native": answer.choices[0].native_finish_reason,
        "finish": answer.finish_reason,
        "usage": (usage.prompt_tokens, usage.completion_tokens),
        "durations": {name: answer.extra.get(name) for name in DURATIONS},
    }


def test_we_read_what_the_official_sdk_reads(answer: Path, read: Any, judge: Any) -> None:
    assert found(read(answer)) == judge(answer)


def test_the_time_of_an_answer_is_the_servers(answer: Path, read: Any, exchange: Any) -> None:
    body = exchange(answer)["response"]["body_text"]
    made = json.loads(body.splitlines()[0])["created_at"]
    assert abs(read(answer).created - _epoch(made)) < 1


def _epoch(text: str) -> float:
    from datetime import datetime

    return datetime.strptime(text[:19] + "+0000", "%Y-%m-%dT%H:%M:%S%z").timestamp()


def test_ids_of_tool_calls_are_the_servers_or_follow_from_the_bytes(read: Any, corpus: Path) -> None:
    with_ids = read(corpus / "ollama/chat-tool-call-1.json")
    without = corpus / "ollama/chat-tool-call-stream-1.json"
    assert [call.id for call in with_ids.tool_calls] == ["call_gsiiy8py"]
    (id_,) = [call.id for call in read(without).tool_calls]
    assert id_ == read(without).tool_calls[0].id
    assert id_ != read(corpus / "ollama/chat-tool-call-stream-2.json").tool_calls[0].id
    assert id_.startswith("call_")


def test_byte_by_byte_gives_the_same_chunks(stream: Path, exchange: Any, call_of: Any) -> None:
    data, call = exchange(stream)["response"]["body_text"].encode(), call_of({})
    assert decoded([data[at : at + 1] for at in range(len(data))], call)[1] == decoded([data], call)[1]


def test_a_cut_in_two_anywhere_gives_the_same_chunks(stream: Path, exchange: Any, call_of: Any) -> None:
    data, call = exchange(stream)["response"]["body_text"].encode(), call_of({})
    whole = decoded([data], call)[1]
    wrong = [at for at in _cuts(data) if decoded([data[:at], data[at:]], call)[1] != whole]
    assert wrong == []


def _cuts(data: bytes) -> Iterator[int]:
    """Every offset of the beginning, around every character that is not ASCII, and every 31st of the rest."""
    for at in range(1, len(data)):
        if at < 400 or at % 31 == 0 or not data[max(0, at - 2) : at + 2].isascii():
            yield at


def test_a_stream_that_ends_early_is_an_error_wherever_it_is_cut(stream: Path, exchange: Any, call_of: Any) -> None:
    data = exchange(stream)["response"]["body_text"].encode()
    told = data.index(b'"done":true')
    for at in range(0, told, max(1, told // 40)):
        with pytest.raises(StreamInterruptedError):
            decoded([data[:at]], call_of({}))


def test_the_recorded_error_names_the_command_to_run(corpus: Path, exchange: Any, client: Any) -> None:
    recorded = exchange(corpus / "ollama/chat-error-404-1.json")["response"]
    body = recorded["body_text"].encode()
    with pytest.raises(ollama.ResponseError) as theirs:
        client(404, body).chat(model="m", messages=[])
    error = CODEC.error(404, recorded["headers"], body)
    assert type(error) is NotFoundError
    assert (error.status_code, error.provider, error.retryable) == (theirs.value.status_code, "ollama", False)
    assert theirs.value.error in error.message
    assert error.message.endswith("Run: ollama pull nonexistent-model:latest")


@pytest.fixture
def vectors(exchange: Any, client: Any, call_of: Any) -> Any:
    """`vectors(path)`: what we and the official SDK read in recorded embeddings."""

    def both(path: Path) -> tuple[Any, Any]:
        body = exchange(path)["response"]["body_text"].encode()
        theirs = client(200, body).embed(model="m", input="x")
        ours = CODEC.decode(call_of({"operation": "embeddings", "input": "x"}), body)
        found = (
            ours.model,
            [list(one) for one in ours.vectors],
            ours.usage.prompt_tokens,
            ours.extra["total_duration"],
        )
        return found, (theirs.model, theirs.embeddings, theirs.prompt_eval_count, theirs.total_duration)

    return both


def test_embeddings_are_what_the_official_sdk_reads(embedding: Path, vectors: Any) -> None:
    ours, theirs = vectors(embedding)
    assert ours == theirs
    assert ours[1]


@pytest.fixture
def shown(exchange: Any, client: Any) -> Any:
    """`shown(path)`: what we and the official SDK read of a model."""

    def both(path: Path) -> tuple[Any, Any]:
        body = exchange(path)["response"]["body_text"].encode()
        theirs, ours = client(200, body).show("m"), shown_model(body)
        facts = theirs.modelinfo
        found = (ours.family, ours.parameter_size, ours.quantization, ours.context_tokens, ours.embedding_dimensions)
        details = theirs.details
        judged = (details.family, details.parameter_size, details.quantization_level)
        return found, (*judged, facts["llama.context_length"], facts["llama.embedding_length"])

    return both


def test_a_model_is_what_the_official_sdk_is_shown(corpus: Path, shown: Any) -> None:
    ours, theirs = shown(corpus / "ollama/show-1.json")
    assert ours == theirs == ("llama", "3.2B", "Q4_K_M", 131_072, 3_072)
    assert json.loads(show_request("llama3.2").content) == {"model": "llama3.2"}


def test_table_of_what_was_read(
    corpus: Path, read: Any, judge: Any, vectors: Any, shown: Any, exchange: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """By kind; printed for whoever wants to see it."""
    total: Counter[str] = Counter()
    passed: Counter[str] = Counter()
    for path in sorted(corpus.glob("ollama/*.json")):
        kind = path.stem.rstrip("0123456789").rstrip("-")
        total[kind] += 1
        recorded = exchange(path)["response"]
        if recorded["status"] != 200:
            error = CODEC.error(recorded["status"], recorded["headers"], recorded["body_text"].encode())
            passed[kind] += json.loads(recorded["body_text"])["error"] in error.message
            continue
        both = {"embeddings": vectors, "show": shown}.get(kind)
        ours, theirs = both(path) if both else (found(read(path)), judge(path))
        passed[kind] += ours == theirs
    with capsys.disabled():
        print(f"\n{'vendor and kind':40} passed/total")
        for kind in sorted(total):
            print(f"{'ollama ' + kind:40} {passed[kind]:3}/{total[kind]}")
    assert passed == total
