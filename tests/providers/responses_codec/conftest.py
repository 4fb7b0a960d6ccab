"""Recorded exchanges with vendors that have a Responses API, and OpenAI's own parameters as a judge of what is sent.

A test that asks for `recorded_whole`, `recorded_stream`, `recorded_error` or `recorded_request` runs once for each such
exchange. Without the recordings it is skipped.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from judges import responses_faults

from glassway.pipeline.call import Call, Target
from glassway.pipeline.facts import TRANSLATION
from glassway.pipeline.types import ChatRequest
from glassway.providers.catalogue import row_of
from glassway.providers.codecs.responses import ResponsesCodec
from glassway.testing import FakeClock

if TYPE_CHECKING:
    from collections.abc import Callable

CORPUS = Path(os.environ.get("GLASSWAY_CORPUS") or Path(__file__).parents[3] / "../shared/corpus").resolve()
VENDORS = ("openai", "azure", "deepseek", "openrouter", "xai")

Sent = tuple[dict[str, Any], dict[str, str]]


@dataclass(frozen=True)
class Recorded:
    """One exchange."""

    id: str
    vendor: str
    kind: str
    status: int
    streaming: bool
    headers: dict[str, str]
    body: bytes
    request: dict[str, Any] | None


@cache
def recordings() -> tuple[Recorded, ...]:
    paths = [(vendor, path) for vendor in VENDORS for path in sorted((CORPUS / vendor).glob("responses-*.json"))]
    return tuple(record for vendor, path in paths if (record := _read(vendor, path)) is not None)


def _read(vendor: str, path: Path) -> Recorded | None:
    record = json.loads(path.read_text(encoding="utf-8"))
    answer, request = record["response"], (record["request"] or {}).get("json")
    if record["api"] != "responses":
        return None
    return Recorded(
        f"{vendor}-{path.stem}",
        vendor,
        record["kind"],
        answer["status"],
        answer["streaming"],
        answer["headers"],
        answer["body_text"].encode(),
        request,
    )


PARTS: dict[str, Callable[[Recorded], bool]] = {
    "recorded_whole": lambda record: not record.streaming and record.status == 200,
    "recorded_stream": lambda record: record.streaming and record.status == 200,
    "recorded_answer": lambda record: record.status == 200,
    "recorded_error": lambda record: record.status >= 400,
    "recorded_request": lambda record: isinstance(record.request, dict),
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    for name in PARTS.keys() & set(metafunc.fixturenames):
        records = [record for record in recordings() if PARTS[name](record)]
        if not records:
            skipped = pytest.mark.skip(reason=f"no recorded exchanges at {CORPUS} (set GLASSWAY_CORPUS)")
            metafunc.parametrize(name, [pytest.param(None, marks=skipped)])
        else:
            metafunc.parametrize(name, [pytest.param(record, id=record.id) for record in records])


def _encoded(request: ChatRequest | dict[str, Any], vendor: str = "openai", model: str = "gpt-5-mini") -> Sent:
    if not isinstance(request, ChatRequest):
        full = {"model": "m", "messages": [{"role": "user", "content": "Hello"}]} | request
        request = ChatRequest.model_validate(full)
    call = Call.start(request, clock=FakeClock()).with_target(Target(vendor, model))
    encoded = ResponsesCodec(vendor, row_of(vendor).dialect).encode(call)
    assert (encoded.method, encoded.path) == ("POST", "/responses")
    return json.loads(encoded.content), {fact.parameter: fact.action for fact in call.trail(TRANSLATION)}


def _sent(request: ChatRequest | dict[str, Any], vendor: str = "openai") -> Sent:
    body, notes = _encoded(request, vendor)
    assert responses_faults(body) == []
    return body, notes


@pytest.fixture
def recorded_table() -> tuple[Recorded, ...]:
    """All exchanges."""
    return recordings() or pytest.skip(f"no recorded exchanges at {CORPUS} (set GLASSWAY_CORPUS)")


@pytest.fixture
def faults() -> Callable[[dict[str, Any]], list[str]]:
    """What the SDK's parameters say against a body; unknown keys are faults, at every depth."""
    return responses_faults


@pytest.fixture
def encoded() -> Callable[..., Sent]:
    """`encoded(request, vendor)`: the body, and what was noted, as `parameter: action`."""
    return _encoded


@pytest.fixture
def sent() -> Callable[..., Sent]:
    """The same, judged by the SDK's parameters."""
    return _sent
