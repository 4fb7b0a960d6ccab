"""The recorded exchanges with real vendors: where they are, and one of them as a value."""

from __future__ import annotations

import base64
import json
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

CORPUS = Path(os.environ.get("GLASSWAY_CORPUS") or Path(__file__).parents[1] / "../shared/corpus").resolve()


@dataclass(frozen=True)
class Exchange:
    """One recorded exchange. `request` is its JSON body, None where none was recorded."""

    name: str
    vendor: str
    api: str
    kind: str
    tags: frozenset[str]
    url: str
    request: dict[str, Any] | None
    status: int
    streaming: bool
    headers: dict[str, str]
    body: bytes


@cache
def exchange(name: str) -> Exchange:
    """By its name, `vendor/kind-n`."""
    data = json.loads((CORPUS / f"{name}.json").read_text(encoding="utf-8"))
    asked, answer = data["request"] or {}, data["response"]
    body = base64.b64decode(answer["body_base64"]) if "body_base64" in answer else answer["body_text"].encode()
    return Exchange(
        name,
        data["provider"],
        data["api"],
        data["kind"],
        frozenset(data["tags"]),
        asked.get("url") or "",
        asked.get("json"),
        answer["status"],
        answer["streaming"],
        answer["headers"],
        body,
    )


def names(pattern: str = "*/*") -> list[str]:
    """The names of the exchanges that match, in order; none without recordings."""
    return sorted(f"{path.parent.name}/{path.stem}" for path in CORPUS.glob(f"{pattern}.json"))
