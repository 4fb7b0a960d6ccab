"""Measures Glassway, the raw floor, the openai SDK and litellm in one run, and holds the budgets.

    make bench        or        python benchmarks/run.py [--rounds 5] [--seconds 1] [--only glassway_full,floor]

Each peer has a virtual environment of its own under benchmarks/.venvs, made when first needed. The case runs on one core and
the upstream on another. What counts are the ratios: absolute times vary from machine to machine, and on a shared one from
minute to minute. So each case's best moment is shown; and a budget of CPU time, which was set on a machine where the openai SDK
takes 1145 us a call and 9.8 ms a stream, is compared with what the time would be there ("there"): the measured one by the
openai SDK's of the same round, the median of the rounds. Exit code 1 if a budget is broken. Bounded in time: about a minute a
round.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
VENVS = HERE / ".venvs"
ROOT = HERE.parent
OURS, OURS_FAST = ("glassway", ["-e", str(ROOT)]), ("glassway_fast", ["-e", f"{ROOT}[fast]"])
ENVIRONMENTS: dict[str, tuple[str, list[str]]] = {
    "openai_sdk": ("openai_sdk", ["openai"]),
    "litellm_sdk": ("litellm_sdk", ["litellm"]),
    "glassway_full": OURS,
    "glassway_null": OURS,
    "glassway_fast": OURS_FAST,
    "glassway_bare": OURS_FAST,
}
"""What each case is measured in, as its users install it: our own development tools bring libraries along that httpx loads where they are."""
CASES = ("floor", "litellm_sdk", "glassway_full", "glassway_bare", "glassway_null", "openai_sdk", "glassway_fast")
"""In the order in which they run: next to the openai SDK those whose budgets are in its time."""
SHOWN = ("floor", "openai_sdk", "litellm_sdk", "glassway_full", "glassway_fast", "glassway_bare", "glassway_null")
IMPORTS = {
    "python": ("", "pass"),
    "glassway": ("", "import glassway"),
    "openai": ("openai_sdk", "import openai"),
    "litellm": ("litellm_sdk", "import litellm"),
}
PEER_US = {"unary": 1145.0, "stream": 9800.0}
"""What the openai SDK takes, 64 in flight, on the machine on which the budgets were set."""
BUDGETS: tuple[tuple[str, float, float, str], ...] = (
    ("import glassway, ms over bare Python", 60, 40, "import_ms"),
    ("8 stages, telemetry off, us", 5, 2, "chain_off"),
    ("8 stages, metered, us", 15, 8, "chain_metered"),
    ("8 stages, traced and kept, us", 90, 40, "chain_traced"),
    ("own share of a whole call, all stages, us CPU", 80, 40, "null_unary"),
    ("stream of 100 chunks, all stages, own share, us CPU", 1500, 500, "null_stream"),
    ("whole call, 64 in flight, all stages, fast transport, us CPU", 200, 80, "fast_unary"),
    ("resident memory after one call, without the fast extra, MB", 60, 45, "rss"),
)
"""What, must, aim, and where it is measured."""

Runs = dict[tuple[str, str], list[dict[str, Any]]]
Measured = dict[str, tuple[float, float]]
"""The best that was measured, and what it would be on the machine of the budgets."""


def python_of(case: str) -> str:
    """The interpreter that runs a case; makes its environment if need be."""
    if case not in ENVIRONMENTS:
        return sys.executable
    name, wanted = ENVIRONMENTS[case]
    python = VENVS / name / "bin" / "python"
    if not python.exists():
        print(f"making an environment for {case} ...", file=sys.stderr, flush=True)
        subprocess.run([sys.executable, "-m", "venv", str(VENVS / name)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", *wanted], check=True)
    return str(python)


def pinned(core: int, command: list[str]) -> list[str]:
    """The command, on one core where that can be had."""
    cores = os.cpu_count() or 1
    return ["taskset", "-c", str(core), *command] if shutil.which("taskset") and cores > core else command


@contextmanager
def upstream() -> Iterator[str]:
    """The mock vendor on a free port; its URL."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        pinned(1, [sys.executable, str(HERE / "upstream.py"), str(port)]), stdout=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        process.stdout.readline()
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait(timeout=10)


def run_json(command: list[str]) -> dict[str, Any]:
    """The JSON that a measurement prints."""
    environment = {k: v for k, v in os.environ.items() if "proxy" not in k.lower()} | {
        "LITELLM_LOCAL_MODEL_COST_MAP": "True"
    }
    done = subprocess.run(pinned(0, command), capture_output=True, text=True, timeout=180, env=environment, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if not lines:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(lines[-1])
    return found


def measure(rounds: int, seconds: float, only: set[str]) -> Runs:
    """(case, mode) -> a run in each round, cases in turn within it."""
    samples: Runs = {}
    with upstream() as url:
        for number in range(rounds):
            for mode in ("unary", "stream"):
                for case in CASES:
                    if only and case not in only:
                        continue
                    print(
                        f"round {number + 1}/{rounds}: {case} {mode}".ljust(60), end="\r", file=sys.stderr, flush=True
                    )
                    command = [
                        python_of(case),
                        str(HERE / "measure.py"),
                        case,
                        "--url",
                        url,
                        "--mode",
                        mode,
                        "--seconds",
                        str(seconds),
                    ]
                    samples.setdefault((case, mode), []).append(run_json(command))
    return samples


def _best(runs: list[dict[str, Any]]) -> dict[str, float]:
    """What else the machine does only ever adds."""
    return {
        "one_cpu": min(run["one"]["cpu_us"] for run in runs),
        "many_cpu": min(run["many"]["cpu_us"] for run in runs),
        "many_wall": min(run["many"]["wall_us"] for run in runs),
        "rss": statistics.median(run["rss_mb"] for run in runs),
    }


def import_ms(repeat: int = 7) -> dict[str, float]:
    """Median wall milliseconds of a fresh interpreter that imports each."""
    times: dict[str, list[float]] = {name: [] for name in IMPORTS}
    for _ in range(repeat):
        for name, (case, code) in IMPORTS.items():
            start = time.perf_counter()
            subprocess.run(pinned(0, [python_of(case), "-c", code]), check=True, capture_output=True, cwd="/")
            times[name].append((time.perf_counter() - start) * 1e3)
    return {name: statistics.median(values) for name, values in times.items()}


def report(runs: Runs, imports: dict[str, float], chain: dict[str, Any]) -> int:
    """Print the tables; the exit code."""
    found = {key: _best(those) for key, those in runs.items()}
    for mode in ("unary", "stream"):
        rows = [(case, found[case, mode]) for case in SHOWN if (case, mode) in found]
        ours = found.get(("glassway_full", mode))
        print(
            f"\n{mode}: CPU us a call\n\n| case | one at a time | 64 at a time | x glassway | memory MB |\n|---|--:|--:|--:|--:|"
        )
        for case, row in rows:
            ratio = f"{row['many_cpu'] / ours['many_cpu']:.2f}" if ours else "-"
            print(f"| {case} | {row['one_cpu']:.0f} | {row['many_cpu']:.0f} | {ratio} | {row['rss']:.0f} |")
    print("\nimport: ms over bare Python\n\n| package | ms | x glassway |\n|---|--:|--:|")
    ours_ms = max(imports["glassway"] - imports["python"], 0.1)
    for name in ("glassway", "openai", "litellm"):
        print(
            f"| {name} | {imports[name] - imports['python']:.0f} | {(imports[name] - imports['python']) / ours_ms:.0f} |"
        )
    return _budgets({"import_ms": (ours_ms, ours_ms)} | _chain(runs, chain) | _calls(runs))


def _peer(runs: Runs, mode: str) -> list[float]:
    """How many times as long as on the machine of the budgets the openai SDK took, by round; empty where it was not measured."""
    return [run["many"]["cpu_us"] / PEER_US[mode] for run in runs.get(("openai_sdk", mode), [])]


def _there(us: list[float], peer: list[float]) -> float:
    return statistics.median(one / times for one, times in zip(us, peer, strict=True)) if peer else min(us)


def _chain(runs: Runs, chain: dict[str, Any]) -> Measured:
    times = statistics.median(_peer(runs, "unary") or [1.0])
    return {f"chain_{form}": (row["eight_stages_us"], row["eight_stages_us"] / times) for form, row in chain.items()}


def _calls(runs: Runs) -> Measured:
    values: Measured = {}
    for key, case, mode, load in (
        ("null_unary", "glassway_null", "unary", "one"),
        ("null_stream", "glassway_null", "stream", "one"),
        ("fast_unary", "glassway_fast", "unary", "many"),
    ):
        if those := runs.get((case, mode)):
            us = [run[load]["cpu_us"] for run in those]
            values[key] = min(us), _there(us, _peer(runs, mode))
    if full := runs.get(("glassway_full", "unary")):
        rss = _best(full)["rss"]
        values["rss"] = rss, rss
    return values


def _budgets(values: Measured) -> int:
    print(
        f"\nbudgets; there: where the openai SDK takes {PEER_US['unary']:g} us a call and {PEER_US['stream'] / 1e3:g} ms a stream\n\n"
        "| what | best | there | must | aim | |\n|---|--:|--:|--:|--:|---|"
    )
    broken = 0
    for what, must, aim, key in BUDGETS:
        if key in values:
            best, there = values[key]
            verdict = "aim met" if there <= aim else "held" if there <= must else "BROKEN"
            broken += verdict == "BROKEN"
            print(f"| {what} | {best:.1f} | {there:.1f} | {must:g} | {aim:g} | {verdict} |")
    return 1 if broken else 0


def main() -> int:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--only", default="", help="cases, separated by commas")
    args = parser.parse_args()
    found = measure(args.rounds, args.seconds, set(filter(None, args.only.split(","))))
    return report(found, import_ms(), run_json([sys.executable, str(HERE / "chain.py")]))


if __name__ == "__main__":
    raise SystemExit(main())
