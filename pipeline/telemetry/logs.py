"""Log lines that can be found from a trace, and the other way round."""

from __future__ import annotations

import logging
import sys

_NO_IDS = {"trace_id": "", "span_id": "", "call_id": ""}


class CallIds(logging.Filter):
    """Puts `trace_id` (32 hex digits), `span_id` (16) and `call_id` (16) on every log record; empty outside of traced calls.

    Add it to a handler, not to a logger, so that it sees the lines of all loggers:
    `handler.addFilter(CallIds())` with a format such as `%(levelname)s %(trace_id)s %(message)s`.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Never drops a record."""
        for name, value in _ids().items():
            if not hasattr(record, name):
                setattr(record, name, value)
        return True


def _ids() -> dict[str, str]:
    api = sys.modules.get("opentelemetry.trace")
    if api is None:
        return _NO_IDS
    span = api.get_current_span()
    context = span.get_span_context()
    if not context.is_valid:
        return _NO_IDS
    call = getattr(span, "trace", None)
    return {
        "trace_id": f"{context.trace_id:032x}",
        "span_id": f"{context.span_id:016x}",
        "call_id": getattr(call, "call_id", ""),
    }
