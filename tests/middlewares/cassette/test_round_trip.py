"""What was recorded is what is played: each operation, each chunk, its block, its wait, usage, cost, ids and errors."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from builders import ask, make
from hypothesis import given
from hypothesis import strategies as st

from glassway import CallOptions, Client, Pipeline
from glassway.middlewares import Cost, Record, Replay, Retry
from glassway.middlewares.cassette.plain import CHUNKS, chunk_of, head_of, long, plain_chunk, short
from glassway.pipeline import errors
from glassway.pipeline.errors import APIError, GlasswayError, StreamInterruptedError
from glassway.pipeline.stream import Stream
from glassway.pipeline.types import (
    ChatChunk,
    ChatRequest,
    ChoiceDelta,
    Delta,
    EmbeddingsRequest,
    FunctionDelta,
    ImageChunk,
    ImageRequest,
    ModerationRequest,
    ReasoningDelta,
    Request,
    RerankRequest,
    SpeechChunk,
    SpeechRequest,
    ToolCallDelta,
    TranscriptionChunk,
    TranscriptionRequest,
    Usage,
)
from glassway.providers import Simulated
from glassway.providers.simulated import SimulatedVendor
from glassway.testing import FakeClock, FakeProvider, Scripted

pytestmark = pytest.mark.anyio

SOUND = b"RIFF\x24\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00\x80\x3e\x00\x00\x00\x7d\x00\x00\x02\x00\x10\x00data\x00\x00\x00\x00"
PICTURE = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
TOOL = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}}  # fmt: skip


def chat(text: str = "What is the capital of Peru?", **fields: Any) -> ChatRequest:
    return ask(text, model=fields.pop("model", "simulated/gpt-sim"), **fields)


WHOLE: dict[str, Callable[[], Request]] = {
    "chat": chat,
    "tools": lambda: chat("What is the weather in Oslo?", tools=(TOOL,)),
    "reasoning": lambda: chat(model="thinker/claude-sim", reasoning_effort="high", max_tokens=4000),
    "several choices": lambda: chat(n=2),
    "embeddings": lambda: EmbeddingsRequest(model="simulated/embed-sim", input=("a cat", "tax law")),
    "image": lambda: ImageRequest(model="simulated/img", prompt="a cat"),
    "image of an image": lambda: ImageRequest(model="simulated/img", prompt="a hat", images=({"data": base64.b64encode(PICTURE).decode(), "filename": "cat.png"},)),
    "speech": lambda: SpeechRequest(model="simulated/tts", input="Hello there."),
    "transcription": lambda: TranscriptionRequest(model="simulated/stt", file={"data": base64.b64encode(SOUND).decode(), "filename": "a.wav"}),
    "moderation": lambda: ModerationRequest(model="simulated/mod", input=("I like cats.", "I want to kill you.")),
    "rerank": lambda: RerankRequest(model="simulated/rr", query="cats", documents=("dogs", "a cat")),
}  # fmt: skip
STREAMED = {
    **{name: WHOLE[name] for name in ("chat", "tools", "reasoning", "several choices", "speech", "transcription")},
    "image": lambda: ImageRequest(model="simulated/gpt-image-1", prompt="a cat", partial_images=2),
}


async def at_once(seconds: float) -> None:
    """The vendor takes no time."""


def providers() -> list[Any]:
    vendor = SimulatedVendor(sleep=at_once)
    return [Simulated(vendor=vendor), Simulated(name="thinker", dialect="anthropic", vendor=vendor)]


async def unreachable(call: Any) -> Any:
    """A vendor that must not be asked."""
    raise AssertionError("a request left the house")


def nobody() -> list[Any]:
    """Providers of the same names, none of which may be asked."""
    found = []
    for name in ("simulated", "thinker", "fake"):

        async def provider(call: Any) -> Any:
            return await unreachable(call)

        provider.__name__ = name
        found.append(provider)
    return found


@asynccontextmanager
async def pipeline(*stages: Any, vendors: Any = None, **settings: Any) -> AsyncIterator[Pipeline]:
    async with Pipeline([Cost(), *stages], providers=vendors or providers(), **settings) as made:
        yield made


async def recorded(path: Path, request: Request, **settings: Any) -> Any:
    async with pipeline(Record(path), **settings) as made:
        return await whole(await made.send(request))


async def whole(reply: Any) -> Any:
    """The response, with the blocks that came before it."""
    blocks = []
    if isinstance(reply, Stream):
        while block := await reply.read_block():
            blocks.append(block)
        reply = await reply.response()
    return blocks, reply


async def played(path: Path, request: Request, **settings: Any) -> Any:
    async with pipeline(Replay(path, **settings), vendors=nobody()) as made:
        return await whole(await made.send(request))


@pytest.mark.parametrize("place", ["calls.jsonl", "calls"], ids=["file", "folder"])
@pytest.mark.parametrize("name", WHOLE)
async def test_a_whole_answer_comes_back_as_it_was(name: str, place: str, tmp_path: Path) -> None:
    _, before = await recorded(tmp_path / place, WHOLE[name]())
    _, after = await played(tmp_path / place, WHOLE[name]())
    assert type(after) is type(before)
    assert after.to_dict() == before.to_dict()
    assert_the_same_account(before, after)


@pytest.mark.parametrize("place", ["calls.jsonl", "calls"], ids=["file", "folder"])
@pytest.mark.parametrize("name", STREAMED)
async def test_a_stream_comes_back_chunk_by_chunk_and_block_by_block(name: str, place: str, tmp_path: Path) -> None:
    request = STREAMED[name]().but(stream=True)
    blocks, before = await recorded(tmp_path / place, request)
    again, after = await played(tmp_path / place, request)
    assert [frozen(block) for block in again] == [frozen(block) for block in blocks]
    assert blocks
    assert after.to_dict() == before.to_dict()
    assert_the_same_account(before, after)


def frozen(value: Any) -> Any:
    """Lists as tuples: a chunk's sequences are either, as its codec likes it."""
    if hasattr(value, "_fields"):
        return type(value)(*map(frozen, value))
    return tuple(map(frozen, value)) if isinstance(value, (list, tuple)) else value


def assert_the_same_account(before: Any, after: Any) -> None:
    one, other = before.record, after.record
    assert (other.usage, other.cost) == (one.usage, one.cost)
    assert other.request_id == one.request_id
    [first], [second] = one.attempts, other.attempts
    for name in ("provider", "model", "vendor", "status_code", "request_id", "response_id", "response_model", "service_tier", "usage", "usage_source", "chunks", "useful", "error"):  # fmt: skip
        assert getattr(second, name) == getattr(first, name), name


async def test_reasoning_keeps_its_signature(tmp_path: Path) -> None:
    _, before = await recorded(tmp_path / "calls.jsonl", STREAMED["reasoning"]().but(stream=True))
    _, after = await played(tmp_path / "calls.jsonl", STREAMED["reasoning"]().but(stream=True))
    [block] = after.message.reasoning_blocks
    assert block.signature
    assert block == before.message.reasoning_blocks[0]


ERRORS = [
    errors.RateLimitError("slow down", status_code=429, retry_after_s=2.5, request_id="req-9"),
    errors.InternalServerError("down", status_code=503, retryable=False),
    errors.ServiceUnavailableError("overloaded", status_code=529),
    errors.APITimeoutError("too slow"),
    errors.APIConnectionError("gone", fault="caller"),
    errors.AuthenticationError("no", status_code=401),
    errors.ContextWindowExceededError("too long", status_code=400),
    errors.ContentPolicyError("refused", status_code=400),
    errors.ResponseValidationError("nonsense"),
    StreamInterruptedError("cut"),
    errors.GuardrailViolation("no", rule="secrets"),
    errors.AllAttemptsFailed("all"),
    errors.MissingExtraError("This", "cli"),
]


class TheirOwn(errors.RateLimitError):
    """A class that somebody else made of ours."""


@pytest.mark.parametrize("error", [*ERRORS, TheirOwn("slow", status_code=429)], ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
async def test_an_error_comes_back_as_one_of_its_class(error: GlasswayError, stream: bool, tmp_path: Path) -> None:
    found: list[Any] = []
    for stage, vendors in (
        (Record(tmp_path / "c.jsonl"), [FakeProvider([Scripted(error=error)])]),
        (Replay(tmp_path / "c.jsonl"), nobody()[2:]),
    ):  # type: ignore[list-item]  # any error of ours
        async with pipeline(stage, vendors=vendors) as made:
            with pytest.raises(GlasswayError) as caught:
                await made.send(ask(model="fake/m", stream=stream))
            found.append(caught.value)
    before, after = found
    if not isinstance(before, (TheirOwn, errors.MissingExtraError)):
        assert type(after) is type(before)
        assert str(after) == str(before)
    for name in ("kind", "fault", "status_code", "retry_after_s", "request_id", "retryable", "provider", "model"):
        if not isinstance(before, errors.MissingExtraError):
            assert getattr(after, name) == getattr(before, name), name
    assert after.record.attempts[0].error == before.record.attempts[0].error or isinstance(before, errors.MissingExtraError)  # fmt: skip


async def test_an_exception_that_is_not_ours_keeps_its_class_and_not_its_text(tmp_path: Path) -> None:
    async def buggy(call: Any) -> Any:
        raise LookupError("a text that may hold anything")

    for stage, vendor in ((Record(tmp_path / "c.jsonl"), buggy), (Replay(tmp_path / "c.jsonl"), buggy)):
        async with pipeline(stage, vendors=[vendor]) as made:
            with pytest.raises(LookupError) as caught:
                await made.send(ask(model="buggy/m"))
    assert "anything" not in str(caught.value)
    assert "anything" not in (tmp_path / "c.jsonl").read_text()


CUT = Scripted(text="one two three four", after_chunks=3, delay_s=0.5, gap_s=0.25)


@pytest.mark.parametrize("script", [CUT, Scripted(after_chunks=3, error=errors.InternalServerError("broke"))], ids=["cut", "failed"])  # fmt: skip
async def test_a_stream_that_broke_breaks_again_behind_the_same_chunks(script: Scripted, tmp_path: Path) -> None:
    seen: list[Any] = []
    for stage, vendor in ((Record(tmp_path / "c.jsonl"), FakeProvider([script])), (Replay(tmp_path / "c.jsonl"), nobody()[2])):  # fmt: skip
        async with pipeline(stage, vendors=[vendor], clock=FakeClock()) as made:
            reply: Any = await made.send(ask(model="fake/m", stream=True))
            with pytest.raises(APIError) as caught:
                await reply.response()
            seen.append(
                (type(caught.value), caught.value.partial.text, caught.value.record.end, caught.value.record.cost)
            )
    assert seen[0] == seen[1]


async def test_a_stream_that_its_reader_closed_is_played_as_far_as_it_came(tmp_path: Path) -> None:
    async with pipeline(Record(tmp_path / "c.jsonl"), vendors=[FakeProvider([Scripted(text="one two three")])]) as made:
        reply: Any = await made.send(ask(model="fake/m", stream=True))
        before = [(await anext(reply)).text for _ in range(3)]
        await reply.aclose()
    async with pipeline(Replay(tmp_path / "c.jsonl"), vendors=nobody()) as made:
        reply = await made.send(ask(model="fake/m", stream=True))
        assert [(await anext(reply)).text for _ in range(3)] == before
        with pytest.raises(StreamInterruptedError, match="closed by its reader"):
            await anext(reply)


SLOW = Scripted(text="one two three", delay_s=2.0, gap_s=0.5, chunks_per_block=2)


@pytest.mark.parametrize(
    ("timing", "first_s", "end_s"),
    [("real", 2.0, 3.5), ("zero", 0.0, 0.0), (0.1, 0.2, 0.35), ("scaled(0.5)", 1.0, 1.75), (3, 6.0, 10.5)],
    ids=str,
)
async def test_the_pace_is_the_recorded_one_or_a_multiple_of_it(
    timing: Any, first_s: float, end_s: float, tmp_path: Path
) -> None:
    request = ask(model="fake/m", stream=True)
    _, before = await recorded(tmp_path / "c.jsonl", request, vendors=[FakeProvider([SLOW])], clock=FakeClock())
    clock = FakeClock()
    async with pipeline(Replay(tmp_path / "c.jsonl", timing=timing), vendors=nobody(), clock=clock) as made:
        reply: Any = await made.send(request)
        assert clock.slept_s == pytest.approx(first_s)
        response = await reply.response()
    assert clock.slept_s == pytest.approx(end_s)
    if timing == "real":
        assert response.record.attempts[0].gaps_ns == before.record.attempts[0].gaps_ns


async def test_a_slow_reader_is_not_in_the_recorded_waits(tmp_path: Path) -> None:
    clock = FakeClock()
    async with pipeline(Record(tmp_path / "c.jsonl"), vendors=[FakeProvider([SLOW])], clock=clock) as made:
        async for _ in await made.send(ask(model="fake/m", stream=True)):  # type: ignore[union-attr]  # a stream
            clock.advance(60)
    clock = FakeClock()
    async with pipeline(Replay(tmp_path / "c.jsonl", timing="real"), vendors=nobody(), clock=clock) as made:
        await whole(await made.send(ask(model="fake/m", stream=True)))
    assert clock.slept_s == pytest.approx(3.5)


async def test_the_tries_of_a_call_are_played_in_their_order(tmp_path: Path) -> None:
    answers = [errors.RateLimitError("slow", retry_after_s=3, status_code=429), Scripted(text="second")]
    for stage, vendors in ((Record(tmp_path / "c.jsonl"), [FakeProvider(answers)]), (Replay(tmp_path / "c.jsonl"), nobody()[2:])):  # fmt: skip
        clock = FakeClock()
        async with pipeline(Retry(), stage, vendors=vendors, clock=clock) as made:
            _, response = await whole(await made.send(ask(model="fake/m")))
        assert (response.text, clock.slept_s) == ("second", 3)
        assert [attempt.error for attempt in response.record.attempts] == ["rate_limited", None]


def test_a_sync_client_plays_alike(tmp_path: Path) -> None:
    with Client(Pipeline([Cost(), Record(tmp_path / "c.jsonl")], providers=providers())) as client:
        unary = client.chat("simulated/gpt-sim", "Hi", options=CallOptions(tenant="t"))
        streamed = client.chat("simulated/gpt-sim", "Hi", stream=True).response()
    with Client(Pipeline([Cost(), Replay(tmp_path / "c.jsonl")], providers=nobody())) as client:
        assert client.chat("simulated/gpt-sim", "Hi").to_dict() == unary.to_dict()
        again = client.chat("simulated/gpt-sim", "Hi", stream=True).response()
    assert (again.to_dict(), again.cost) == (streamed.to_dict(), streamed.cost)


async def test_without_telemetry_it_is_the_same(tmp_path: Path) -> None:
    _, before = await recorded(tmp_path / "c.jsonl", chat(), telemetry=False)
    async with pipeline(Replay(tmp_path / "c.jsonl"), vendors=nobody(), telemetry=False) as made:
        _, after = await whole(await made.send(chat()))
    assert (after.to_dict(), after.cost) == (before.to_dict(), before.cost)


# -- chunks as text

texts = st.none() | st.text(max_size=5)
data = st.none() | st.dictionaries(st.text(max_size=3), st.text(max_size=3) | st.integers() | st.none(), max_size=2)
functions = st.builds(FunctionDelta, texts, texts)
tool_calls = st.builds(ToolCallDelta, st.integers(0, 3), texts, texts, functions, data)
blocks = st.builds(ReasoningDelta, st.integers(0, 3), st.text(max_size=3), texts, texts, texts, texts, texts, data)
usages = st.none() | st.builds(
    lambda prompt, extra: Usage.model_validate({"prompt_tokens": prompt, **extra}),
    st.integers(0, 9),
    st.dictionaries(st.sampled_from(["cost", "speed"]), st.integers() | st.text(max_size=3)),
)
maps = st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=2)
deltas = st.builds(
    Delta,
    texts,
    texts,
    texts,
    texts,
    st.lists(tool_calls, max_size=2).map(tuple),
    st.lists(blocks, max_size=2).map(tuple),
    st.lists(maps, max_size=2).map(tuple),
    data,
    data,
)
choices = st.builds(
    ChoiceDelta, st.integers(0, 2), deltas, st.sampled_from([None, "stop", "length"]), texts, data, data
)
ANY: dict[str, Any] = {
    "chat": st.builds(ChatChunk, st.text(max_size=3), st.text(max_size=3), st.integers(0, 3), st.lists(choices, max_size=2).map(tuple), usages, data),
    "image": st.builds(ImageChunk, texts, st.none() | st.integers(0, 3), st.integers(0, 3), usages, data),
    "speech": st.builds(SpeechChunk, st.binary(max_size=9), st.text(max_size=3), usages, data),
    "transcription": st.builds(TranscriptionChunk, st.text(max_size=3), data, st.lists(maps, max_size=2).map(tuple), texts, st.text(max_size=3), usages, data),
}  # fmt: skip


@pytest.mark.parametrize("operation", ANY)
@given(drawn=st.data())
def test_any_chunks_come_back_as_they_were(operation: str, drawn: Any) -> None:
    chunks = drawn.draw(st.lists(ANY[operation], max_size=5))
    plain = [plain_chunk(chunk) for chunk in chunks]
    head = head_of(plain)
    written = [short(operation, each, head) for each in plain]
    assert [chunk_of(CHUNKS[operation], long(operation, each, head)) for each in written] == chunks


def test_a_chunk_that_only_adds_text_is_that_text() -> None:
    head = {"id": "1", "model": "m"}
    assert (
        short("chat", plain_chunk(ChatChunk("1", "m", choices=(ChoiceDelta(delta=Delta(content="Hi")),))), head) == "Hi"
    )
    setup = make()
    assert setup.provider.calls == []
