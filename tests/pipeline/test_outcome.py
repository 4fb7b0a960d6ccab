"""How a reply ended: one object, that observers in several threads may ask at once."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from builders import answer

from glassway.pipeline.outcome import Outcome
from glassway.pipeline.types import Response


def test_whoever_asks_while_another_assembles_gets_the_same_response() -> None:
    """A callback in its thread and the caller on the event loop ask for a stream's response in the same moment."""
    made: list[Response] = []
    both = threading.Barrier(4, timeout=10)

    def make() -> Response:
        time.sleep(0.05)
        made.append(answer())
        return made[-1]

    outcome = Outcome("completed", make=make)

    def ask(_: int) -> Response | None:
        both.wait()
        return outcome.response

    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(ask, range(4)))
    assert len(made) == 1
    assert all(one is made[0] for one in found)


def test_one_that_cannot_be_assembled_says_so_each_time() -> None:
    def make() -> Response:
        raise ValueError("no such chunks")

    outcome = Outcome("completed", make=make)
    for _ in range(2):
        with pytest.raises(ValueError, match="no such chunks"):
            _ = outcome.response
