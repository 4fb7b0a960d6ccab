"""Measures Glassway, the raw floor, the openai SDK and litellm in one run, and holds the budgets.

    make bench        or        python benchmarks/run.py [--rounds 3] [--seconds 1] [--only glassway_full,floor]

Each peer has a virtual environment of its own under benchmarks/.venvs, made when first needed. The case runs on one core and
the upstream on another. What counts are the ratios: absolute times vary from machine to machine, and on a shared one from
minute to minute. So each case's best round counts, and a budget of CPU time, which was set on a machine where the openai SDK
takes 1145 us a call and 9.8 ms a stream, is what it is there times as long as the openai SDK takes here, in the same run. Exit
code 1 if a budget is broken. Bounded in time: about a minute a round.
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
CASES = ("floor", "openai_sdk", "litellm_sdk", "glassway_full", "glassway_fast", "glassway_bare", "glassway_null")
IMPORTS = {
    "python": ("", "pass"),
    "glassway": ("", "import glassway"),
    "openai": ("openai_sdk", "import openai"),
    "litellm": ("litellm_sdk", "import litellm"),
}
PEER_US = {"unary": 1145.0, "stream": 9800.0}
"""What the openai SDK takes, 64 in flight, on the machine on which the budgets were set."""
BUDGETS: tuple[tuple[str, float, float, str, str], ...] = (
    ("import glassway, ms over bare Python", 60, 40, "import_ms", ""),
    ("8 stages, telemetry off, us", 5, 2, "chain_off", "unary"),
    ("8 stages, metered, us", 15, 8, "chain_metered", "unary"),
    ("8 stages, traced and kept, us", 90, 40, "chain_traced", "unary"),
    ("own share of a whole call, all stages, us CPU", 80, 40, "null_unary", "unary"),
    ("stream of 100 chunks, all stages, own share, us CPU", 1500, 500, "null_stream", "stream"),
    ("whole call, 64 in flight, all stages, fast transport, us CPU", 200, 80, "fast_unary", "unary"),
    ("resident memory after one call, without the fast extra, MB", 60, 45, "rss", ""),
)
"""What, must, aim, where it is measured, and which of the peer's times it is compared with."""


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


def measure(rounds: int, seconds: float, only: set[str]) -> dict[tuple[str, str], dict[str, float]]:
    """(case, mode) -> the best of the rounds, cases in turn within each round: what else the machine does only ever adds."""
    samples: dict[tuple[str, str], list[dict[str, Any]]] = {}
    with upstream() as url:
        for number in range(rounds):
            for case in CASES:
                if only and case not in only:
                    continue
                for mode in ("unary", "stream"):
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
    return {key: _best(runs) for key, runs in samples.items()}


def _best(runs: list[dict[str, Any]]) -> dict[str, float]:
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


def slowness(runs: int = 3) -> float:
    """How many times as long as on the machine of the budgets the openai SDK takes for a call here: the best of some runs."""
    with upstream() as url:
        command = [python_of("openai_sdk"), str(HERE / "measure.py"), "openai_sdk", "--url", url]
        return min(run_json(command)["many"]["cpu_us"] for _ in range(runs)) / PEER_US["unary"]


def report(found: dict[tuple[str, str], dict[str, float]], imports: dict[str, float], chain: dict[str, Any]) -> int:
    """Print the tables; the exit code."""
    for mode in ("unary", "stream"):
        rows = [(case, found[case, mode]) for case in CASES if (case, mode) in found]
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
    return _budgets(_values(found, ours_ms, chain), _slowness(found))


def _slowness(found: dict[tuple[str, str], dict[str, float]]) -> dict[str, float]:
    """How many times as long as on the machine of the budgets the openai SDK takes here; 1 where it was not measured."""
    peers = {mode: found.get(("openai_sdk", mode)) for mode in PEER_US}
    return {"": 1.0} | {mode: row["many_cpu"] / PEER_US[mode] if row else 1.0 for mode, row in peers.items()}


def _values(found: dict[tuple[str, str], dict[str, float]], ours_ms: float, chain: dict[str, Any]) -> dict[str, float]:
    values = {"import_ms": ours_ms} | {f"chain_{form}": row["eight_stages_us"] for form, row in chain.items()}
    if null := found.get(("glassway_null", "unary")):
        values["null_unary"] = null["one_cpu"]
    if null := found.get(("glassway_null", "stream")):
        values["null_stream"] = null["one_cpu"]
    if fast := found.get(("glassway_fast", "unary")):
        values["fast_unary"] = fast["many_cpu"]
    if full := found.get(("glassway_full", "unary")):
        values["rss"] = full["rss"]
    return values


def _budgets(values: dict[str, float], slowness: dict[str, float]) -> int:
    print(
        f"\nbudgets, where the openai SDK takes {PEER_US['unary']:g} us a call (here {slowness['unary']:.2f} times as long) "
        f"and {PEER_US['stream'] / 1e3:g} ms a stream ({slowness['stream']:.2f} times)\n\n| what | measured | must | must here | aim | |\n|---|--:|--:|--:|--:|---|"
    )
    broken = 0
    for what, must, aim, key, peer in BUDGETS:
        if key in values:
            times = slowness[peer]
            verdict = "aim met" if values[key] <= aim * times else "held" if values[key] <= must * times else "BROKEN"
            broken += verdict == "BROKEN"
            print(f"| {what} | {values[key]:.1f} | {must:g} | {must * times:.4g} | {aim:g} | {verdict} |")
    return 1 if broken else 0


def main() -> int:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--only", default="", help="cases, separated by commas")
    args = parser.parse_args()
    found = measure(args.rounds, args.seconds, set(filter(None, args.only.split(","))))
    return report(found, import_ms(), run_json([sys.executable, str(HERE / "chain.py")]))


if __name__ == "__main__":
    raise SystemExit(main())
