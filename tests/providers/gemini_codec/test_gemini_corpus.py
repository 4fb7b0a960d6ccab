"""Every recorded exchange with Gemini, at AI Studio and at Vertex AI, read by us and by Google's own SDK."""

from __future__ import annotations

import base64
import json
import os
import warnings
from collections import Counter
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from google import genai
from google.genai import errors as sdk_errors
from google.genai import types

from glassway.pipeline.call import Call
from glassway.pipeline.errors import (
    AuthenticationError,
    ContextWindowExceededError,
    NotFoundError,
    RateLimitError,
    StreamInterruptedError,
)
from glassway.pipeline.types import ChatRequest, ChatResponse, Message
from glassway.providers.codecs.gemini import GeminiCodec
from glassway.providers.codecs.gemini_model_turn import model_parts
from glassway.providers.codecs.gemini_models import traits_of
from glassway.testing import FakeClock

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

CORPUS = Path(os.environ.get("GLASSWAY_CORPUS") or Path(__file__).parents[3] / "../shared/corpus").resolve()
FILES = sorted((*CORPUS.glob("gemini/generate-*.json"), *CORPUS.glob("vertex/generate-*.json")))
pytestmark = pytest.mark.skipif(not FILES, reason=f"no recorded exchanges at {CORPUS}")

CODEC = GeminiCodec()
CALL = Call.start(
    ChatRequest.model_validate({"model": "gemini-x", "messages": [{"role": "user", "content": "x"}]}), clock=FakeClock()
)


@cache
def response(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text())["response"]


def body(path: Path) -> bytes:
    return response(path)["body_text"].encode()


UNARY = [path for path in FILES if not response(path)["streaming"] and response(path)["status"] == 200]
STREAMS = [path for path in FILES if response(path)["streaming"] and response(path)["status"] == 200]
ERRORS = [path for path in FILES if response(path)["status"] != 200]
by_name = {"ids": lambda path: f"{path.parent.name}-{path.stem}"}


def sdk(path: Path) -> genai.Client:
    """The official client, with a transport that answers with the recorded bytes; an array of JSON, which it cannot read, as events."""
    recorded, data = response(path), body(path)
    if data[:1] == b"[":
        data = b"".join(b"data: %b\n\n" % json.dumps(one).encode() for one in json.loads(data))

    def answer(_: httpx.Request) -> httpx.Response:
        headers = {"content-type": recorded["headers"].get("content-type") or ""}
        return httpx.Response(recorded["status"], headers=headers, content=data)

    options = types.HttpOptions(client_args={"transport": httpx.MockTransport(answer)}, base_url="http://sdk.test")
    return genai.Client(api_key="k", http_options=options)


@cache
def sdk_chunks(path: Path) -> list[types.GenerateContentResponse]:
    with sdk(path) as client:
        if not response(path)["streaming"]:
            return [client.models.generate_content(model="gemini-x", contents="x")]
        return list(client.models.generate_content_stream(model="gemini-x", contents="x"))


def decoded(path: Path, pieces: Sequence[bytes]) -> tuple[ChatResponse, list[Any]]:
    decoder = CODEC.decoder(CALL)
    chunks = [chunk for piece in pieces for chunk in decoder.feed(piece)]
    chunks += decoder.finish()
    return CODEC.assemble(CALL, chunks), chunks


def ours(path: Path) -> ChatResponse:
    return decoded(path, [body(path)])[0] if response(path)["streaming"] else CODEC.decode(CALL, body(path))


FINISH = {"STOP": "stop", "MAX_TOKENS": "length", "SAFETY": "content_filter"}


def theirs(chunks: list[types.GenerateContentResponse]) -> dict[str, Any]:
    """What the SDK read, in our words."""
    parts = [part for chunk in chunks for part in _parts(chunk)]
    calls = [part.function_call for part in parts if part.function_call]
    stop = next(
        one.finish_reason.value for chunk in reversed(chunks) for one in chunk.candidates or () if one.finish_reason
    )
    counts: dict[str, Any] = {}
    for chunk in chunks:
        counts |= chunk.usage_metadata.model_dump(exclude_none=True) if chunk.usage_metadata else {}
    n = lambda name: counts.get(name) or 0  # noqa: E731
    supports = [
        index
        for chunk in chunks
        for one in chunk.candidates or ()
        if one.grounding_metadata
        for support in one.grounding_metadata.grounding_supports or ()
        for index in support.grounding_chunk_indices or ()
    ]
    return {
        "id": next((chunk.response_id for chunk in chunks if chunk.response_id), ""),
        "model": next((chunk.model_version for chunk in chunks if chunk.model_version), ""),
        "text": "".join(part.text for part in parts if part.text and not part.thought),
        "thinking": "".join(part.text for part in parts if part.text and part.thought),
        "signatures": [part.thought_signature for part in parts if part.thought_signature],
        "tools": [(call.name, call.args or {}) for call in calls],
        "ids": [call.id for call in calls if call.id],
        "native": [
            (part.executable_code or part.code_execution_result).model_dump(exclude_none=True, mode="json")
            for part in parts
            if part.executable_code or part.code_execution_result
        ],
        "citations": len(supports),
        "stop": stop,
        "finish": "tool_calls" if calls and stop == "STOP" else FINISH[stop],
        "prompt": n("prompt_token_count") + n("tool_use_prompt_token_count"),
        "completion": n("candidates_token_count") + n("thoughts_token_count"),
        "total": counts.get("total_token_count") or n("candidates_token_count") + n("thoughts_token_count"),
        "cached": n("cached_content_token_count"),
        "thoughts": counts.get("thoughts_token_count"),
        "modalities": {one["modality"].value: one["token_count"] for one in counts.get("prompt_tokens_details") or ()},
    }


def _parts(chunk: types.GenerateContentResponse) -> list[types.Part]:
    return [part for one in chunk.candidates or () if one.content for part in one.content.parts or ()]


def found(answer: ChatResponse) -> dict[str, Any]:
    message, usage = answer.message, answer.usage
    assert usage is not None
    calls = [(call.id, call.function) for call in answer.tool_calls]
    blocks = sorted(message.reasoning_blocks or (), key=lambda block: block.index or 0)
    layout = message.extra.get("provider_blocks") or ()
    native = [entry["part"] for entry in layout if "part" in entry]
    inside_parts = {
        place: entry["part"].get("thoughtSignature") for place, entry in enumerate(layout) if "part" in entry
    }
    signatures = sorted({**inside_parts, **{block.index: block.signature for block in blocks}}.items())
    inside, outside = usage.prompt_tokens_details, usage.completion_tokens_details
    modalities = (inside.model_dump(exclude_none=True) if inside else {}).items()
    return {
        "id": answer.id,
        "model": answer.model,
        "text": answer.text,
        "thinking": answer.reasoning or "",
        "signatures": [_bytes(signature) for _, signature in signatures if signature],
        "tools": [(function.name, json.loads(function.arguments)) for _, function in calls if function],
        "ids": [call_id for call_id, _ in calls if not call_id.startswith("gemini_")],
        "native": [
            value
            for part in native
            for name, value in part.items()
            if name in ("executableCode", "codeExecutionResult")
        ],
        "citations": len(message.annotations or ()),
        "stop": answer.choices[0].native_finish_reason,
        "finish": answer.finish_reason,
        "prompt": usage.prompt_tokens,
        "completion": usage.completion_tokens,
        "total": usage.total_tokens,
        "cached": usage.cached_tokens,
        "thoughts": outside.reasoning_tokens if outside else None,
        "modalities": {
            name.removesuffix("_tokens").upper(): count
            for name, count in modalities
            if name not in ("cached_tokens", "tool_use_tokens")
        },
    }


def _bytes(signature: str) -> bytes:
    return base64.urlsafe_b64decode(signature.replace("+", "-").replace("/", "_") + "==")


@pytest.mark.parametrize("path", [*UNARY, *STREAMS], **by_name)
def test_we_read_what_the_official_sdk_reads(path: Path) -> None:
    assert found(ours(path)) == theirs(sdk_chunks(path))
    assert ours(path).usage.anomalies() == ()  # type: ignore[union-attr]


@pytest.mark.parametrize("path", [*UNARY, *STREAMS], **by_name)
def test_ids_of_tool_calls_are_there_and_differ(path: Path) -> None:
    ids = [call.id for call in ours(path).tool_calls]
    assert all(ids)
    assert len(set(ids)) == len(ids)
    assert ids == [call.id for call in ours(path).tool_calls], "made the same each time"


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
    """Every offset of a small stream; of a large one every offset of its beginning, around every character that is not ASCII, and every 17th."""
    for at in range(1, len(data)):
        near = data[max(0, at - 2) : at + 2]
        if len(data) < 1_600 or at < 700 or at % 17 == 0 or not near.isascii():
            yield at


@pytest.mark.parametrize("path", STREAMS, **by_name)
def test_a_stream_that_ends_early_is_an_error_wherever_it_is_cut(path: Path) -> None:
    data = body(path)
    told = data.rindex(b'"finishReason"')
    for at in range(0, told, max(1, told // 40)):
        with pytest.raises(StreamInterruptedError):
            decoded(path, [data[:at]])


@pytest.mark.parametrize("path", [*UNARY, *STREAMS], **by_name)
def test_an_answer_goes_back_into_the_next_request_as_the_vendor_wrote_it(path: Path) -> None:
    """Thoughts, signatures, code that it ran and the order of parts are all there."""
    notes: list[tuple[str, ...]] = []
    message = Message.model_validate_json(json.dumps(ours(path).message.to_dict()))
    back = model_parts(message, traits_of("gemini-2.5-flash"), lambda *note: notes.append(note))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        read = [types.Part.model_validate(part) for part in back]
    assert _normal(read) == _normal([part for chunk in sdk_chunks(path) for part in _parts(chunk)])
    assert notes == []


def _normal(parts: list[types.Part]) -> list[dict[str, Any]]:
    """Neighbouring texts are one text unless signed; empty ones say nothing."""
    joined: list[dict[str, Any]] = []
    for part in parts:
        said = part.model_dump(exclude_none=True)
        if said in ({"text": ""}, {}):
            continue
        if joined and said.keys() == joined[-1].keys() and said.keys() in ({"text"}, {"text", "thought"}):
            joined[-1]["text"] += said["text"]
        else:
            joined.append(said)
    return joined


CLASSES = {
    "gemini-generate-error-400-2": AuthenticationError,
    "gemini-generate-error-400-stream-1": AuthenticationError,
    "gemini-generate-error-404-2": NotFoundError,
    "gemini-generate-error-404-stream-2": NotFoundError,
    "gemini-generate-error-429-3": RateLimitError,
    "vertex-generate-error-400-2": ContextWindowExceededError,
}


@pytest.mark.parametrize("path", ERRORS, **by_name)
def test_an_error_says_what_the_sdks_error_says(path: Path) -> None:
    with sdk(path) as client, pytest.raises(sdk_errors.APIError) as sdks:
        client.models.generate_content(model="gemini-x", contents="x")
    recorded = response(path)
    error = CODEC.error(recorded["status"], recorded["headers"], body(path))
    assert type(error) is CLASSES.get(f"{path.parent.name}-{path.stem}", type(error))
    assert error.status_code == sdks.value.code
    assert error.provider == "gemini"
    assert sdks.value.status in error.message
    assert str(sdks.value.message)[:60] in error.message


def _right(path: Path) -> bool:
    if path not in ERRORS:
        return found(ours(path)) == theirs(sdk_chunks(path))
    recorded, told = response(path), json.loads(body(path))["error"]
    error = CODEC.error(recorded["status"], recorded["headers"], body(path))
    return error.status_code == told["code"] and told["status"] in error.message


def test_table_of_what_was_read(capsys: pytest.CaptureFixture[str]) -> None:
    """100 % of the recordings, by kind; printed for whoever wants to see it."""
    total: Counter[str] = Counter()
    passed: Counter[str] = Counter()
    for path in FILES:
        kind = f"{path.parent.name} {path.stem.rstrip('0123456789').rstrip('-')}"
        total[kind] += 1
        passed[kind] += _right(path)
    with capsys.disabled():
        print(f"\n{'vendor and kind':40} passed/total")
        for kind in sorted(total):
            print(f"{kind:40} {passed[kind]:3}/{total[kind]}")
        print(f"{'all':40} {passed.total():3}/{total.total()}")
    assert passed == total
