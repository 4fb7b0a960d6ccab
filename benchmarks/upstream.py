"""A vendor that answers from memory, so that what is measured is the client: OpenAI's chat endpoint, unary and a stream of 100 chunks.

python benchmarks/upstream.py PORT
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

TEXT = "The capital of France is Paris. It lies on the Seine and has been a centre of trade, learning and the arts for centuries."
HEAD: dict[str, Any] = {
    "id": "chatcmpl-bench",
    "created": 1_760_000_000,
    "model": "gpt-4o-mini-2024-07-18",
    "system_fingerprint": "fp_0",
}
USAGE = {
    "prompt_tokens": 24,
    "completion_tokens": 100,
    "total_tokens": 124,
    "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
}


def unary() -> bytes:
    """One whole HTTP answer."""
    message = {"role": "assistant", "content": TEXT, "refusal": None, "annotations": []}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    body = json.dumps(
        {**HEAD, "object": "chat.completion", "choices": [choice], "usage": USAGE, "service_tier": "default"}
    ).encode()
    head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nx-request-id: req_bench\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def stream() -> bytes:
    """One whole streamed HTTP answer: 100 chunks of text, the finish, the usage."""
    deltas = [{"role": "assistant", "content": ""}, *({"content": " Paris"} for _ in range(100))]
    events = [_event(delta, None) for delta in deltas] + [_event({}, "stop")]
    events += [_sse({**HEAD, "object": "chat.completion.chunk", "choices": [], "usage": USAGE}), b"data: [DONE]\n\n"]
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nx-request-id: req_bench\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + b"".join(b"%x\r\n%s\r\n" % (len(event), event) for event in events) + b"0\r\n\r\n"


def _event(delta: dict[str, Any], finish: str | None) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    return _sse({**HEAD, "object": "chat.completion.chunk", "choices": [choice]})


def _sse(data: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(data, separators=(",", ":")).encode() + b"\n\n"


class Vendor(asyncio.Protocol):
    """Keep-alive HTTP/1.1, as little of it as the clients need."""

    answers = (unary(), stream())

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport
        self.data = b""

    def data_received(self, data: bytes) -> None:
        self.data += data
        head_end = self.data.find(b"\r\n\r\n")
        if head_end < 0:
            return
        length = self.data.lower().find(b"content-length: ", 0, head_end)
        body_bytes = int(self.data[length + 16 : self.data.find(b"\r", length)]) if length >= 0 else 0
        if len(self.data) >= head_end + 4 + body_bytes:
            body, self.data = self.data[head_end + 4 : head_end + 4 + body_bytes], b""
            streamed = b'"stream":true' in body or b'"stream": true' in body
            self.transport.write(self.answers[streamed])


async def serve(port: int) -> None:
    """Until killed."""
    server = await asyncio.get_running_loop().create_server(Vendor, "127.0.0.1", port)
    print("ready", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
