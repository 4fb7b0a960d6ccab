"""What the tests of Bedrock share: botocore as a judge of requests and a reader of answers, and frames made by hand."""

from __future__ import annotations

import base64
import io
import json
import os
import struct
from binascii import crc32
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote

import botocore.session
import pytest
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.validate import ParamValidator

from glassway.pipeline.call import Call, CallOptions
from glassway.pipeline.facts import TRANSLATION
from glassway.pipeline.types import ChatRequest
from glassway.providers.codecs.bedrock import BedrockCodec
from glassway.testing import FakeClock

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

CORPUS = Path(os.environ.get("GLASSWAY_CORPUS") or Path(__file__).parents[1] / "../shared/corpus").resolve()

CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"

Sent = tuple[dict[str, Any], dict[str, str]]


class Recorded(NamedTuple):
    """One recorded exchange."""

    name: str
    api: str
    model: str
    streams: bool
    request: dict[str, Any]
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def kind(self) -> str:
        return self.name.rstrip("0123456789").rstrip("-")

    def call(self, **settings: Any) -> Call:
        return call_of({"model": self.model, "stream": self.streams}, **settings)

    def codec(self) -> BedrockCodec:
        return BedrockCodec(api="invoke" if self.api == "invoke" else "converse")


def recorded(path: Path) -> Recorded:
    data = json.loads(path.read_text())
    answer, url = data["response"], data["request"]["url"]
    body = base64.b64decode(answer["body_base64"]) if answer.get("body_base64") else answer["body_text"].encode()
    model, operation = unquote(url.partition("/model/")[2]).rsplit("/", 1)
    streams = operation.endswith("stream")
    return Recorded(
        path.stem, data["api"], model, streams, data["request"]["json"], answer["status"], answer["headers"], body
    )


def by_name(one: Recorded) -> str:
    return one.name


EXCHANGES = [recorded(path) for path in sorted(CORPUS.glob("bedrock/*.json"))]


RECORDED = pytest.mark.skipif(not EXCHANGES, reason=f"no recorded exchanges at {CORPUS}")


@cache
def _operation(name: str) -> Any:
    return _session().get_service_model("bedrock-runtime").operation_model(name)


@cache
def _session() -> Any:
    return botocore.session.Session()


def blobs(shape: Any, value: Any) -> Any:
    """JSON as botocore's parameters: base64 as bytes."""
    if shape.type_name == "structure" and isinstance(value, dict) and not getattr(shape, "is_document_type", False):
        return {key: blobs(shape.members[key], one) if key in shape.members else one for key, one in value.items()}
    if shape.type_name == "list" and isinstance(value, list):
        return [blobs(shape.member, one) for one in value]
    return base64.b64decode(value, validate=True) if shape.type_name == "blob" and isinstance(value, str) else value


def faults(body: dict[str, Any], *, stream: bool = False) -> str:
    """What botocore's service model says against a body: unknown fields, missing ones, wrong types."""
    shape = _operation("ConverseStream" if stream else "Converse").input_shape
    report = ParamValidator().validate({"modelId": "m.m", **blobs(shape, body)}, shape)
    return report.generate_report() + _unions(shape, body)


def _unions(shape: Any, value: Any, path: str = "") -> str:
    """botocore checks the number of a union's members on the way out only."""
    found = ""
    if shape.type_name == "structure" and isinstance(value, dict):
        if getattr(shape, "is_tagged_union", False) and len(value) != 1:
            found += f"{path}: {len(value)} members in a union;"
        for key, one in value.items():
            found += _unions(shape.members[key], one, f"{path}.{key}") if key in shape.members else ""
    elif shape.type_name == "list" and isinstance(value, list):
        found += "".join(_unions(shape.member, one, f"{path}[]") for one in value)
    return found


class _Raw(io.BytesIO):
    """A body as urllib3 would hand it out."""

    def stream(self, *_: Any, **__: Any) -> Iterator[bytes]:
        yield self.read()


@cache
def _client() -> Any:
    client = _session().create_client(
        "bedrock-runtime",
        region_name="us-east-1",
        aws_access_key_id="AKIDEXAMPLE",
        aws_secret_access_key="secret",
        config=Config(retries={"total_max_attempts": 1}),
    )
    client.meta.events.register("before-send.bedrock-runtime.*", _answer)
    return client


_ANSWERS: list[Recorded] = []


def _answer(request: Any, **_: Any) -> AWSResponse:
    one = _ANSWERS[-1]
    return AWSResponse(request.url, one.status, dict(one.headers), _Raw(one.body))


def boto_reads(one: Recorded) -> Any:
    """What AWS's own client makes of an answer: a dict, a list of events, or a `ClientError`."""
    _ANSWERS[:] = [one]
    if one.api == "invoke":
        send = _client().invoke_model_with_response_stream if one.streams else _client().invoke_model
        answer = send(modelId="m", body=b"{}")
        return list(answer["body"]) if one.streams else answer["body"]
    send = _client().converse_stream if one.streams else _client().converse
    answer = send(modelId="m", messages=[{"role": "user", "content": [{"text": "x"}]}])
    return list(answer["stream"]) if one.streams else answer


def signed_by_boto(one: Recorded, key: str, secret: str) -> Any:
    """The request that AWS's own client would send to the model `m` for a recorded one."""
    sent: list[Any] = []
    client = _session().create_client(
        "bedrock-runtime", region_name="us-east-1", aws_access_key_id=key, aws_secret_access_key=secret
    )
    client.meta.events.register(
        "before-send.bedrock-runtime.*", lambda request, **_: sent.append(request) or _empty(request)
    )
    shape = _operation("ConverseStream" if one.streams else "Converse").input_shape
    (client.converse_stream if one.streams else client.converse)(modelId="m", **blobs(shape, one.request))
    return sent[0]


def _empty(request: Any) -> AWSResponse:
    return AWSResponse(request.url, 200, {"content-type": "application/json"}, _Raw(b""))


def call_of(request: dict[str, Any], **settings: Any) -> Call:
    full = {"model": CLAUDE, "messages": [{"role": "user", "content": "x"}]} | request
    return Call.start(ChatRequest.model_validate(full), options=CallOptions(settings=settings), clock=FakeClock())


def sent(request: dict[str, Any], **settings: Any) -> Sent:
    """The body of a request in OpenAI's shape, judged, and what was noted, as `parameter: action`."""
    call = call_of(request, **settings)
    body = json.loads(BedrockCodec().encode(call).content)
    assert faults(body, stream=bool(request.get("stream"))) == ""
    return body, {fact.parameter: fact.action for fact in call.trail(TRANSLATION)}


def frame(name: str, payload: dict[str, Any] | bytes, *, kind: str = "event") -> bytes:
    """One frame of an AWS event stream."""
    data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    named = {"event": ":event-type", "exception": ":exception-type", "error": ":error-code"}[kind]
    headers = b"".join(
        _header(*pair) for pair in ((named, name), (":content-type", "application/json"), (":message-type", kind))
    )
    prelude = struct.pack("!II", 16 + len(headers) + len(data), len(headers))
    body = prelude + struct.pack("!I", crc32(prelude)) + headers + data
    return body + struct.pack("!I", crc32(body))


def _header(name: str, value: str) -> bytes:
    return struct.pack("!B", len(name)) + name.encode() + b"\x07" + struct.pack("!H", len(value)) + value.encode()


def frames(*events: tuple[str, dict[str, Any]]) -> bytes:
    return b"".join(frame(name, payload) for name, payload in events)


def decoded(one: Recorded, pieces: Sequence[bytes]) -> tuple[Any, list[Any]]:
    """A stream in these pieces: the response, the chunks."""
    codec, call = one.codec(), one.call()
    decoder = codec.decoder(call)
    chunks = [chunk for piece in pieces for chunk in decoder.feed(piece)]
    chunks += decoder.finish()
    return codec.assemble(call, chunks), chunks


def ours(one: Recorded) -> Any:
    return decoded(one, [one.body])[0] if one.streams else one.codec().decode(one.call(), one.body)
