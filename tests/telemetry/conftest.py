"""An OTLP receiver in this process, and requests to make traces of."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from glassway.pipeline.types import ChatRequest
from glassway.testing.telemetry import RecordedTelemetry, record_telemetry


@dataclass
class Sink:
    """What arrived, decoded. `status` is answered from now on; `hold` makes it answer only when it is set."""

    url: str = ""
    status: int = 200
    exports: list[ExportTraceServiceRequest] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    hold: threading.Event = field(default_factory=threading.Event)

    @property
    def spans(self) -> list[Span]:
        """All spans of all accepted exports."""
        return [s for e in self.exports for r in e.resource_spans for scope in r.scope_spans for s in scope.spans]


@pytest.fixture
def sink() -> Iterator[Sink]:
    """A receiver on loopback."""
    state = Sink()
    state.hold.set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            state.hold.wait(20)
            if state.status == 200:
                text = gzip.decompress(body) if self.headers.get("content-encoding") == "gzip" else body
                state.exports.append(ExportTraceServiceRequest.FromString(text))
                state.headers.append({name.lower(): value for name, value in self.headers.items()})
            self.send_response(state.status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *args: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    yield state
    state.hold.set()
    server.shutdown()
    server.server_close()


@pytest.fixture
def recorded() -> Iterator[RecordedTelemetry]:
    """Telemetry in memory."""
    with record_telemetry() as recording:
        yield recording


@pytest.fixture
def ask() -> Callable[..., ChatRequest]:
    """Makes a chat request."""

    def make(text: str = "Hello", *, model: str = "fake/m", stream: bool = False, **fields: object) -> ChatRequest:
        return ChatRequest.model_validate(
            {"model": model, "stream": stream, "messages": [{"role": "user", "content": text}], **fields}
        )

    return make
