"""Trace context of the caller, as it comes in. What goes out to vendors is `traceparent` alone, never baggage."""

from __future__ import annotations

import re
from collections.abc import Mapping

from opentelemetry import trace as api

from .policy import Trust

_TRACEPARENT = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?P<trace>[0-9a-f]{32})-(?P<span>[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})(-.*)?"
)

Inbound = tuple[api.SpanContext | None, tuple[api.Link, ...]]


def traceparent_of(headers: Mapping[str, str]) -> str | None:
    """The header, whatever case its name is in."""
    return next((value for name, value in headers.items() if name.lower() == "traceparent"), None)


def parse_traceparent(text: str | None) -> api.SpanContext | None:
    """The caller's span; None for anything that the standard calls invalid.

    Source: https://www.w3.org/TR/trace-context/#traceparent-header
    """
    found = _TRACEPARENT.fullmatch(text.strip()) if text else None
    if found is None or (found[0].startswith("00") and found[4]):
        return None
    flags = api.TraceFlags(int(found["flags"], 16))
    context = api.SpanContext(int(found["trace"], 16), int(found["span"], 16), is_remote=True, trace_flags=flags)
    return context if context.is_valid else None


def inbound(traceparent: str | None, trust: Trust) -> Inbound:
    """The parent of a new call's span, and links. A span that is current in this process is always trusted."""
    current = api.get_current_span().get_span_context()
    if current.is_valid:
        return current, ()
    if traceparent is None or trust == "never":
        return None, ()
    remote = parse_traceparent(traceparent)
    if remote is None or trust == "always":
        return remote, ()
    return None, (api.Link(remote),)
