"""One case, alone in a process: CPU and wall time a call, one after the other and 64 at a time. Prints one line of JSON.

    python benchmarks/measure.py CASE --url http://127.0.0.1:PORT/v1 [--mode stream] [--seconds 1]

CPU time is `time.process_time`: all threads, user and system. Runs with the peer's own Python; imports nothing of ours
unless the case does.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import json
import logging
import os
import sys
import time
import warnings
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)

MESSAGES = [
    {"role": "system", "content": "You are a helpful assistant. Answer in one short paragraph and cite no sources."},
    {
        "role": "user",
        "content": "What is the capital of France, where does it lie, and what has it been known for over the centuries? "
        * 2,
    },
]
PARAMS: dict[str, Any] = {"temperature": 0.2, "max_tokens": 256, "top_p": 1.0, "user": "bench-user-1"}
MODEL = "gpt-4o-mini"

Call = Callable[[], Awaitable[str]]


def rss_mb() -> float:
    """Resident memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


SLICES = 4
"""Of the time that is measured; the best one counts."""


async def timed(call: Call, seconds: float, concurrency: int) -> dict[str, float]:
    """CPU and wall microseconds a call, in the best of some slices of the time: what else the machine does only ever adds."""
    done = 0

    async def worker(until: float) -> None:
        nonlocal done
        while time.perf_counter() < until:
            await call()
            done += 1

    async def phase(length_s: float) -> None:
        until = time.perf_counter() + length_s
        await asyncio.gather(*(worker(until) for _ in range(concurrency)))

    await phase(seconds / 3)
    found = []
    for _ in range(SLICES):
        done, wall, cpu = 0, time.perf_counter(), time.process_time()
        await phase(seconds / SLICES)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        found.append({"calls": done, "wall_us": wall / done * 1e6, "cpu_us": cpu / done * 1e6})
    return min(found, key=lambda one: one["cpu_us"])


async def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("case")
    parser.add_argument("--url", default="")
    parser.add_argument("--mode", choices=("unary", "stream"), default="unary")
    parser.add_argument("--seconds", type=float, default=1.0)
    args = parser.parse_args()
    prepare = importlib.import_module(f"cases.{args.case}").prepare
    call: Call = await prepare(args.url, args.mode == "stream")
    text = await call()
    expected = text.count("Paris") == 100 if args.mode == "stream" else text.startswith("The capital of France")
    if not expected:
        raise SystemExit(f"{args.case}: unexpected answer {text[:80]!r}")
    result: dict[str, Any] = {"case": args.case, "mode": args.mode, "rss_mb": round(rss_mb(), 1)}
    result["one"] = await timed(call, args.seconds, 1)
    result["many"] = await timed(call, args.seconds, 64)
    print(json.dumps(result), flush=True)
    os._exit(0)  # peers' background threads are not what is measured


if __name__ == "__main__":
    asyncio.run(main())
