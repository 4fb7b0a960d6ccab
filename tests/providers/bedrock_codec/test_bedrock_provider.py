"""The provider end to end: who we are, where we go, and signatures that AWS's own code accepts."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import botocore.auth
import botocore.session
import httpx
import pytest
from bedrock_exchanges import CLAUDE, EXCHANGES, RECORDED, Recorded, by_name, call_of, frame, frames, signed_by_boto
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials, RefreshableCredentials
from pydantic import SecretStr

from glassway.pipeline.attempts import attempt
from glassway.pipeline.call import Call, CallOptions
from glassway.pipeline.errors import ConfigError, MissingExtraError, PermissionDeniedError, RateLimitError
from glassway.pipeline.facts import ATTEMPTS
from glassway.pipeline.pipeline import Pipeline
from glassway.pipeline.stream import Stream
from glassway.pipeline.types import ChatRequest
from glassway.providers import Bedrock, every_provider, provider
from glassway.providers.aws import AccessKeys, Account

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.anyio

KEY, SECRET, TOKEN = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "a-session-token-of-some-length"
ANSWER = json.dumps(
    {
        "output": {"message": {"role": "assistant", "content": [{"text": "Hello"}]}},
        "stopReason": "end_turn",
        "usage": {"inputTokens": 3, "outputTokens": 4, "totalTokens": 7},
        "metrics": {"latencyMs": 5},
    }
).encode()

EVENTS = "application/vnd.amazon.eventstream"
STREAM = frames(
    ("messageStart", {"role": "assistant"}),
    *(("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": word}}) for word in ("Hel", "lo")),
    ("contentBlockStop", {"contentBlockIndex": 0}),
    ("messageStop", {"stopReason": "end_turn"}),
    ("metadata", {"usage": {"inputTokens": 3, "outputTokens": 4, "totalTokens": 7}, "metrics": {"latencyMs": 5}}),
)


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine on which nobody has an account."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_BEARER_TOKEN_BEDROCK", "AWS_ENDPOINT_URL_BEDROCK_RUNTIME"):  # fmt: skip
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


class Mock:
    """A transport that keeps what it was sent."""

    def __init__(self, body: bytes = ANSWER, status: int = 200, **headers: str) -> None:
        self.requests: list[httpx.Request] = []
        kind = {"content-type": "application/json"}
        self.transport = httpx.MockTransport(self._answer)
        self._response = (status, {**kind, **{name.replace("_", "-"): value for name, value in headers.items()}}, body)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        status, headers, body = self._response
        return httpx.Response(status, headers=headers, content=body)

    @property
    def request(self) -> httpx.Request:
        [request] = self.requests
        return request


async def ask(target: Bedrock, call: Call | None = None) -> Any:
    return await target(call or call_of({}))


def expected_authorization(request: httpx.Request, secret: str = SECRET) -> str:
    """What botocore makes of a request that has arrived: the server's side of the signature."""
    said = request.headers["authorization"]
    scope = said.partition("Credential=")[2].partition(",")[0].split("/")
    names = said.partition("SignedHeaders=")[2].partition(",")[0].split(";")
    signed = {name: request.headers[name] for name in names}
    target = request.url.raw_path.decode()
    again = AWSRequest(
        request.method, f"https://{request.headers['host']}{target}", headers=signed, data=request.content
    )
    again.context["timestamp"] = request.headers["x-amz-date"]
    signer = SigV4Auth(Credentials(scope[0], secret), "bedrock", scope[2])
    return signer.signature(signer.string_to_sign(again, signer.canonical_request(again)), again)


# -- signatures


@pytest.mark.parametrize(
    "model",
    [CLAUDE, "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.amazon.nova-lite-v1:0", "amazon.titan"],
)
async def test_a_request_is_signed_as_aws_would_check_it(model: str) -> None:
    mock = Mock()
    target = Bedrock(
        region="us-east-1", access_key_id=KEY, secret_access_key=SECRET, session_token=TOKEN, transport=mock.transport
    )
    await ask(target, call_of({"model": model}))
    said = mock.request.headers["authorization"]
    assert said.startswith(f"AWS4-HMAC-SHA256 Credential={KEY}/")
    assert "/us-east-1/bedrock/aws4_request, SignedHeaders=content-type;host;x-amz-date;x-amz-security-token, " in said
    assert said.endswith(f"Signature={expected_authorization(mock.request)}")
    assert not said.endswith(f"Signature={expected_authorization(mock.request, SECRET + 'x')}")
    assert mock.request.headers["x-amz-security-token"] == TOKEN


@RECORDED
@pytest.mark.parametrize("one", [one for one in EXCHANGES if one.api == "converse"][::6], ids=by_name)
async def test_the_signature_is_that_of_aws_own_client(monkeypatch: pytest.MonkeyPatch, one: Recorded) -> None:
    """The same request, at the same time, by both."""
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda: datetime(2026, 1, 2, 3, 4, 5))  # noqa: DTZ001 - as botocore's
    theirs = signed_by_boto(one, KEY, SECRET)
    headers = {"content-type": theirs.headers["Content-Type"].decode(), "host": urlsplit(theirs.url).netloc}
    request = httpx.Request("POST", theirs.url, headers=headers, content=theirs.body)
    await Account("us-east-1", None, AccessKeys(KEY, SecretStr(SECRET))).sign(request, "us-east-1")
    assert request.headers["authorization"] == theirs.headers["Authorization"].decode()
    assert request.headers["x-amz-date"] == theirs.headers["X-Amz-Date"].decode()
    ours = Mock(STREAM, content_type=EVENTS) if one.streams else Mock()
    target = Bedrock(region="us-east-1", access_key_id=KEY, secret_access_key=SECRET, transport=ours.transport)
    await ask(target, one.call())
    assert str(ours.request.url) == theirs.url.replace("/m/", f"/{one.model.replace(':', '%3A')}/")


async def test_headers_of_the_users_own_do_not_break_the_signature() -> None:
    mock = Mock()
    target = Bedrock(
        region="us-east-1",
        access_key_id=KEY,
        secret_access_key=SECRET,
        headers={"x-team": "a", "X-Amz-Meta": "b"},
        transport=mock.transport,
    )
    await ask(target)
    said = mock.request.headers["authorization"]
    assert "SignedHeaders=content-type;host;x-amz-date;x-amz-meta, " in said
    assert said.endswith(expected_authorization(mock.request))


# -- who we are


async def test_an_api_key_goes_as_a_bearer_token() -> None:
    mock = Mock()
    await ask(Bedrock(region="us-east-1", api_key="bedrock-key", transport=mock.transport))
    assert mock.request.headers["authorization"] == "Bearer bedrock-key"
    assert "x-amz-date" not in mock.request.headers


async def test_the_environments_key_counts_before_its_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "from-env")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    mock = Mock()
    await ask(Bedrock(region="us-east-1", transport=mock.transport))
    assert mock.request.headers["authorization"] == "Bearer from-env"


async def test_keys_that_were_given_count_before_the_environments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "from-env")
    mock = Mock()
    await ask(Bedrock(region="us-east-1", access_key_id=KEY, secret_access_key=SECRET, transport=mock.transport))
    assert mock.request.headers["authorization"].startswith("AWS4-HMAC-SHA256")


async def test_a_calls_own_key_counts_before_all() -> None:
    mock = Mock()
    call = Call.start(call_of({}).request, options=CallOptions(api_key=SecretStr("of-the-call")))
    await ask(Bedrock(region="us-east-1", access_key_id=KEY, secret_access_key=SECRET, transport=mock.transport), call)
    assert mock.request.headers["authorization"] == "Bearer of-the-call"


async def test_the_environments_credentials_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_SESSION_TOKEN", TOKEN)
    mock = Mock()
    await ask(Bedrock(region="us-east-1", transport=mock.transport))
    assert mock.request.headers["x-amz-security-token"] == TOKEN
    assert mock.request.headers["authorization"].endswith(expected_authorization(mock.request))


async def test_a_profile_brings_its_keys_and_its_region(tmp_path: Path) -> None:
    (tmp_path / "config").write_text("[profile work]\nregion = eu-central-1\n")
    (tmp_path / "credentials").write_text(f"[work]\naws_access_key_id = {KEY}\naws_secret_access_key = {SECRET}\n")
    mock = Mock()
    await ask(Bedrock(profile="work", transport=mock.transport))
    assert mock.request.url.host == "bedrock-runtime.eu-central-1.amazonaws.com"
    assert "/eu-central-1/bedrock/" in mock.request.headers["authorization"]
    assert mock.request.headers["authorization"].endswith(expected_authorization(mock.request))


async def test_a_profile_that_is_not_there_is_said() -> None:
    with pytest.raises(ConfigError, match="'nowhere'"):
        await ask(Bedrock(profile="nowhere", transport=Mock().transport))


async def test_nobody_at_all_is_said() -> None:
    mock = Mock()
    with pytest.raises(ConfigError, match=r"No credentials for bedrock.*found none"):
        await ask(Bedrock(region="us-east-1", transport=mock.transport))
    assert mock.requests == []


def test_half_a_pair_of_keys_is_refused() -> None:
    with pytest.raises(ConfigError, match="together"):
        Bedrock(access_key_id=KEY)


async def test_credentials_are_refreshed_off_the_event_loop_and_kept_meanwhile() -> None:
    threads: list[str] = []

    def fetch() -> dict[str, str]:
        threads.append(threading.current_thread().name)
        expiry = datetime.now(UTC) + timedelta(seconds=1 if len(threads) == 1 else 7_200)
        return {
            "access_key": f"AKID{len(threads)}",
            "secret_key": SECRET,
            "token": TOKEN,
            "expiry_time": expiry.isoformat(),
        }

    account = Account("us-east-1", None, None)
    account._found = RefreshableCredentials.create_from_metadata(fetch(), refresh_using=fetch, method="test")
    seen = []
    for _ in range(3):
        request = httpx.Request("POST", "https://bedrock.test/model/m/converse", content=b"{}")
        await account.sign(request, "us-east-1")
        seen.append(request.headers["authorization"].partition("Credential=")[2].partition("/")[0])
    assert seen == ["AKID2"] * 3
    assert threads[1:] == [name for name in threads[1:] if name != threading.current_thread().name]
    assert len(threads) == 2


# -- where we go


@pytest.mark.parametrize(
    ("own", "asked", "env", "host"),
    [
        ("us-east-1", None, {}, "bedrock-runtime.us-east-1.amazonaws.com"),
        ("us-east-1", "eu-west-3", {}, "bedrock-runtime.eu-west-3.amazonaws.com"),
        (
            None,
            None,
            {"AWS_REGION": "ap-south-1", "AWS_DEFAULT_REGION": "x"},
            "bedrock-runtime.ap-south-1.amazonaws.com",
        ),
        (None, None, {"AWS_DEFAULT_REGION": "us-gov-west-1"}, "bedrock-runtime.us-gov-west-1.amazonaws.com"),
        ("eusc-de-east-1", None, {}, "bedrock-runtime.eusc-de-east-1.amazonaws.eu"),
        ("us-east-1", None, {"AWS_ENDPOINT_URL_BEDROCK_RUNTIME": "https://vpce.test"}, "vpce.test"),
    ],
)
async def test_the_region_makes_the_host(
    monkeypatch: pytest.MonkeyPatch, own: str | None, asked: str | None, env: dict[str, str], host: str
) -> None:
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    mock = Mock()
    settings = {"region": asked} if asked else {}
    await ask(Bedrock(region=own, api_key="bedrock-key", transport=mock.transport), call_of({}, **settings))
    assert mock.request.url.host == host
    if "amazonaws" in host:
        known = botocore.session.Session().create_client("bedrock-runtime", region_name=host.split(".")[1])
        assert known.meta.endpoint_url == f"https://{host}"


async def test_no_region_is_said_and_a_strange_one_goes_nowhere() -> None:
    mock = Mock()
    with pytest.raises(ConfigError, match="No region for bedrock"):
        await ask(Bedrock(api_key="bedrock-key", transport=mock.transport))
    for strange in ("evil.test/", "us-east-1.evil.test", "US-EAST-1", "us-east-1\n"):
        with pytest.raises(ConfigError, match="expected a name like us-east-1"):
            await ask(Bedrock(region=strange, api_key="bedrock-key", transport=mock.transport))
    assert mock.requests == []


async def test_what_is_accepted_is_said() -> None:
    for streams, accept, body in (
        (False, "application/json", ANSWER),
        (True, EVENTS, STREAM),
    ):
        mock = Mock(body, content_type=accept)
        await ask(
            Bedrock(region="us-east-1", api_key="bedrock-key", transport=mock.transport), call_of({"stream": streams})
        )
        assert mock.request.headers["accept"] == accept
        assert mock.request.url.path.endswith("/converse-stream") is streams


async def test_models_are_listed_by_the_control_plane() -> None:
    listed = {"modelSummaries": [{"modelId": "amazon.nova-lite-v1:0"}, {"modelId": "meta.llama3"}]}
    mock = Mock(json.dumps(listed).encode())
    target = Bedrock(region="us-east-1", access_key_id=KEY, secret_access_key=SECRET, transport=mock.transport)
    assert await target.list_models() == ("amazon.nova-lite-v1:0", "meta.llama3")
    assert str(mock.request.url) == "https://bedrock.us-east-1.amazonaws.com/foundation-models"
    assert mock.request.headers["authorization"].endswith(expected_authorization(mock.request))


async def test_who_is_nobody_has_no_models() -> None:
    available = await Bedrock(region="us-east-1", transport=Mock().transport).available()
    assert not available
    assert "No credentials" in available.reason


async def test_a_preview_shows_no_secret_and_sends_nothing() -> None:
    mock = Mock()
    target = Bedrock(region="us-east-1", access_key_id=KEY, secret_access_key=SECRET, transport=mock.transport)
    shown = target.preview(call_of({}))
    assert (
        shown["url"]
        == "https://bedrock-runtime.us-east-1.amazonaws.com/model/us.anthropic.claude-sonnet-4-5-20250929-v1:0/converse"
    )
    assert SECRET not in str(shown)
    assert mock.requests == []


# -- errors


async def test_an_error_names_no_secret_and_no_prompt() -> None:
    message = f"The Canonical String for this request should have been x-amz-security-token:{TOKEN} {SECRET} {KEY} 'my own secret question'"
    mock = Mock(
        json.dumps({"message": message}).encode(),
        403,
        x_amzn_errortype="AccessDeniedException:http://x",
        x_amzn_requestid="r-7",
    )
    target = Bedrock(
        region="us-east-1", access_key_id=KEY, secret_access_key=SECRET, session_token=TOKEN, transport=mock.transport
    )
    with pytest.raises(PermissionDeniedError) as raised:
        await ask(target, call_of({"messages": [{"role": "user", "content": "my own secret question"}]}))
    for secret in (TOKEN, SECRET, KEY, "my own secret question"):
        assert secret not in raised.value.message
    assert raised.value.request_id == "r-7"


# -- the extra


def test_without_botocore_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "botocore", None)
    with pytest.raises(MissingExtraError, match=r"glassway\[bedrock\]"):
        Bedrock(region="us-east-1")
    with pytest.raises(MissingExtraError):
        provider("bedrock")


async def test_without_botocore_the_other_vendors_are_there_and_bedrock_says_why_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "botocore", None)
    by_vendor = {one.name: one for one in every_provider()}
    assert "openai" in by_vendor
    with pytest.raises(MissingExtraError, match=r"glassway\[bedrock\]"):
        await by_vendor["bedrock"](call_of({}))


def test_the_row_and_its_settings_by_name() -> None:
    made = provider("aws_bedrock", region="eu-west-1", api="invoke", name="eu")
    assert isinstance(made, Bedrock)
    assert (made.name, repr(made)) == ("eu", "Bedrock(name='eu', base_url='https://bedrock-runtime.eu-west-1')")
    with pytest.raises(ConfigError, match="region: expected it for bedrock only"):
        provider("openai", region="eu-west-1")


# -- over real sockets


class Server:
    """Answers by the path, if the signature is right; 403 otherwise."""

    def __init__(self) -> None:
        self.port = 0
        self.accepted = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                request = await self._request(head, reader)
                self._answer(request, writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _request(self, head: bytes, reader: asyncio.StreamReader) -> httpx.Request:
        first, *lines = head.decode().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines if line)
        names = {name.lower(): value for name, value in headers.items()}
        body = await reader.readexactly(int(names["content-length"]))
        method, path, _ = first.split(" ")
        return httpx.Request(method, f"http://127.0.0.1:{self.port}{path}", headers=names, content=body)

    def _answer(self, request: httpx.Request, writer: asyncio.StreamWriter) -> None:
        if not request.headers["authorization"].endswith(f"Signature={expected_authorization(request)}"):
            return self._send(
                writer, 403, "application/json", b'{"message": "The request signature we calculated does not match"}'
            )
        self.accepted += 1
        if request.url.path.endswith("-stream"):
            return self._send(writer, 200, "application/vnd.amazon.eventstream", STREAM)
        return self._send(writer, 200, "application/json", ANSWER)

    def _send(self, writer: asyncio.StreamWriter, status: int, kind: str, body: bytes) -> None:
        writer.write(
            f"HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\nx-amzn-requestid: r-1\r\ntransfer-encoding: chunked\r\n\r\n".encode()
        )
        for at in range(0, len(body), 100):
            piece = body[at : at + 100]
            writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        writer.write(b"0\r\n\r\n")


@pytest.fixture
async def server(each_transport: str) -> AsyncIterator[Server]:
    made = Server()
    async with await asyncio.start_server(made.serve, "127.0.0.1", 0) as listening:
        made.port = listening.sockets[0].getsockname()[1]
        yield made


def at(server: Server, secret: str = SECRET) -> Bedrock:
    return Bedrock(
        region="us-east-1", access_key_id=KEY, secret_access_key=secret, base_url=f"http://127.0.0.1:{server.port}"
    )


def hello(*, stream: bool) -> ChatRequest:
    return ChatRequest.model_validate(
        {"model": f"bedrock/{CLAUDE}", "messages": [{"role": "user", "content": "Hi"}], "stream": stream}
    )


@pytest.mark.parametrize("stream", [False, True])
async def test_a_whole_pipeline_reaches_a_server_that_checks_signatures(server: Server, stream: bool) -> None:
    async with Pipeline([], at(server)) as pipeline:
        reply = await pipeline.send(hello(stream=stream))
        answer = await reply.response() if isinstance(reply, Stream) else reply
    assert (answer.text, answer.usage.total_tokens, answer.model) == ("Hello", 7, CLAUDE)
    assert (answer.provider, answer.request_id, server.accepted) == ("bedrock", "r-1", 1)


async def test_a_wrong_secret_is_refused_by_the_server(server: Server) -> None:
    target = at(server, "wrong")
    with pytest.raises(PermissionDeniedError, match="does not match"):
        await ask(target)
    await target.aclose()
    assert server.accepted == 0


async def test_an_exception_in_the_first_frame_is_raised_before_anything_is_handed_out() -> None:
    mock = Mock(
        frame("throttlingException", {"message": "slow"}, kind="exception"),
        content_type=EVENTS,
    )
    call = call_of({"stream": True})
    with pytest.raises(RateLimitError):
        await attempt(call, "bedrock", Bedrock(region="us-east-1", api_key="bedrock-key", transport=mock.transport))
    [made] = call.trail(ATTEMPTS)
    assert (made.error, made.vendor) == ("rate_limited", "bedrock")
