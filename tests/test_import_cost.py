"""Importing does nothing, and takes next to no time."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import time

import pytest

HEAVY = (
    "httpx",
    "httpx2",
    "httpcore",
    "openai",
    "anthropic",
    "opentelemetry.sdk",
    "prometheus_client",
    "diskcache",
    "yaml",
    "asyncio.base_events",
    "anyio",
    "pydantic",
    "sqlite3",
)


def run(script: str) -> str:
    done = subprocess.run(
        [sys.executable, "-X", "frozen_modules=on", "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout.strip()


def test_it_loads_nothing_that_is_heavy() -> None:
    assert run(f"import sys, glassway; print([name for name in {HEAVY!r} if name in sys.modules])") == "[]"


@pytest.mark.parametrize(
    "module",
    [
        "glassway.pipeline.pipeline",
        "glassway.middlewares",
        "glassway.providers",
        "glassway.pipeline.client",
        "glassway.testing",
    ],
)
def test_the_parts_load_no_vendors_library_and_no_sdk(module: str) -> None:
    heavy = ("httpx2", "openai", "anthropic", "opentelemetry.sdk", "diskcache", "yaml", "pytest")
    assert run(f"import sys, {module}; print([name for name in {heavy!r} if name in sys.modules])") == "[]"


def test_it_opens_no_socket_starts_no_thread_and_reads_no_setting() -> None:
    script = """
        import os, sys, threading
        seen = []
        class Watched(type(os.environ)):
            def __getitem__(self, key):
                seen.append(key)
                return super().__getitem__(key)
        os.environ.__class__ = Watched
        sys.addaudithook(lambda event, args: seen.append(event) if event.startswith(("socket.", "subprocess.", "os.system")) else None)
        import glassway, glassway.pipeline.pipeline, glassway.middlewares, glassway.providers, glassway.pipeline.client
        ours = [name for name in seen if not name.startswith(("PYTHON", "_PYTHON", "HOME", "OTEL_PYTHON_CONTEXT", "PYDANTIC"))]
        print(ours, threading.active_count())
    """
    assert run(script) == "[] 1"


def test_it_sets_up_no_logging_and_no_filters() -> None:
    script = "import logging, warnings; before = list(warnings.filters); import glassway; print(logging.root.handlers, logging.getLogger('glassway').handlers, warnings.filters == before)"
    assert run(script) == "[] [] True"


@pytest.mark.slow
def test_it_takes_little_longer_than_starting_python() -> None:
    """The best of several, in turns: noise only ever adds."""

    def taken_s(script: str) -> float:
        began = time.perf_counter()
        run(script)
        return time.perf_counter() - began

    nothing, ours = zip(*((taken_s("pass"), taken_s("import glassway")) for _ in range(7)), strict=True)
    assert min(ours) < 2.5 * min(nothing) + 0.02
