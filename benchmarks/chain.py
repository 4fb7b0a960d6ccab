"""What eight stages cost in each form of the chain, over the same pipeline without stages. Prints one line of JSON.

python benchmarks/chain.py
"""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from typing import Any

from prometheus_client import CollectorRegistry

from glassway import ChatRequest, ChatResponse, Pipeline, Telemetry

ROUNDS, CALLS = 7, 2000
REQUEST = ChatRequest.model_validate({"model": "m", "messages": [{"role": "user", "content": "Hello"}]})
REPLY = {
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
}


async def through(call: Any, call_next: Any) -> Any:
    """A stage that does nothing."""
    return await call_next(call)


async def vendor(_call: Any) -> ChatResponse:
    """A vendor that has answered before it was asked."""
    return ChatResponse.model_validate(REPLY)


async def microseconds(telemetry: Any, stages: int) -> float:
    """CPU a call."""
    pipeline = Pipeline([through] * stages, vendor, telemetry=telemetry, timeout_s=None)
    await pipeline.open()
    for _ in range(200):
        await pipeline.send(REQUEST)
    start = time.thread_time()
    for _ in range(CALLS):
        await pipeline.send(REQUEST)
    return (time.thread_time() - start) / CALLS * 1e6


def forms() -> dict[str, Any]:
    """Telemetry off, metered, and traced with every trace kept."""
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

    class Nowhere(SpanExporter):
        def export(self, spans: Any) -> SpanExportResult:
            return SpanExportResult.SUCCESS

    return {
        "off": False,
        "metered": Telemetry(registry=CollectorRegistry()),
        "traced": Telemetry(registry=CollectorRegistry(), span_processors=[BatchSpanProcessor(Nowhere())]),
    }


async def main() -> None:
    """Measure and print."""
    result = {}
    for name, telemetry in forms().items():
        pairs = [(await microseconds(telemetry, 0), await microseconds(telemetry, 8)) for _ in range(ROUNDS)]
        result[name] = {
            "eight_stages_us": statistics.median(with_ - without for without, with_ in pairs),
            "pipeline_us": statistics.median(without for without, _ in pairs),
        }
    print(json.dumps(result))


if __name__ == "__main__":
    asyncio.run(main())
