"""Canaries: keys planted wherever a key can be must not come out anywhere."""

from __future__ import annotations

import json
import logging
import pickle
import traceback
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import generate_latest
from pydantic import SecretStr
from vectors import embed

from glassway import CallOptions, ChatRequest, Client, OpenAI, Pipeline, Stream
from glassway.middlewares import (
    Cache,
    Callbacks,
    Cost,
    Defaults,
    Fallback,
    Guardrails,
    Record,
    Replay,
    Retry,
    SemanticCache,
    Shadow,
    Timeout,
    Tracing,
)
from glassway.pipeline.errors import GlasswayError
from glassway.testing.telemetry import RecordedTelemetry, record_telemetry

pytestmark = pytest.mark.anyio

ENVIRONMENT = "sk-env0CANARY1environment2environment3"
CALL = "sk-call0CANARY1override2override3override"
HEADER = "hdr-CANARY-0123456789abcdef"
QUERY = "qry-CANARY-0123456789abcdef"
PASSWORD = "pwd-CANARY-0123456789"
PROMPT = "sk-proj-Prompt0CANARY1prompt2prompt3prompt4prompt5"
CANARIES = {
    "environment": ENVIRONMENT,
    "call": CALL,
    "header": HEADER,
    "query": QUERY,
    "password": PASSWORD,
    "prompt": PROMPT,
}

Answer = Callable[[httpx.Request], httpx.Response]


def echo(status: int) -> Answer:
    """A vendor that quotes everything it was sent in its error."""

    def answer(request: httpx.Request) -> httpx.Response:
        said = f"Bad {request.url} {dict(request.headers)} {request.content.decode()}"
        return httpx.Response(status, json={"error": {"message": said, "type": "server_error", "code": None}})

    return answer


def answers(_: httpx.Request) -> httpx.Response:
    """A vendor that answers."""
    choice = {"index": 0, "message": {"role": "assistant", "content": "Fine."}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}
    return httpx.Response(200, json={"id": "1", "model": "gpt-4o-mini", "choices": [choice], "usage": usage})


def breaks(_: httpx.Request) -> httpx.Response:
    """A connection that breaks, with an error that quotes the URL."""
    raise httpx.ReadError(f"connection to https://u:{PASSWORD}@vendor.test/v1?key={QUERY} broke")


def cuts(_: httpx.Request) -> httpx.Response:
    """A stream that is cut."""

    async def body() -> AsyncIterator[bytes]:
        yield b'data: {"id":"1","choices":[{"index":0,"delta":{"content":"Fi"}}]}\n\n'
        raise httpx.ReadError(f"broke at key={QUERY}")

    return httpx.Response(200, headers={"content-type": "text/event-stream"}, content=body())


class Sinks:
    """Everything that leaves a call, as text."""

    def __init__(self, telemetry: RecordedTelemetry, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
        self.telemetry = telemetry
        self.folder = folder
        self.caplog = caplog
        self.texts: dict[str, str] = {}

    def add(self, name: str, value: object) -> None:
        self.texts[name] = self.texts.get(name, "") + str(value)

    def add_error(self, error: BaseException) -> None:
        self.add("error text", f"{error} {error!r} {error.args} {vars(error)}")
        self.add("error traceback", "".join(traceback.format_exception_only(error)))
        self.add("error pickle", pickle.dumps(error))
        if isinstance(error, GlasswayError) and error.record is not None:
            self.add("record", json.dumps(error.record.to_dict()) + repr(error.record))

    def gather(self) -> dict[str, str]:
        """All of it."""
        self.add("spans", "".join(span.to_json() for span in self.telemetry.spans))
        self.add("metrics", generate_latest(self.telemetry.telemetry.registry).decode())
        self.add("log", self.caplog.text + "".join(repr(record.__dict__) for record in self.caplog.records))
        self.add("cache files", b"".join(path.read_bytes() for path in self.folder.rglob("*") if path.is_file()))
        return self.texts


@pytest.fixture
def sinks(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Any:
    caplog.set_level(logging.DEBUG)
    with record_telemetry() as telemetry:
        yield Sinks(telemetry, tmp_path, caplog)


@pytest.fixture(params=["environment", "call"])
def key(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> SecretStr | None:
    """The key comes from the environment, or with the call."""
    monkeypatch.setenv("OPENAI_API_KEY", ENVIRONMENT)
    return None if request.param == "environment" else SecretStr(CALL)


def client(sinks: Sinks, answer: Answer) -> Client:
    provider = OpenAI(
        base_url=f"https://user:{PASSWORD}@vendor.test/v1?key={QUERY}",
        transport=httpx.MockTransport(answer),
        headers={"x-own": HEADER},
    )
    stages = [
        Tracing(capture="span"),
        Callbacks(
            on_success=[lambda event: sinks.add("callback", event.response)],
            on_failure=[lambda event: sinks.add("callback", event.error)],
        ),
        Cost(),
        Guardrails(["secrets"]),
        Defaults(set={"temperature": 0}, system_prefix="Be brief."),
        Cache(store=f"disk:{sinks.folder / 'cache'}"),
        SemanticCache(embed, store=f"disk:{sinks.folder / 'semantic'}"),
        Shadow("openai/shadow", share=1, on_result=[lambda report: sinks.add("shadow", report.record.to_dict())]),
        Shadow(stage=Guardrails(["secrets"]), name="stages", share=1),
        Fallback(["openai/other"]),
        Retry(attempts=2, initial_s=0, maximum_s=0),
        Timeout(total_s=30),
        Record(sinks.folder / "cassette.jsonl"),
    ]
    return Client(Pipeline(stages, providers=[provider], telemetry=sinks.telemetry.telemetry))


@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
@pytest.mark.parametrize(
    "answer",
    [echo(400), echo(401), echo(429), echo(500), answers, breaks, cuts],
    ids=lambda answer: answer.__qualname__,
)
async def test_no_canary_comes_out(answer: Answer, stream: bool, key: SecretStr | None, sinks: Sinks) -> None:
    request = ChatRequest.model_validate(
        {
            "model": "openai/gpt-4o-mini",
            "stream": stream,
            "messages": [{"role": "user", "content": f"My key is {PROMPT}, keep it."}],
        }
    )
    options = CallOptions(api_key=key, headers={"x-more": HEADER}, metadata={"note": "harmless"})
    async with client(sinks, answer) as used:
        sinks.add("reprs", f"{used!r} {used.pipeline!r} {used.pipeline.providers!r} {options!r}")
        sinks.add("plan", used.explain())
        dry_run = await used.pipeline.aexplain(request, options)
        sinks.add("dry run", f"{dry_run} {dry_run.payload}")
        try:
            reply = await used.pipeline.send(request, options)
            response = await reply.response() if isinstance(reply, Stream) else reply
            sinks.add("record", json.dumps(response.record.to_dict()) if response.record else "")
        except GlasswayError as error:
            sinks.add_error(error)
    leaks = [
        f"{name} in {sink}"
        for sink, text in sinks.gather().items()
        for name, canary in CANARIES.items()
        if canary in text
    ]
    assert not leaks
    assert len(sinks.telemetry.spans) > len("abc")
    assert "glassway_calls_total" in sinks.texts["metrics"]


async def test_the_vendor_does_get_the_key_and_not_the_redacted_prompt(key: SecretStr | None, sinks: Sinks) -> None:
    seen: list[httpx.Request] = []

    def watch(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return answers(request)

    async with client(sinks, watch) as used:
        await used.achat("openai/gpt-4o-mini", f"My key is {PROMPT}", options=CallOptions(api_key=key))
    assert seen[0].headers["authorization"] == f"Bearer {key.get_secret_value() if key else ENVIRONMENT}"
    assert PROMPT not in seen[0].content.decode()
    assert "[REDACTED" in seen[0].content.decode()


def texts_of(folder: Path) -> list[str]:
    return [path.read_text() for path in folder.rglob("*") if path.is_file()]


def quotes(request: httpx.Request) -> httpx.Response:
    """A vendor that answers with everything it was sent, in pieces of seven characters where a stream is asked for."""
    asked = json.loads(request.content)
    said = f"You sent {asked['messages'][0]['content']} with {dict(request.headers)}"
    if not asked.get("stream"):
        message = {"role": "assistant", "content": said}
        choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
        return httpx.Response(200, json={"id": "1", "model": "gpt-4o-mini", "choices": choices})
    deltas = [{"delta": {"content": said[start : start + 7]}} for start in range(0, len(said), 7)]
    ends = [{"delta": {}, "finish_reason": "stop"}]
    events = [json.dumps({"id": "1", "model": "m", "choices": [{"index": 0, **each}]}) for each in deltas + ends]
    body = "".join(f"data: {event}\n\n" for event in (*events, "[DONE]"))
    return httpx.Response(200, headers={"content-type": "text/event-stream"}, text=body)


@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
@pytest.mark.parametrize("place", ["calls.jsonl", "calls"], ids=["file", "folder"])
@pytest.mark.parametrize("answer", [quotes, echo(400), breaks, cuts], ids=lambda answer: answer.__qualname__)
async def test_a_cassette_holds_no_canary_and_plays_all_the_same(
    answer: Answer, place: str, stream: bool, key: SecretStr | None, tmp_path: Path
) -> None:
    """No guardrail stands in front: the recording alone takes care."""
    request = ChatRequest.model_validate(
        {"model": "openai/m", "stream": stream, "messages": [{"role": "user", "content": f"{PROMPT} {HEADER}"}]}
    )
    options = CallOptions(api_key=key, headers={"x-own": HEADER})
    url = f"https://user:{PASSWORD}@vendor.test/v1?key={QUERY}"
    ends: list[Any] = []
    for stage in (Record(tmp_path / place), Replay(tmp_path / place)):
        provider = OpenAI(base_url=url, transport=httpx.MockTransport(answer), headers={"x-own": HEADER})
        async with Pipeline([stage], provider) as pipeline:
            try:
                reply = await pipeline.send(request, options)
                response = await reply.response() if isinstance(reply, Stream) else reply
                ends.append(len(response.text))
            except GlasswayError as error:
                ends.append(type(error))
    files = texts_of(tmp_path)
    assert files
    assert [name for name, canary in CANARIES.items() if any(canary in text for text in files)] == []
    assert ends[0] == ends[1]
