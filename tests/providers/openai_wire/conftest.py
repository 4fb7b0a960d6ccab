"""Recorded exchanges with vendors that speak OpenAI's protocol, as parameters of tests.

A test that asks for `recorded` runs once for each recorded chat exchange; `recorded_stream`, `recorded_whole`,
`recorded_error` and `recorded_request` are the parts of them. Without the recordings such a test is skipped.
"""

from __future__ import annotations

import base64
import json
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parents[3]
CORPUS = Path(os.environ.get("GLASSWAY_CORPUS", ROOT.parent / "shared" / "corpus"))
VENDORS = (
    "openai",
    "azure",
    "deepseek",
    "groq",
    "huggingface",
    "llamacpp",
    "mistral",
    "ollama-openai",
    "openrouter",
    "together",
    "vllm",
    "xai",
)


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


def _read(vendor: str, path: Path) -> Recorded | None:
    record = json.loads(path.read_text(encoding="utf-8"))
    if record["api"] != "chat":
        return None
    answer = record["response"]
    body = base64.b64decode(answer["body_base64"]) if "body_base64" in answer else answer["body_text"].encode()
    request = (record["request"] or {}).get("json")
    return Recorded(
        record["id"], vendor, record["kind"], answer["status"], answer["streaming"], answer["headers"], body, request
    )


@cache
def recordings() -> tuple[Recorded, ...]:
    paths = [(vendor, path) for vendor in VENDORS for path in sorted((CORPUS / vendor).glob("*.json"))]
    return tuple(record for vendor, path in paths if (record := _read(vendor, path)) is not None)


PARTS: dict[str, Callable[[Recorded], bool]] = {
    "recorded": lambda record: True,
    "recorded_stream": lambda record: record.streaming and record.status == 200,
    "recorded_whole": lambda record: not record.streaming and record.status == 200,
    "recorded_error": lambda record: record.status >= 400,
    "recorded_request": lambda record: bool(record.request and record.request.get("messages")),
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    for name in PARTS.keys() & set(metafunc.fixturenames):
        records = [record for record in recordings() if PARTS[name](record)]
        if not records:
            skipped = pytest.mark.skip(reason=f"no recorded exchanges at {CORPUS} (set GLASSWAY_CORPUS)")
            metafunc.parametrize(name, [pytest.param(None, marks=skipped)])
        else:
            metafunc.parametrize(name, [pytest.param(record, id=record.id) for record in records])
