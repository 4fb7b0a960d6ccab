"""What each stage costs by itself where nothing goes wrong, over the same pipeline without it. Prints a table.

    python benchmarks/stages.py [--only "Cost;Retry"] [--json | --write]

Memory stores, telemetry off, and a vendor that has answered before it was asked. CPU time of all threads, so that what a
stage leaves to a thread counts as well. "There" is the time on the machine on which the budgets were set: ours by what
`YARDSTICKS` take longer here, measured next to it in each round; the median of the rounds. Exit code 1 if a budget is
broken. A new stage joins with one line of `STAGES`.
"""

from __future__ import annotations

import argparse
import asyncio
import atexit
import itertools
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import httpx
from opentelemetry.sdk.trace import TracerProvider

from glassway import CallOptions, ChatRequest, ChatResponse, Pipeline
from glassway.middlewares import (
    Batch,
    Budget,
    Cache,
    Callbacks,
    CircuitBreaker,
    Cost,
    Deduplicate,
    Defaults,
    DefaultsRule,
    Fallback,
    FaultRule,
    Faults,
    Group,
    Guardrails,
    Hedge,
    Ledger,
    Pool,
    RateLimit,
    Record,
    Replay,
    Retry,
    Router,
    RouteRule,
    SemanticCache,
    Shadow,
    Timeout,
    Tracing,
)

PAGE = Path(__file__).with_name("stages.md")
HEAD = """# Each stage alone

What each stage costs by itself where nothing goes wrong, against its budget: CPU of all threads, memory stores, telemetry off. Written by `python benchmarks/stages.py --write`.

"There" is the time on the machine on which the budgets were set: the measured one by what some yardsticks take longer here, measured next to it in each round (the median: {times:.2f} times in this run).

"""
ROUNDS, CALLS = 25, 200
BUDGET_US = 10.0
MODEL = "openai/gpt-4o-mini"
TEXTS = ("You are a helpful assistant. Answer in one short paragraph.", "What is the capital of France? " * 6)
REQUEST = ChatRequest.model_validate(
    {
        "model": MODEL,
        "messages": [{"role": role, "content": text} for role, text in zip(("system", "user"), TEXTS, strict=True)],
    }
)
ANSWER = ChatResponse.model_validate(
    {
        "id": "chatcmpl-1",
        "model": "gpt-4o-mini-2024-07-18",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Paris. " * 40}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 60, "completion_tokens": 80, "total_tokens": 140},
    }
)


ROUTED = ("priority", "weighted", "round_robin", "least_busy", "power_of_two", "latency", "cost")
RULES = [RouteRule(target=MODEL, model=f"gpt-{number}*", max_tokens_above=number) for number in (5, 6)]
RULES.append(RouteRule(target=MODEL, model="gpt-4o*"))


def routed(strategy: str) -> CallOptions:
    """A group of three targets at the one vendor."""
    targets = [MODEL, "openai/gpt-4.1-mini", "openai/gpt-4.1-nano"]
    return CallOptions(route=Group(targets, strategy, name=MODEL))


async def unit_vectors(texts: list[str]) -> list[list[float]]:
    """An embedding that costs nothing: what is measured is the cache."""
    return [_VECTOR for _ in texts]


_VECTOR = [1.0] * 384


_FOLDER = tempfile.TemporaryDirectory()
atexit.register(_FOLDER.cleanup)


def folder() -> str:
    """An empty one, gone with the program."""
    return tempfile.mkdtemp(dir=_FOLDER.name)


class Case(NamedTuple):
    """How one stage is measured."""

    make: Callable[[], Any]
    """The stage, or what stands for it."""
    budget_us: float = BUDGET_US
    options: CallOptions = CallOptions()
    fresh: bool = False
    """Whether every call asks something else."""
    beside: tuple[Callable[[], Any], ...] = ()
    """Stages outside it, in both pipelines: what it reads is made by them."""
    clock: Callable[[], float] = time.process_time
    """`time.thread_time` where only the call's own path counts."""


STAGES: dict[str, Case] = {
    "Tracing": Case(Tracing),
    "Callbacks": Case(lambda: Callbacks(on_success=[lambda _event: None], queue_size=100_000)),
    "Cost": Case(Cost),
    "Ledger, on the call's path": Case(lambda: Ledger(f"{folder()}/ledger.db"), clock=time.thread_time),
    "Guardrails, secrets": Case(lambda: Guardrails(["secrets"])),
    "Guardrails, secrets and pii": Case(lambda: Guardrails(["secrets", "pii"])),
    "Cache, passed by": Case(Cache, options=CallOptions(cache={"no_cache": True, "no_store": True})),
    "Cache, miss and kept": Case(Cache, fresh=True),
    "Cache, hit in memory": Case(Cache),
    "Cache, hit on disk": Case(lambda: Cache(store=f"disk:{folder()}"), 60),
    "Defaults, nothing to do": Case(lambda: Defaults(max={"n": 4}, rules=[DefaultsRule({"top_p": 1}, tenant="a*")])),
    "Defaults, one set, one capped": Case(lambda: Defaults(set={"temperature": 0}, max={"max_tokens": 1000})),
    "RateLimit, requests": Case(lambda: RateLimit(requests_per_minute=10**9)),
    "RateLimit, requests and tokens": Case(lambda: RateLimit(requests_per_minute=10**9, tokens_per_minute=10**12)),
    "Budget, behind Cost": Case(lambda: Budget(usd=1_000_000), beside=(Cost,)),
    "CircuitBreaker": Case(CircuitBreaker),
    "Pool": Case(lambda: Pool(size=100)),
    "Deduplicate": Case(Deduplicate, fresh=True),
    "Batch, passed by": Case(Batch),
    "Fallback": Case(lambda: Fallback(["openai/gpt-4.1-mini"])),
    "Fallback, mending streams": Case(lambda: Fallback(["openai/gpt-4.1-mini"], mid_stream="continue")),
    "Faults, none due": Case(lambda: Faults([FaultRule("cut", target="other/*"), FaultRule("stall", tenant="nobody")])),
    "Record, on the call's path": Case(lambda: Record(f"{folder()}/calls.jsonl"), clock=time.thread_time),
    "Replay, played at once": Case(lambda: Replay(cassette()), 150),
    "Retry": Case(Retry),
    "Router, passed by": Case(Router),
    "Router, rules": Case(lambda: Router(rules=RULES)),
    **{f"Router, {name} of 3": Case(Router, options=routed(name)) for name in ROUTED},
    "Hedge": Case(lambda: Hedge(after_s=10)),
    "Hedge, delay observed": Case(Hedge),
    "SemanticCache, passed by": Case(
        lambda: SemanticCache(unit_vectors), options=CallOptions(cache={"no_cache": True, "no_store": True})
    ),
    "SemanticCache, hit among few": Case(lambda: SemanticCache(unit_vectors), 60),
    "Shadow, not in the sample": Case(lambda: Shadow(MODEL, share=0)),
    "Shadow of a target, 5 in 100": Case(lambda: Shadow(MODEL)),
    "Timeout": Case(lambda: Timeout(between_chunks_s=30)),
}
"""By what the table calls them."""


async def openai(_call: Any) -> ChatResponse:
    """A vendor that has answered before it was asked."""
    return ANSWER


def requests(*, fresh: bool) -> Callable[[], ChatRequest]:
    """What is asked next."""
    if not fresh:
        return lambda: REQUEST
    seeds = itertools.count()
    return lambda: REQUEST.model_copy(update={"seed": next(seeds)})


def cassette() -> str:
    """A cassette with the one exchange that is asked for."""
    path = f"{folder()}/calls.jsonl"

    async def record() -> None:
        async with Pipeline([Record(path)], openai, telemetry=False) as pipeline:
            await pipeline.send(REQUEST)

    with ThreadPoolExecutor(1) as thread:  # a loop runs in this one
        thread.submit(asyncio.run, record()).result()
    return path


async def microseconds(pipeline: Pipeline, ask: Callable[[], ChatRequest], case: Case) -> float:
    """CPU a call."""
    asked = [ask() for _ in range(CALLS)]
    start = case.clock()
    for request in asked:
        await pipeline.send(request, case.options)
    return (case.clock() - start) / CALLS * 1e6


async def one_task() -> None:
    """Make a task and wait for it."""
    await asyncio.create_task(asyncio.sleep(0))


async def one_span() -> None:
    """Record a span with four attributes."""
    TRACER.start_span("chat gpt-4o-mini", attributes=ATTRIBUTES).end()


async def one_exchange() -> None:
    """A request and a response of httpx, without its client."""
    httpx.Request("POST", URL, headers=HEADERS, content=BODY)
    await httpx.Response(200, headers=HEADERS, content=BODY).aread()


async def one_send() -> None:
    """The same through its client."""
    await CLIENT.send(CLIENT.build_request("POST", URL, headers=HEADERS, content=BODY))


YARDSTICKS: Mapping[Callable[[], Any], float] = {one_task: 4.5, one_span: 13.5, one_exchange: 15.0, one_send: 80.0}
"""Python code of others, and the microseconds that each takes on the machine on which the budgets were set."""
SENDS = 40
"""Of each yardstick, in each round."""
BODY = b"x" * 700
URL = httpx.URL("http://127.0.0.1:9000/v1/chat/completions")
HEADERS = httpx.Headers({"Authorization": "x", "Content-Type": "application/json", "Accept": "*/*"})
CLIENT = httpx.AsyncClient(transport=httpx.MockTransport(lambda _: httpx.Response(200, headers=HEADERS, content=BODY)))
SPANS = TracerProvider(shutdown_on_exit=False)
TRACER = SPANS.get_tracer("yardstick")
ATTRIBUTES = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o-mini", "server.port": 443, "a": 0.2}


async def slowness() -> float:
    """How many times as long as on that machine Python code takes here and now: the median of the yardsticks."""
    times = []
    for yardstick, there_us in YARDSTICKS.items():
        start = time.process_time()
        for _ in range(SENDS):
            await yardstick()
        times.append((time.process_time() - start) / SENDS * 1e6 / there_us)
    return statistics.median(times)


class Seen(NamedTuple):
    """What a stage costs: medians over the rounds."""

    us: float
    there_us: float
    times: float


async def seen(case: Case) -> Seen:
    """The pipeline with the stage less the one without, and the yardsticks, in turn."""
    pipelines = [
        Pipeline([*(make() for make in case.beside), *stages], openai, telemetry=False, timeout_s=None)
        for stages in ([], [case.make()])
    ]
    ask = requests(fresh=case.fresh)
    for pipeline in pipelines:
        await pipeline.open()
        await microseconds(pipeline, ask, case)
    rounds = []
    for _ in range(ROUNDS):
        times = await slowness()
        without, with_stage = [await microseconds(pipeline, ask, case) for pipeline in pipelines]
        rounds.append(Seen(with_stage - without, (with_stage - without) / times, times))
    for pipeline in pipelines:
        await pipeline.aclose()
    return Seen(*map(statistics.median, zip(*rounds, strict=True)))


async def measured(wanted: tuple[str, ...]) -> dict[str, Seen]:
    """Each stage whose name begins so."""
    found = {}
    for name in [name for name in STAGES if name.startswith(wanted)]:
        print(name.ljust(40), end="\r", file=sys.stderr, flush=True)
        found[name] = await seen(STAGES[name])
    return found


def main() -> int:
    """Measure and print; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="beginnings of names, separated by semicolons")
    parser.add_argument("--json", action="store_true", help="one line of JSON instead of the table")
    parser.add_argument("--write", action="store_true", help="put the table into benchmarks/stages.md")
    args = parser.parse_args()
    found = asyncio.run(measured(tuple(args.only.split(";"))))
    broken = any(one.there_us > STAGES[name].budget_us for name, one in found.items())
    if args.json:
        print(json.dumps({name: one._asdict() for name, one in found.items()}))
        return int(broken)
    table = written(found)
    print(table, end="")
    if args.write:
        times = statistics.median(one.times for one in found.values())
        PAGE.write_text(HEAD.format(times=times) + table, encoding="utf-8")
    return int(broken)


def written(found: Mapping[str, Seen]) -> str:
    """The table, a line for each stage."""
    lines = ["| stage | us CPU a call | there | budget | |", "|---|--:|--:|--:|---|"]
    for name, one in found.items():
        budget = STAGES[name].budget_us
        verdict = "held" if one.there_us <= budget else "BROKEN"
        lines.append(f"| {name} | {one.us:.1f} | {one.there_us:.1f} | {budget:g} | {verdict} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    raise SystemExit(main())
