"""Recorded exchanges of the operations beyond chat, as parameters of tests; skipped where there are no recordings."""

from __future__ import annotations

import base64
import json
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
CORPUS = Path(os.environ.get("GLASSWAY_CORPUS", ROOT.parent / "shared" / "corpus"))
VENDORS = ("openai", "azure", "mistral", "openrouter", "vllm")
APIS = {
    "embeddings": "embeddings",
    "image": "image",
    "image-edit": "image",
    "image-variation": "image",
    "speech": "speech",
    "transcription": "transcription",
    "translation": "transcription",
    "moderation": "moderation",
}
"""The recording's kind, our operation."""


@dataclass(frozen=True)
class Exchange:
    """One recorded exchange."""

    id: str
    vendor: str
    kind: str
    operation: str
    status: int
    streaming: bool
    headers: dict[str, str]
    body: bytes
    request: dict[str, Any] | None
    form: bytes
    form_type: str


def _bytes(part: dict[str, Any]) -> bytes:
    if "body_base64" in part:
        return base64.b64decode(part["body_base64"])
    body = (part.get("body_text") or "").encode()
    return base64.b64decode(body) if body.startswith(b"LS0t") else body  # a form that was noted in base64


def _read(vendor: str, path: Path) -> Exchange | None:
    kind = path.stem.rsplit("-", 1)[0]
    api = kind.removesuffix("-stream").split("-error")[0]
    if api not in APIS:
        return None
    record = json.loads(path.read_text(encoding="utf-8"))
    answer, asked = record["response"], record["request"] or {}
    return Exchange(
        id=f"{vendor}/{path.stem}",
        vendor=vendor,
        kind=kind,
        operation=APIS[api],
        status=answer["status"],
        streaming=answer["streaming"],
        headers=answer["headers"],
        body=_bytes(answer),
        request=asked.get("json"),
        form=b"" if asked.get("json") is not None else _bytes(asked),
        form_type=(asked.get("headers") or {}).get("content-type", ""),
    )


@cache
def exchanges() -> tuple[Exchange, ...]:
    paths = [(vendor, path) for vendor in VENDORS for path in sorted((CORPUS / vendor).glob("*.json"))]
    return tuple(found for vendor, path in paths if (found := _read(vendor, path)) is not None)


PARTS = {
    "whole": lambda one: one.status == 200 and not one.streaming,
    "streamed": lambda one: one.status == 200 and one.streaming,
    "refusal": lambda one: one.status >= 400,
    "asked": lambda one: one.request is not None,
    "form": lambda one: one.form_type.startswith("multipart/"),
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    for name in PARTS.keys() & set(metafunc.fixturenames):
        found = [one for one in exchanges() if PARTS[name](one)]
        skipped = pytest.mark.skip(reason=f"no recorded exchanges at {CORPUS} (set GLASSWAY_CORPUS)")
        metafunc.parametrize(
            name, [pytest.param(one, id=one.id) for one in found] or [pytest.param(None, marks=skipped)]
        )
