"""Where a request to Google goes, and what it carries: AI Studio and Vertex AI, keys and tokens."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from glassway.pipeline.call import Call, CallOptions
from glassway.pipeline.errors import AuthenticationError, ConfigError
from glassway.pipeline.stream import Stream
from glassway.pipeline.types import ChatRequest
from glassway.providers import Gemini, HTTPProvider, Vertex, provider
from glassway.testing import FakeClock

pytestmark = pytest.mark.anyio

KEY = "AIzaCanary0123456789canary"
TOKEN = "ya29.canary-0123456789"
CORPUS = Path(os.environ.get("GLASSWAY_CORPUS") or Path(__file__).parents[3] / "../shared/corpus").resolve()
ANSWER = {
    "candidates": [{"content": {"parts": [{"text": "Hello"}], "role": "model"}, "finishReason": "STOP"}],
    "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2},
    "modelVersion": "gemini-2.5-flash",
    "responseId": "r1",
}
CLAUDE = {
    "type": "message",
    "id": "msg_1",
    "model": "claude-sonnet-4-5",
    "content": [{"type": "text", "text": "Bonjour"}],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 1, "output_tokens": 1},
}


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("GOOGLE_", "GEMINI_", "GCLOUD_"))]:
        monkeypatch.delenv(name)


class Vendor(httpx.MockTransport):
    """Answers every request alike, and keeps them."""

    def __init__(self, answer: Any = ANSWER, status: int = 200, kind: str = "application/json") -> None:
        self.requests: list[httpx.Request] = []
        content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()

        def handle(request: httpx.Request) -> httpx.Response:
            self.requests.append(request)
            return httpx.Response(status, content=content, headers={"content-type": kind})

        super().__init__(handle)

    @property
    def url(self) -> str:
        [request] = self.requests
        return str(request.url)

    @property
    def sent(self) -> dict[str, str]:
        [request] = self.requests
        return {name: request.headers[name] for name in ("x-goog-api-key", "authorization") if name in request.headers}


def call(model: str = "gemini-2.5-flash", *, stream: bool = False, **options: Any) -> Call:
    request = {"model": model, "messages": [{"role": "user", "content": "Hi"}], "stream": stream}
    return Call.start(ChatRequest.model_validate(request), options=CallOptions(**options), clock=FakeClock())


async def test_ai_studio_takes_the_key_in_a_header_and_never_in_the_url() -> None:
    vendor = Vendor()
    reply = await Gemini(api_key=KEY, transport=vendor)(call())
    assert vendor.url == "https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-flash:generateContent"
    assert vendor.sent == {"x-goog-api-key": KEY}
    assert reply.text == "Hello"  # type: ignore[union-attr]


async def test_a_stream_is_asked_for_as_events() -> None:
    vendor = Vendor(b"data: " + json.dumps(ANSWER).encode() + b"\r\n\r\n", kind="text/event-stream")
    reply = await Gemini(api_key=KEY, transport=vendor)(call(stream=True))
    assert isinstance(reply, Stream)
    assert (await reply.response()).text == "Hello"
    assert vendor.url.endswith("/models/gemini-2.5-flash:streamGenerateContent?alt=sse")


@pytest.mark.parametrize("variable", ["GEMINI_API_KEY", "GOOGLE_API_KEY"])
async def test_the_vendors_own_variables_hold_the_key(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, KEY)
    vendor = Vendor()
    await provider("google", transport=vendor)(call())
    assert vendor.sent == {"x-goog-api-key": KEY}


@pytest.mark.parametrize(
    ("base_url", "url"),
    [
        ("http://127.0.0.1:9", "http://127.0.0.1:9/v1beta/models/m:generateContent"),
        ("http://127.0.0.1:9/v1beta", "http://127.0.0.1:9/v1beta/models/m:generateContent"),
        ("http://127.0.0.1:9/v1alpha/", "http://127.0.0.1:9/v1alpha/models/m:generateContent"),
        ("http://127.0.0.1:9/gemini", "http://127.0.0.1:9/gemini/v1beta/models/m:generateContent"),
    ],
)
async def test_a_base_url_may_say_the_version(base_url: str, url: str) -> None:
    vendor = Vendor()
    await Gemini(api_key=KEY, base_url=base_url, transport=vendor)(call("m"))
    assert vendor.url == url


@pytest.mark.parametrize(
    ("model", "path"),
    [
        ("models/gemini-2.5-pro", "/v1beta/models/gemini-2.5-pro:generateContent"),
        ("tunedModels/mine-1", "/v1beta/tunedModels/mine-1:generateContent"),
        ("a?b#c", "/v1beta/models/a%3Fb%23c:generateContent"),
    ],
)
async def test_a_model_is_a_name_or_a_resource_and_stays_in_the_path(model: str, path: str) -> None:
    vendor = Vendor()
    await Gemini(api_key=KEY, transport=vendor)(call(model))
    assert vendor.url == f"https://generativelanguage.googleapis.com{path}"


async def test_a_call_may_name_another_version() -> None:
    vendor = Vendor()
    await Gemini(api_key=KEY, transport=vendor)(call("m", settings={"api_version": "v1alpha"}))
    assert vendor.url == "https://generativelanguage.googleapis.com/v1alpha/models/m:generateContent"


async def test_models_are_listed_by_their_names() -> None:
    path = CORPUS / "gemini/models-2.json"
    if not path.exists():
        pytest.skip(f"no recorded exchanges at {CORPUS}")
    vendor = Vendor(json.loads(path.read_text())["response"]["body_text"].encode())
    models = await Gemini(api_key=KEY, transport=vendor).list_models()
    assert vendor.url == "https://generativelanguage.googleapis.com/v1beta/models"
    assert any(model.startswith("gemini-") for model in models)
    assert not any("/" in model for model in models)


def vertex(vendor: Vendor, **settings: Any) -> HTTPProvider:
    return Vertex(**{"api_key": TOKEN, "project": "p-1", "transport": vendor, **settings})


@pytest.mark.parametrize(
    ("location", "host"),
    [
        ("us-central1", "us-central1-aiplatform.googleapis.com"),
        ("global", "aiplatform.googleapis.com"),
        ("eu", "aiplatform.eu.rep.googleapis.com"),
    ],
)
async def test_a_location_has_its_host(location: str, host: str) -> None:
    vendor = Vendor()
    await vertex(vendor, location=location)(call())
    assert vendor.url == (
        f"https://{host}/v1/projects/p-1/locations/{location}/publishers/google/models/gemini-2.5-flash:generateContent"
    )
    assert vendor.sent == {"authorization": f"Bearer {TOKEN}"}


async def test_project_and_location_of_the_call_go_before_the_providers_and_the_variables(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "env")
    monkeypatch.setenv("GOOGLE_CLOUD_LOCATION", "europe-west4")
    first, second, third = Vendor(), Vendor(), Vendor()
    await vertex(first, project=None)(call())
    await vertex(second, location="us-east1")(call())
    await vertex(third)(call(settings={"project": "q", "location": "asia-east1", "api_version": "v1beta1"}))
    assert "europe-west4-aiplatform.googleapis.com/v1/projects/env/locations/europe-west4/" in first.url
    assert "us-east1-aiplatform.googleapis.com/v1/projects/p-1/locations/us-east1/" in second.url
    assert "asia-east1-aiplatform.googleapis.com/v1beta1/projects/q/locations/asia-east1/" in third.url


async def test_express_mode_is_an_api_key_without_a_project() -> None:
    vendor = Vendor()
    await vertex(vendor, api_key=KEY, project=None)(call(stream=False))
    assert (
        vendor.url == "https://aiplatform.googleapis.com/v1/publishers/google/models/gemini-2.5-flash:generateContent"
    )
    assert vendor.sent == {"x-goog-api-key": KEY}


async def test_a_base_url_of_the_users_own_replaces_the_host() -> None:
    vendor = Vendor()
    await vertex(vendor, location="us-east1", base_url="http://127.0.0.1:9")(call())
    assert vendor.url.startswith("http://127.0.0.1:9/v1/projects/p-1/locations/us-east1/publishers/")


async def test_a_tuned_model_is_a_resource_of_its_own() -> None:
    first, second = Vendor(), Vendor()
    await vertex(first, location="us-east1")(call("endpoints/123"))
    await vertex(second, location="us-east1")(call("projects/x/locations/us-west1/endpoints/9"))
    assert (
        first.url
        == "https://us-east1-aiplatform.googleapis.com/v1/projects/p-1/locations/us-east1/endpoints/123:generateContent"
    )
    assert (
        second.url
        == "https://us-west1-aiplatform.googleapis.com/v1/projects/x/locations/us-west1/endpoints/9:generateContent"
    )


async def test_claude_speaks_its_own_protocol_there() -> None:
    vendor = Vendor(CLAUDE)
    reply = await vertex(vendor, location="us-east5")(call("claude-sonnet-4-5@20250929"))
    assert vendor.url == (
        "https://us-east5-aiplatform.googleapis.com/v1/projects/p-1/locations/us-east5"
        "/publishers/anthropic/models/claude-sonnet-4-5@20250929:rawPredict"
    )
    assert json.loads(vendor.requests[0].content)["anthropic_version"] == "vertex-2023-10-16"
    assert reply.text == "Bonjour"  # type: ignore[union-attr]


async def test_a_stream_of_claude_is_read_as_claudes() -> None:
    path = CORPUS / "vertex/anthropic-tool-call-stream-1.json"
    if not path.exists():
        pytest.skip(f"no recorded exchanges at {CORPUS}")
    vendor = Vendor(
        json.loads(path.read_text())["response"]["body_text"].encode(), kind="text/event-stream; charset=utf-8"
    )
    reply = await vertex(vendor)(call("claude-3-7-sonnet@20250219", stream=True))
    assert isinstance(reply, Stream)
    assert (await reply.response()).tool_calls  # type: ignore[attr-defined]
    assert vendor.url.endswith(":streamRawPredict")


async def test_claude_needs_a_project() -> None:
    vendor = Vendor(CLAUDE)
    with pytest.raises(ConfigError, match="GOOGLE_CLOUD_PROJECT"):
        await vertex(vendor, project=None)(call("claude-sonnet-4-5"))
    assert vendor.requests == []


async def test_errors_of_either_kind_are_told_apart() -> None:
    google = {"error": {"code": 401, "message": "API keys are not supported by this API.", "status": "UNAUTHENTICATED"}}
    claude = {"type": "error", "error": {"type": "authentication_error", "message": "no"}, "request_id": "req_1"}
    for body, word in ((google, "UNAUTHENTICATED"), (claude, "authentication_error")):
        with pytest.raises(AuthenticationError, match=word) as caught:
            await vertex(Vendor(body, 401))(call("claude-sonnet-4-5"))
        assert caught.value.provider == "vertex"


async def test_a_function_gives_a_token_for_every_call() -> None:
    tokens = iter(("ya29.one", "ya29.two"))

    async def token() -> str:
        return next(tokens)

    first, second = Vendor(), Vendor()
    for vendor in (first, second):
        stack = vertex(vendor, api_key=None, credentials=token if vendor is first else lambda: next(tokens))
        await stack(call())
    assert [first.sent["authorization"], second.sent["authorization"]] == ["Bearer ya29.one", "Bearer ya29.two"]


class Account:
    """As google-auth's credentials are."""

    def __init__(self) -> None:
        self.token: str | None = None
        self.refreshed = 0

    @property
    def valid(self) -> bool:
        return self.token is not None

    def refresh(self, request: Any) -> None:
        self.refreshed += 1
        self.token = f"ya29.fresh-{self.refreshed}"


async def test_credentials_are_refreshed_when_they_are_not_valid() -> None:
    account, vendor = Account(), Vendor()
    stack = vertex(vendor, api_key=None, credentials=account)
    for _ in range(2):
        await stack(call())
    account.token = None
    await stack(call())
    assert [request.headers["authorization"] for request in vendor.requests] == [
        "Bearer ya29.fresh-1",
        "Bearer ya29.fresh-1",
        "Bearer ya29.fresh-2",
    ]


async def test_a_machine_without_an_account_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "nothing.json"))
    vendor = Vendor()
    with pytest.raises(ConfigError, match="gcloud auth application-default login"):
        await vertex(vendor, api_key=None)(call())
    assert vendor.requests == []


async def test_a_key_of_the_call_needs_no_account() -> None:
    account, vendor = Account(), Vendor()
    await vertex(vendor, api_key=None, credentials=account)(call(api_key=SecretStr(TOKEN)))
    assert vendor.sent == {"authorization": f"Bearer {TOKEN}"}
    assert account.refreshed == 0


async def test_a_preview_shows_the_address_and_no_token() -> None:
    shown = vertex(Vendor(), location="us-east1").preview(call())
    assert shown["url"].startswith("https://us-east1-aiplatform.googleapis.com/v1/projects/p-1/")
    assert TOKEN not in json.dumps(shown)


def test_settings_of_vertex_are_refused_elsewhere() -> None:
    with pytest.raises(ConfigError, match="vertex only"):
        provider("openai", project="p")
    assert isinstance(provider("vertex_ai", project="p", location="eu"), Vertex)
