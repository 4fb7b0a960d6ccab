"""A stream: chunks as they come, then the whole response with its record, put together once."""

from __future__ import annotations

from glassway import Client, Pipeline
from glassway.middlewares import Cost, Retry, Timeout
from glassway.providers import Simulated

stack = Pipeline([Cost(), Retry(), Timeout(first_chunk_s=5, between_chunks_s=2)], providers=[Simulated()])

with Client(stack) as client:
    with client.chat("simulated/gpt-sim", "Tell me about rivers.", stream=True) as stream:
        for chunk in stream:
            print(chunk.text, end="", flush=True)
        response = stream.response()

    record = response.record
    print(
        f"\n\n{record.chunks} chunks, the first after {record.first_chunk_s * 1000:.0f} ms of {record.duration_s * 1000:.0f} ms"
    )
    print(f"finish reason {response.finish_reason}, {response.usage.completion_tokens} tokens, ${response.cost}")
