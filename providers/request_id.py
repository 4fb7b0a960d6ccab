"""The vendor's own id of an exchange, for its support desk."""

from __future__ import annotations

from collections.abc import Mapping

_HEADERS = ("x-request-id", "request-id", "apim-request-id", "mistral-correlation-id", "x-amzn-requestid")
"""OpenAI and most; Anthropic; Azure; Mistral; AWS. Source: the headers of recorded exchanges with each."""


def request_id(headers: Mapping[str, str]) -> str | None:
    """The id in an answer's `headers` (lower-case names), or None."""
    for name in _HEADERS:
        if value := headers.get(name):
            return value
    return None
