"""Sync calls: one background loop, Ctrl-C, forks, and running loops around them."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from typing import Any

import pytest
from builders import Ends

from glassway import Client, Pipeline
from glassway.pipeline import portal
from glassway.pipeline.portal import run_sync, stop_portal
from glassway.testing import FakeProvider, Scripted


class Interrupted:
    """A client whose vendor never answers, and a Ctrl-C while it waits."""

    def __init__(self, script: Scripted) -> None:
        self.provider = FakeProvider([script])
        self.ends = Ends()
        self.client = Client(Pipeline([self.ends], self.provider))

    def ctrl_c_when(self, ready: Any) -> None:
        def press() -> None:
            while not ready():
                time.sleep(0.001)
            time.sleep(0.02)  # the main thread is on its way into the waiting
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

        threading.Thread(target=press).start()

    def wait_for_the_end(self) -> str:
        for _ in range(1000):
            if self.ends.records:
                break
            time.sleep(0.002)
        return self.ends.record.end


def test_ctrl_c_cancels_the_call_that_it_interrupts() -> None:
    made = Interrupted(Scripted(delay_s=60))
    made.ctrl_c_when(lambda: made.provider.calls)
    with pytest.raises(KeyboardInterrupt):
        made.client.chat("fake-model", "Hi")
    assert made.wait_for_the_end() == "cancelled"
    assert made.client.pipeline.in_flight == 0


def test_ctrl_c_cancels_the_stream_that_it_interrupts() -> None:
    made = Interrupted(Scripted(gap_s=60))
    stream = made.client.chat("fake-model", "Hi", stream=True)
    next(stream)
    made.ctrl_c_when(lambda: True)
    with pytest.raises(KeyboardInterrupt):
        next(stream)
    assert made.wait_for_the_end() == "cancelled"
    assert made.provider.open_streams == 0


def test_there_is_one_loop_for_all_threads() -> None:
    loops: set[int] = set()

    async def note() -> None:
        loops.add(id(asyncio.get_running_loop()))

    threads = [threading.Thread(target=run_sync, args=(note,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(loops) == 1


def test_it_may_be_stopped_and_starts_again() -> None:
    async def loop_id() -> int:
        return id(asyncio.get_running_loop())

    first = run_sync(loop_id)
    stop_portal()
    stop_portal()
    assert portal._portal is None
    assert isinstance(run_sync(loop_id), int)
    assert first


def test_keyword_arguments_are_refused_rather_than_lost() -> None:
    with pytest.raises(TypeError, match="positional"):
        run_sync(asyncio.sleep, delay=0)


def test_a_sync_call_from_within_the_background_loop_is_an_error_and_no_deadlock() -> None:
    client = Client(Pipeline([], FakeProvider()))

    async def inside() -> None:
        client.chat("fake-model", "Hi")

    with pytest.raises(RuntimeError, match="event loop thread"):
        run_sync(inside)


FORKING = """
    import os, signal
    from glassway import Client, Pipeline
    from glassway.testing import FakeProvider


    client = Client(Pipeline([], FakeProvider()))
    client.chat("fake-model", "Hi")
    pid = os.fork()
    signal.alarm(10)  # alarms are not inherited, and a child that hangs would outlive the test
    text = client.chat("fake-model", "Hi").text
    if pid == 0:
        print("child", text, flush=True)
        {ending}
    _, status = os.waitpid(pid, 0)
    assert status == 0, status
    print("parent", text)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.parametrize("ending", ["os._exit(0)", "raise SystemExit(0)"])
def test_a_forked_child_gets_a_loop_of_its_own(ending: str) -> None:
    script = textwrap.dedent(FORKING).format(ending=ending)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=20, check=True)
    assert done.stdout.splitlines() == ["child Hello there, general reader.", "parent Hello there, general reader."]
    assert done.stderr == ""
