"""The operations beyond chat from the client to the simulated vendor and back: sync and async, whole and streamed."""

from __future__ import annotations

import inspect
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from glassway.middlewares import Cache, Cost, Guardrails, Retry, Tracing
from glassway.pipeline.client import Client
from glassway.pipeline.errors import BadRequestError, ConfigError, NotFoundError, StreamInterruptedError
from glassway.pipeline.pipeline import Pipeline
from glassway.pipeline.portal import run_sync
from glassway.pipeline.stream import Stream
from glassway.pipeline.syncstream import SyncStream
from glassway.pipeline.types import File, ImagePart, TranscriptionRequest
from glassway.providers import Simulated, provider
from glassway.providers.simulated import SimulatedVendor

Call = Callable[..., Any]


async def at_once(seconds: float) -> None:
    """The vendor takes no time."""


def stack(*stages: Any, vendor: SimulatedVendor | None = None) -> Client:
    made = vendor or SimulatedVendor(sleep=at_once)
    return Client(Pipeline([Tracing(), Cost(), *stages], providers=[Simulated(vendor=made)]))


@pytest.fixture(params=["sync", "async"])
def ask(request: pytest.FixtureRequest) -> Any:
    """Calls a method of a client by name, in both forms; of a stream, the whole response."""
    asynchronous = request.param == "async"

    async def awaited(client: Client, name: str, *args: Any, **kwargs: Any) -> Any:
        reply = await getattr(client, f"a{name}")(*args, **kwargs)
        return await reply.response() if isinstance(reply, Stream) else reply

    def run(client: Client, name: str, *args: Any, **kwargs: Any) -> Any:
        if asynchronous:
            return run_sync(lambda: awaited(client, name, *args, **kwargs))
        reply = getattr(client, name)(*args, **kwargs)
        return reply.response() if isinstance(reply, SyncStream) else reply

    return run


SOUND = stack().speech("simulated/tts", "Hello there, how are you?").content
PICTURE = stack().image("simulated/img", "a cat").image.content or b""


# -- each operation


def test_embeddings(ask: Call) -> None:
    reply = ask(stack(), "embedding", "simulated/embed-sim", ["a cat", "the cat", "tax law"], dimensions=64)
    assert [len(vector) for vector in reply.vectors] == [64, 64, 64]

    def near(one: int, other: int) -> float:
        return sum(a * b for a, b in zip(reply.vectors[one], reply.vectors[other], strict=True))

    assert near(0, 1) > near(0, 2)
    assert (reply.usage.prompt_tokens, reply.record.operation) == (6, "embeddings")
    assert reply.cost > 0
    assert reply.record.cost.status == "exact"


def test_one_input_is_one_vector(ask: Call) -> None:
    reply = ask(stack(), "embedding", "simulated/embed-sim", "a cat")
    assert reply.vector == reply.vectors[0]


def test_numbers_are_the_same_however_they_travelled(ask: Call) -> None:
    plain = ask(stack(), "embedding", "simulated/embed-sim", "a cat", encoding_format="float")
    packed = ask(stack(), "embedding", "simulated/embed-sim", "a cat", encoding_format="base64")
    assert packed.vector == pytest.approx(plain.vector, abs=1e-7)


def test_more_inputs_than_the_vendor_takes(ask: Call) -> None:
    reply = ask(stack(), "embedding", "simulated/embed-sim", [f"text {place}" for place in range(2050)], dimensions=8)
    assert [item.index for item in reply.data] == list(range(2050))
    assert len(reply.record.attempts) == 2
    assert reply.usage.prompt_tokens == reply.record.usage.prompt_tokens
    assert reply.vectors[2049] == ask(stack(), "embedding", "simulated/embed-sim", "text 2049", dimensions=8).vector


def test_moderation(ask: Call) -> None:
    reply = ask(stack(), "moderation", "simulated/judge", ["nice weather", "I will attack you"])
    assert [result.flagged for result in reply.results] == [False, True]
    assert reply.results[1].categories["violence"]
    assert reply.flagged


def test_reranking(ask: Call) -> None:
    reply = ask(
        stack(), "rerank", "simulated/rerank", "cat food", ["dogs", "food for the cat"], top_n=1, return_documents=True
    )
    assert reply.order == (1,)
    assert reply.results[0].document == {"text": "food for the cat"}


@pytest.mark.parametrize("stream", [False, True])
def test_pictures(ask: Call, stream: bool) -> None:
    reply = ask(stack(), "image", "simulated/img", "a cat", n=2, stream=stream)
    assert [image.content[:4] for image in reply.data] == [b"\x89PNG"] * 2
    assert reply.data[0] != reply.data[1]
    assert reply.usage.completion_tokens == 2 * 272
    assert reply.cost > 0


def test_a_picture_is_edited(ask: Call) -> None:
    vendor = SimulatedVendor(sleep=at_once)
    reply = ask(stack(vendor=vendor), "image", "simulated/img", "blue", images=[PICTURE, PICTURE], mask=PICTURE)
    assert vendor.requests[-1].path == "/v1/images/edits"
    assert reply.usage.prompt_tokens_details.image_tokens == 3 * 272


@pytest.mark.parametrize("stream", [False, True])
def test_speech(ask: Call, stream: bool) -> None:
    reply = ask(stack(), "speech", "simulated/tts", "Hello", voice="alloy", stream=stream)
    assert reply.content.startswith(b"RIFF")
    assert reply.content_type == "audio/wav"
    assert reply.content == ask(stack(), "speech", "simulated/tts", "Hello", voice="alloy").content


def test_speech_in_events_brings_counts(ask: Call) -> None:
    reply = ask(stack(), "speech", "simulated/tts", "Hello", stream=True, stream_format="sse")
    assert reply.content.startswith(b"RIFF")
    assert reply.usage.completion_tokens > 0
    assert reply.cost > 0


def test_sound_that_nobody_counted_is_not_free(ask: Call) -> None:
    reply = ask(stack(), "speech", "simulated/tts", "Hello")
    assert (reply.cost, reply.record.cost.status) == (None, "unpriced")


@pytest.mark.parametrize("stream", [False, True])
def test_transcription(ask: Call, stream: bool) -> None:
    reply = ask(stack(), "transcription", "simulated/stt", SOUND, stream=stream)
    assert reply.text == "Hello there, how are you?"
    assert reply.usage.prompt_tokens_details.audio_tokens > 0
    assert reply.cost > 0


@pytest.mark.parametrize(
    ("form", "mark"), [("srt", "-->"), ("vtt", "WEBVTT"), ("text", "Hello"), ("verbose_json", "Hello")]
)
def test_transcripts_in_other_forms(ask: Call, form: str, mark: str) -> None:
    reply = ask(stack(), "transcription", "simulated/stt", SOUND, response_format=form)
    assert mark in reply.text
    if form == "verbose_json":
        assert reply.segments[0]["text"] == "Hello there, how are you?"
        assert (reply.cost, reply.record.cost.status) == (None, "unpriced")


def test_translation_has_an_address_of_its_own(ask: Call) -> None:
    vendor = SimulatedVendor(sleep=at_once)
    ask(stack(vendor=vendor), "transcription", "simulated/stt", SOUND, task="translate")
    assert vendor.requests[-1].path == "/v1/audio/translations"


# -- files, as callers have them


def sources(folder: Path) -> list[Any]:
    path = folder / "said.wav"
    path.write_bytes(SOUND)
    named = io.BytesIO(SOUND)
    return [SOUND, str(path), path, named, ("said.wav", SOUND), File(data=SOUND)]


@pytest.mark.parametrize("place", range(6))
def test_a_file_may_be_given_in_many_ways(ask: Call, tmp_path: Path, place: int) -> None:
    assert ask(stack(), "transcription", "simulated/stt", sources(tmp_path)[place]).text == "Hello there, how are you?"


@pytest.mark.parametrize(
    ("file", "error", "says"),
    [(b"", ConfigError, "found none"), (7, ConfigError, "found int"), (io.StringIO("x"), ConfigError, "open it with 'rb'"), ("no/such/file", FileNotFoundError, "No such file")],
)  # fmt: skip
def test_what_is_no_file(ask: Call, file: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=f"(?i){says}"):
        ask(stack(), "transcription", "simulated/stt", file)


def test_a_sound_can_be_saved(tmp_path: Path) -> None:
    reply = stack().speech("simulated/tts", "Hello")
    reply.save(tmp_path / "a.wav")
    assert (tmp_path / "a.wav").read_bytes() == reply.content


@pytest.mark.parametrize(
    "image",
    ["https://x.invalid/cat.png", PICTURE, ["https://x.invalid/cat.png", PICTURE]],
    ids=["url", "bytes", "both"],
)
def test_looking_at_pictures(ask: Call, image: Any) -> None:
    vendor = SimulatedVendor(sleep=at_once)
    assert ask(stack(vendor=vendor), "vision", "simulated/gpt-sim", "What is it?", image, detail="low").text
    content = vendor.requests[-1].json["messages"][0]["content"]  # type: ignore[index]
    urls = [ImagePart.model_validate(part).image_url for part in content[1:]]
    assert len(urls) == (len(image) if isinstance(image, list) else 1)
    assert all(
        url.url.startswith(("https://x.invalid/", "data:image/png;base64,")) and url.detail == "low" for url in urls
    )


def test_a_sound_is_no_picture(ask: Call) -> None:
    with pytest.raises(ConfigError, match="found audio/wav"):
        ask(stack(), "vision", "simulated/gpt-sim", "What is it?", SOUND)


# -- stages


def test_vectors_are_cached(ask: Call) -> None:
    client = stack(Cache())
    first, second = (ask(client, "embedding", "simulated/embed-sim", ["a", "b"]) for _ in range(2))
    assert [reply.record.facts["cache"].verdict for reply in (first, second)] == ["stored", "hit"]
    assert (second.vectors, second.cost) == (first.vectors, 0)
    assert second.record.cost.saved_usd == first.cost


def test_secrets_are_taken_out_of_what_is_embedded(ask: Call) -> None:
    vendor = SimulatedVendor(sleep=at_once)
    secret = "sk-proj-" + "a1B2" * 12
    ask(
        stack(Guardrails([{"secrets": {"action": "redact"}}]), vendor=vendor),
        "embedding",
        "simulated/embed-sim",
        ["fine", f"my key is {secret}"],
    )
    assert secret not in str(vendor.requests[-1].json)


@pytest.mark.parametrize("stream", [False, True])
def test_a_transcript_is_judged_too(ask: Call, stream: bool) -> None:
    client = stack(Guardrails([{"regex": {"pattern": "there", "action": "redact", "side": "output"}}]))
    reply = ask(client, "transcription", "simulated/stt", SOUND, stream=stream)
    assert "there" not in reply.text
    assert reply.text.startswith("Hello ")


def test_a_failed_request_is_tried_again(ask: Call) -> None:
    reply = ask(stack(Retry(attempts=3, initial_s=0.01)), "embedding", "simulated/embed-sim@fail=server_error,times=1", "a")  # fmt: skip
    assert len(reply.record.attempts) == 2


# -- what goes wrong


def test_a_model_that_is_not_there(ask: Call) -> None:
    with pytest.raises(NotFoundError):
        ask(stack(), "embedding", "simulated/unknown-model", "a")


def test_an_empty_input_is_the_vendors_error(ask: Call) -> None:
    with pytest.raises(BadRequestError):
        ask(stack(), "embedding", "simulated/embed-sim", "")


def test_a_cut_transcript_keeps_what_was_heard(ask: Call) -> None:
    with pytest.raises(StreamInterruptedError) as caught:
        ask(stack(), "transcription", "simulated/stt@fail=cut", SOUND, stream=True)
    assert caught.value.partial is not None
    assert "Hello there, how are you?".startswith(caught.value.partial.text)


def test_a_vendor_without_the_operation_is_not_asked(ask: Call) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        raise AssertionError("it was asked")

    client = Client(
        Pipeline([], providers=[provider("deepseek", api_key="sk-123456789", transport=httpx.MockTransport(answer))])
    )
    with pytest.raises(BadRequestError, match="deepseek has"):
        ask(client, "moderation", "deepseek/x", "a")


def test_a_page_in_place_of_sound_is_no_sound(ask: Call) -> None:
    with pytest.raises(Exception, match="502"):
        ask(stack(), "speech", "simulated/tts@fail=html_502", "a")


def test_what_the_vendor_quotes_is_masked(ask: Call) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(400, json={"error": {"message": "cannot embed 'my private diary entry'"}})

    client = Client(
        Pipeline([], providers=[provider("openai", api_key="sk-123456789", transport=httpx.MockTransport(answer))])
    )
    with pytest.raises(BadRequestError) as caught:
        ask(client, "embedding", "openai/e", ["a", "my private diary entry"])
    assert "diary" not in str(caught.value)


def test_a_dry_run_shows_how_large_a_form_is() -> None:
    run = stack().pipeline.explain(TranscriptionRequest(model="simulated/stt", file=File(data=SOUND)))
    assert run.payload["url"].endswith("/audio/transcriptions")
    assert run.payload["body"]["bytes"] > len(SOUND)
    assert run.facts["cost_range"].maximum_usd is None


def test_documents_are_a_list() -> None:
    with pytest.raises(TypeError, match="list of texts"):
        stack().rerank("simulated/rerank", "q", "one document")


def test_every_method_has_its_twin() -> None:
    for name in ("embedding", "moderation", "rerank", "image", "speech", "transcription", "vision"):
        plain, twin = (inspect.signature(getattr(Client, prefix + name)) for prefix in ("", "a"))
        assert list(plain.parameters.values()) == list(twin.parameters.values())
