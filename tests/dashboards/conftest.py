"""A real Prometheus that scrapes a real load."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from prometheus_client import CollectorRegistry, start_http_server

from glassway import ChatRequest, Pipeline, Stream, Telemetry
from glassway.cli.scenarios import BACKUP_MODEL, run_scenarios
from glassway.cli.stack import Bills, demo_pipeline
from glassway.middlewares import (
    Batch,
    Budget,
    Cache,
    CircuitBreaker,
    Cost,
    Deduplicate,
    Defaults,
    Fallback,
    FaultRule,
    Faults,
    Hedge,
    Ledger,
    Limit,
    Pool,
    RateLimit,
    Record,
    Replay,
    Router,
    SemanticCache,
    Shadow,
)
from glassway.pipeline.call import Call, CallOptions
from glassway.pipeline.errors import APITimeoutError, CircuitOpen, InternalServerError, StreamInterruptedError
from glassway.pipeline.sharing import ask_store
from glassway.pipeline.stream import Handler, Reply
from glassway.pipeline.types import ChatResponse, Embedding, EmbeddingsRequest, EmbeddingsResponse, Usage
from glassway.providers.simulated import SimulatedServer, SimulatedVendor, Timing
from glassway.testing import FakeProvider, Scripted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from opentelemetry.sdk.trace import ReadableSpan

_CONTRADICTION = Usage.model_validate(
    {
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "total_tokens": 15,
        "prompt_tokens_details": {"cached_tokens": 20},
    }
)
_READY_S, _LOAD_S, _END_S = 20.0, 60.0, 20.0


class Kept(SpanExporter):
    """Knows which traces were kept."""

    def __init__(self) -> None:
        self.trace_ids: set[str] = set()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.trace_ids |= {f"{span.context.trace_id:032x}" for span in spans}
        return SpanExportResult.SUCCESS


@dataclass(slots=True)
class Load:
    """The demonstration's calls and those that are rarer, over and over, in a thread with a loop of its own."""

    folder: Path
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    kept: Kept = field(default_factory=Kept)
    stop: threading.Event = field(default_factory=threading.Event)
    rounds: int = 0
    failure: BaseException | None = None

    def run(self) -> None:
        """Until told to stop."""
        try:
            asyncio.run(self._run())
        except BaseException as error:
            self.failure = error
            raise

    async def _run(self) -> None:
        async with (
            SimulatedServer(SimulatedVendor(timing=Timing(scale=0.0))) as server,
            self._demonstration(server) as tour,
            self._rare(tour.telemetry) as rare,
            self._kept(tour.telemetry) as kept,
            Pipeline([Batch()], vectors, telemetry=tour.telemetry) as together,
        ):
            while not self.stop.is_set():
                await run_scenarios(tour, run=str(self.rounds))
                await _rare_calls(tour, rare, self.rounds)
                await _kept_calls(kept)
                texts = [EmbeddingsRequest(model="vectors/m", input=text) for text in "ab"]
                await asyncio.gather(*(together.send(request) for request in texts))
                self.rounds += 1
                await asyncio.sleep(0.2)

    def _demonstration(self, server: SimulatedServer) -> Pipeline:
        tour = demo_pipeline(
            server.openai_base_url,
            server.base_url,
            telemetry=Telemetry(registry=self.registry),
            ledger=Bills(),
            waits=False,
        )
        assert tour.telemetry is not None
        tour.telemetry.send_traces(span_exporters=[self.kept])
        return tour

    def _rare(self, telemetry: Telemetry | None) -> Pipeline:
        return Pipeline(
            [
                Cost(),
                Cache(),
                Fallback(["box/second"], mid_stream="continue"),
                Hedge(after_s=9, floor_per_s=9, on_error=True),
            ],
            providers=[
                openai,
                FakeProvider(name="box"),
                FakeProvider([Scripted(after_chunks=2)], name="cut"),
            ],
            telemetry=telemetry,
        )

    def _kept(self, telemetry: Telemetry | None) -> Pipeline:
        """What is recorded, played, broken on purpose, routed and written down."""
        path = self.folder / "calls.jsonl"
        groups = {"smart": {"targets": ["box/first", "box/second"], "strategy": "round_robin"}}
        broken = [FaultRule("server_error", target="box/broken")]
        return Pipeline(
            [
                Ledger(f"{self.folder}/ledger.db"),
                asks_a_store_that_is_gone,
                RateLimit(limits=[Limit(requests=1, per_s=0.1)], max_wait_s=5),
                Budget(usd=100, unpriced="allow"),
                Defaults(set={"temperature": 0}),
                Deduplicate(),
                SemanticCache(_embed, check_share=1),
                Shadow("openai/gpt-4o-mini", share=1, flush_s=0),
                Shadow("box/of-no-price", share=1, most_usd=1),
                Router(groups=groups),
                CircuitBreaker(failures=2, open_s=0.5),
                Pool(size=1),
                Record(path),
                Replay(path, mode="record_missing"),
                Faults(broken),
            ],
            providers=[FakeProvider([Scripted(delay_s=0.15)], name="box"), FakeProvider(name="openai")],
            telemetry=telemetry,
        )


async def _embed(texts: list[str]) -> list[list[float]]:
    """Every question is the same."""
    return [[1.0, 0.0] for _ in texts]


async def asks_a_store_that_is_gone(call: Call, call_next: Handler) -> Reply:
    """A stage whose shared state is out of reach, and that goes on without."""

    async def gone() -> None:
        raise ConnectionError

    await ask_store(call, "Limit", "fail_open", gone(), None)
    return await call_next(call)


async def vectors(call: Call) -> EmbeddingsResponse:
    """A vendor of vectors."""
    inputs: int = len(call.request.inputs)  # type: ignore[attr-defined]
    return EmbeddingsResponse(
        data=tuple(Embedding(index=place, embedding=(1.0,)) for place in range(inputs)), model="m"
    )


async def openai(call: Call) -> ChatResponse:
    """A vendor that answers second requests only, so that the two do not overlap: each moment belongs to one stage."""
    if call.reason != "hedge":
        raise APITimeoutError("slow")
    return Scripted(usage=_CONTRADICTION).response()


async def _rare_calls(tour: Pipeline, rare: Pipeline, number: int) -> None:
    """Token counts that contradict themselves, for a tenant; the same again, from the cache; a model without a price; a parameter that
    a vendor does not take; requests sent twice; a stream
    that another vendor goes on with; and tokens that bought nothing, for the stream broke off."""
    for _ in range(2):
        await rare.send(_ask("openai/gpt-4o-mini", text=str(number)), CallOptions(tenant="acme"))
    await rare.send(_ask("box/of-no-price", text=str(number)))
    mended = await rare.send(_ask("cut/in-two", text=str(number), stream=True))
    assert isinstance(mended, Stream)
    await mended.response()
    await tour.send(_ask(BACKUP_MODEL, text=str(number), seed=7, frequency_penalty=0.5))
    cut = {"x-simulated-fault": "cut,after_chunks=4", "x-simulated-scenario": f"rare/{number}"}
    broken = await tour.send(_ask(BACKUP_MODEL, text=str(number), stream=True), CallOptions(headers=cut))
    assert isinstance(broken, Stream)
    with suppress(StreamInterruptedError):
        await broken.response()


async def _kept_calls(kept: Pipeline) -> None:
    """To a group of targets, played from the second time on; and to one that is broken."""
    await asyncio.gather(*(kept.send(_ask("smart", text="Hi")) for _ in range(2)))
    await kept.send(_ask("smart", text="Hi"), CallOptions(cache={"no_cache": True, "no_store": True}))
    await asyncio.gather(*(kept.send(_ask("smart", text=text)) for text in ("Hi", "Ho", "Hi")))
    with suppress(InternalServerError, CircuitOpen):
        await kept.send(_ask("box/broken", text="Hi"))


def _ask(model: str, *, text: str, **fields: Any) -> ChatRequest:
    return ChatRequest.model_validate({"model": model, "messages": [{"role": "user", "content": text}], **fields})


@pytest.fixture(scope="module")
def load(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Load]:
    """Under way from the first test that wants it to the end of its module: nobody else's counts move meanwhile."""
    running = Load(tmp_path_factory.mktemp("load"))
    thread = threading.Thread(target=running.run, name="load")
    thread.start()
    yield running
    running.stop.set()
    thread.join(_END_S)
    assert not thread.is_alive()
    assert running.failure is None


@pytest.fixture(scope="module")
def metrics_url(load: Load) -> Iterator[str]:
    """Where the load is scraped, in OpenMetrics where that is asked for."""
    server, thread = start_http_server(0, "127.0.0.1", registry=load.registry)
    yield f"http://127.0.0.1:{server.server_port}/metrics"
    server.shutdown()
    server.server_close()
    thread.join(_END_S)


@dataclass(frozen=True, slots=True)
class Prometheus:
    """A client of the server's HTTP interface."""

    url: str

    def get(self, path: str, **parameters: str | float) -> Any:
        """The data of an answer. Fails if the server says that the question is wrong."""
        answer = httpx.get(f"{self.url}/api/v1/{path}", params=parameters, timeout=5.0).json()
        assert answer["status"] == "success", (parameters, answer)
        return answer["data"]

    def values(self, expr: str) -> list[float]:
        """What an expression says now, one number a series."""
        return [float(sample["value"][1]) for sample in self.get("query", query=expr)["result"]]


@pytest.fixture(scope="module")
def prometheus(metrics_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """A server of our own, that scrapes once a second and is gone afterwards."""
    binary = shutil.which("prometheus")
    if binary is None:
        pytest.skip("no prometheus on this machine (on Debian: apt-get install prometheus)")
    folder = tmp_path_factory.mktemp("prometheus")
    port = _free_port()
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(_command(binary, folder, port, metrics_url), stdout=log, stderr=log)
    try:
        url = f"http://127.0.0.1:{port}"
        wait_until(lambda: _answers(f"{url}/-/ready"), _READY_S, lambda: (folder / "log").read_text()[-2000:])
        yield Prometheus(url)
    finally:
        process.terminate()
        try:
            process.wait(_END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(_END_S)


def _command(binary: str, folder: Path, port: int, metrics_url: str) -> list[str]:
    target = httpx.URL(metrics_url)
    (folder / "prometheus.yml").write_text(
        "global: {scrape_interval: 1s, scrape_timeout: 1s}\n"
        "scrape_configs:\n"
        f"  - {{job_name: glassway, static_configs: [{{targets: ['{target.host}:{target.port}']}}]}}\n"
    )
    return [
        binary,
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        "--storage.tsdb.retention.size=64MB",
        "--storage.tsdb.min-block-duration=2h",
        f"--web.listen-address=127.0.0.1:{port}",
        "--enable-feature=exemplar-storage",
        "--log.level=warn",
    ]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=1.0).is_success
    except httpx.TransportError:
        return False


def wait_until(done: Callable[[], bool], limit_s: float, complaint: Callable[[], object]) -> None:
    """Look again and again; fail with the complaint after `limit_s` seconds."""
    deadline = time.monotonic() + limit_s
    while not done():
        if time.monotonic() > deadline:
            pytest.fail(f"Not within {limit_s:.1f} s: {complaint()}")
        time.sleep(0.1)


@pytest.fixture(scope="module")
def promtool() -> str:
    """Prometheus' tool for checking."""
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("no promtool on this machine (on Debian: apt-get install prometheus)")
    return os.fspath(found)


@pytest.fixture(scope="module")
def eventually(load: Load) -> Callable[[Callable[[], bool], Callable[[], object]], None]:
    """Waits for something that the load brings about. All tests together have one span of time, so that a broken load does not cost each of them one."""
    until = time.monotonic() + _LOAD_S

    def wait(done: Callable[[], bool], complaint: Callable[[], object]) -> None:
        left_s = max(0.2, until - time.monotonic())
        wait_until(done, left_s, lambda: (complaint(), load.failure))

    return wait


@pytest.fixture
def traces_taken() -> list[bytes]:
    """The bodies that `otlp_url` was sent."""
    return []


@pytest.fixture
def otlp_url(traces_taken: list[bytes]) -> Iterator[str]:
    """An endpoint that takes whatever is sent to it."""

    class Taker(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            traces_taken.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Taker) as server:
        thread = threading.Thread(target=server.serve_forever, name="otlp")
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join(_END_S)
