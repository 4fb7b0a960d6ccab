"""A stream may be collected at any allocation, also in the middle of an addition: the end is then counted, not waited for."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from builders import ask
from prometheus_client import CollectorRegistry

from glassway import Pipeline, Telemetry
from glassway.pipeline.telemetry.board import Board
from glassway.testing import FakeProvider

pytestmark = pytest.mark.anyio


async def test_a_stream_that_is_collected_while_its_thread_counts_ends_at_once() -> None:
    registry = CollectorRegistry()
    pipeline = Pipeline([], FakeProvider(), telemetry=Telemetry(registry=registry))
    streams: list[Any] = [await pipeline.send(ask(stream=True))]
    [board] = [collector for collector in registry._collector_to_names if isinstance(collector, Board)]
    done = threading.Event()

    def drop() -> None:
        with board.lock:
            streams.clear()  # the last reference: the finaliser runs here, and counts
        done.set()

    thread = threading.Thread(target=drop, daemon=True)
    thread.start()
    assert done.wait(5), "the finaliser waits for a lock that its own thread holds"
    assert (
        registry.get_sample_value(
            "glassway_calls_total",
            {"operation": "chat", "provider": "fake", "model": "fake-model", "end": "abandoned", "error_type": ""},
        )
        == 1
    )
