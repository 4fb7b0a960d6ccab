"""Token counts by estimate: offline, without a vocabulary."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from .types import ChatRequest, ChatResponse, Message, Request, Response, Tool


def estimate_tokens(text: str | Sequence[Message], model: str | None = None) -> int:
    if isinstance(text, str):
        return _text(text)
    return sum(4 + _text(m.text) for m in text) + 3


def estimate_request_tokens(request: Request, model: str | None = None) -> int | None:
    return estimate_tokens(request.messages, model) if isinstance(request, ChatRequest) else None


def estimate_response_tokens(response: Response, model: str | None = None) -> int:
    return _text(response.text)


def _text(text: str) -> int:
    return -(-len(text) // 4)
