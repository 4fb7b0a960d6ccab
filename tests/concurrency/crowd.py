"""Many processes with many tasks each against one store: what tells a shared bound from one that only looks shared.

    async def work(store, number, *, limit):           # a module-level function of your test's file
        taken = await store.take([Window("key", limit, 60.0)], [1])
        return taken.granted

    results = crowd(work, redis.url, processes=4, tasks=64, limit=100)
    assert sum(results) == 100

`work` runs once for each task, as `work(store, number, **settings)`; numbers count through all processes. All of them begin
together, when every process is ready. Settings and results are what JSON can say. `ahead_s` sets the clock of a process wrong:
one number each. A file of `work` is loaded by its path in each process: keep side effects out of its top level.

`Crowd` is the same in steps, for tests that kill a server or a process meanwhile.
"""

from __future__ import annotations

import asyncio
import importlib.util
import inspect
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

Work = Callable[..., Awaitable[Any]]
_PATIENCE_S = 90.0


def crowd(
    work: Work, place: str, *, processes: int = 4, tasks: int = 64, ahead_s: Sequence[float] = (), **settings: Any
) -> list[Any]:
    """What each task returned, in the order of their numbers. Raises `CrowdFailed` with what a process wrote if one fails."""
    with Crowd(work, place, processes=processes, tasks=tasks, ahead_s=ahead_s, **settings) as people:
        people.go()
        return people.results()


class CrowdFailed(AssertionError):  # noqa: N818 - a test's verdict
    """A process of the crowd raised, or was killed."""


class Crowd:
    """Processes that wait for `go`."""

    def __init__(
        self,
        work: Work,
        place: str,
        *,
        processes: int = 4,
        tasks: int = 64,
        ahead_s: Sequence[float] = (),
        **settings: Any,
    ) -> None:
        source = inspect.getsourcefile(work)
        assert source is not None
        self.processes = [
            _begin({"file": source, "name": work.__qualname__, "place": place, "tasks": tasks, "first": number * tasks,
                    "ahead_s": ahead_s[number] if number < len(ahead_s) else 0.0, "settings": settings})
            for number in range(processes)
        ]  # fmt: skip
        self._wrote = [_Reader(process) for process in self.processes]
        for process, wrote in zip(self.processes, self._wrote, strict=True):
            if wrote.line() != "ready":
                process.wait(10)
                raise CrowdFailed(wrote.errors())

    def go(self) -> None:
        """Let all of them begin."""
        for process in self.processes:
            assert process.stdin is not None
            with suppress(BrokenPipeError):  # one that was killed
                process.stdin.write("go\n")
                process.stdin.flush()

    def kill(self, number: int) -> None:
        """End a process at once, as a crash does."""
        self.processes[number].send_signal(signal.SIGKILL)

    def results(self, *, of: Sequence[int] | None = None) -> list[Any]:
        """What the tasks returned; of some processes only, if others were killed."""
        found: list[Any] = []
        for number in of if of is not None else range(len(self.processes)):
            line = self._wrote[number].line()
            if not line.startswith("["):
                self.processes[number].wait(10)
                raise CrowdFailed(self._wrote[number].errors())
            found += json.loads(line)
        return found

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self.processes:
            if process.poll() is None and error is not None:
                process.kill()
            assert process.stdin is not None
            with suppress(BrokenPipeError):
                process.stdin.close()
            try:
                process.wait(_PATIENCE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(10)
        for wrote in self._wrote:
            wrote.close()


class _Reader:
    """The lines of a process, each waited for with patience."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._lines: list[str] = []
        self._errors: list[str] = []
        self._news = threading.Condition()
        self._over = False
        self._threads = [threading.Thread(target=self._read), threading.Thread(target=self._read_errors)]
        for thread in self._threads:
            thread.start()

    def line(self) -> str:
        """The next line; empty if there will be none."""
        with self._news:
            self._news.wait_for(lambda: self._lines or self._over, timeout=_PATIENCE_S)
            return self._lines.pop(0) if self._lines else ""

    def errors(self) -> str:
        """What it wrote to its error output."""
        return "".join(self._errors) or "a process of the crowd ended without a word (killed?), or took too long"

    def close(self) -> None:
        for thread in self._threads:
            thread.join(10)
        for pipe in (self._process.stdout, self._process.stderr):
            assert pipe is not None
            pipe.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._news:
                self._lines.append(line.strip())
                self._news.notify_all()
        with self._news:
            self._over = True
            self._news.notify_all()

    def _read_errors(self) -> None:
        assert self._process.stderr is not None
        self._errors.extend(self._process.stderr)


def _begin(order: dict[str, Any]) -> subprocess.Popen[str]:
    here = Path(__file__)
    paths = [str(here.parent.parent), *sys.path]
    return subprocess.Popen(
        [sys.executable, "-W", "error", str(here), json.dumps(order)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in paths if path)},
    )


# -- in the process


async def _tasks(order: dict[str, Any]) -> list[Any]:
    from glassway.stores import make_store

    work = _loaded(order["file"], order["name"])
    store = make_store(order["place"])
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    try:
        async with asyncio.TaskGroup() as group:
            running = [
                group.create_task(work(store, order["first"] + number, **order["settings"]))
                for number in range(order["tasks"])
            ]
    finally:
        await store.aclose()
    return [task.result() for task in running]


def _loaded(file: str, name: str) -> Work:
    spec = importlib.util.spec_from_file_location("_work_of_the_crowd", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    work: Work = getattr(module, name)
    return work


def _set_clock_wrong(ahead_s: float) -> None:
    """A machine whose clock is wrong: before anything asks it."""
    right, right_ns = time.time, time.time_ns
    time.time = lambda: right() + ahead_s
    time.time_ns = lambda: right_ns() + int(ahead_s * 1e9)


if __name__ == "__main__":
    order = json.loads(sys.argv[1])
    if order["ahead_s"]:
        _set_clock_wrong(order["ahead_s"])
    print(json.dumps(asyncio.run(_tasks(order))), flush=True)
