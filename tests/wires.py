"""One small answer in each vendor's protocol, whole and streamed: what tests damage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bedrock_exchanges import frame
from conversations import VENDORS, Vendor
from pydantic_core import to_json


def _sse(data: Any, event: str = "") -> bytes:
    head = f"event: {event}\n".encode() if event else b""
    return head + b"data: " + (data if isinstance(data, bytes) else to_json(data)) + b"\n\n"


def _line(data: Any) -> bytes:
    return to_json(data) + b"\n"


@dataclass(frozen=True)
class Wire:
    """`Hello` as a vendor answers it. `stream` is the pieces: `head`, `Hel`, `lo`, then what ends it."""

    vendor: Vendor
    whole: dict[str, Any]
    head: bytes
    text: tuple[bytes, bytes]
    end: tuple[bytes, ...]
    uncounted_end: tuple[bytes, ...]
    """The same end, by a vendor that counted no tokens."""
    terminator: bytes = b""
    """What may follow the end."""
    stream_type: str = "text/event-stream"
    usage: tuple[str, ...] = ("usage",)
    """The fields of the whole answer with the token counts."""

    @property
    def stream(self) -> list[bytes]:
        return [self.head, *self.text, *self.end, self.terminator]

    @property
    def uncounted(self) -> dict[str, Any]:
        return {name: value for name, value in self.whole.items() if name not in self.usage}


def _openai() -> Wire:
    def piece(delta: dict[str, Any], finish: str | None = None, **more: Any) -> bytes:
        return _sse(
            {"id": "c", "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **more}
        )

    counts = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
    message = {"role": "assistant", "content": "Hello"}
    return Wire(
        VENDORS["openai"],
        {
            "id": "c",
            "model": "m",
            "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
            "usage": counts,
        },
        piece({"role": "assistant"}),
        (piece({"content": "Hel"}), piece({"content": "lo"})),
        (piece({}, "stop"), _sse({"id": "c", "model": "m", "choices": [], "usage": counts})),
        (piece({}, "stop"),),
        _sse(b"[DONE]"),
    )


def _responses() -> Wire:
    counts = {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}
    part = {"type": "output_text", "text": "Hello", "annotations": []}
    item = {"type": "message", "id": "m1", "role": "assistant", "status": "completed", "content": [part]}
    answer = {"id": "r", "object": "response", "model": "m", "created_at": 1, "status": "completed", "output": [item]}

    def event(kind: str, **fields: Any) -> bytes:
        return _sse({"type": kind, **fields}, kind)

    place = {"output_index": 0, "item_id": "m1", "content_index": 0}
    opened = {**item, "status": "in_progress", "content": []}
    head = event("response.created", response={**answer, "status": "in_progress", "output": []})
    head += event("response.output_item.added", output_index=0, item=opened)
    head += event("response.content_part.added", **place, part={**part, "text": ""})
    closing = event("response.output_text.done", **place, text="Hello")
    closing += event("response.output_item.done", output_index=0, item=item)
    return Wire(
        VENDORS["openai-responses"],
        {**answer, "usage": counts},
        head,
        tuple(event("response.output_text.delta", **place, delta=text) for text in ("Hel", "lo")),  # type: ignore[arg-type]  # two
        (closing, event("response.completed", response={**answer, "usage": counts})),
        (closing, event("response.completed", response=answer)),
    )


def _anthropic() -> Wire:
    counts = {"input_tokens": 1, "output_tokens": 2}
    answer = {"id": "m", "type": "message", "role": "assistant", "model": "m", "stop_reason": "end_turn"}

    def event(kind: str, **fields: Any) -> bytes:
        return _sse({"type": kind, **fields}, kind)

    def end(**more: Any) -> tuple[bytes, ...]:
        delta = {"stop_reason": "end_turn", "stop_sequence": None}
        return (
            event("content_block_stop", index=0),
            event("message_delta", delta=delta, **more),
            event("message_stop"),
        )

    def head(**more: Any) -> bytes:
        start = event("message_start", message={**answer, "stop_reason": None, "content": [], **more})
        return start + event("content_block_start", index=0, content_block={"type": "text", "text": ""})

    return Wire(
        VENDORS["anthropic"],
        {**answer, "content": [{"type": "text", "text": "Hello"}], "usage": counts},
        head(),
        tuple(  # type: ignore[arg-type]  # two
            event("content_block_delta", index=0, delta={"type": "text_delta", "text": text}) for text in ("Hel", "lo")
        ),
        end(usage=counts),
        end(),
    )


def _gemini(label: str) -> Wire:
    counts = {"promptTokenCount": 1, "candidatesTokenCount": 2, "totalTokenCount": 3}

    def answer(text: str, finish: str | None = "STOP", **more: Any) -> dict[str, Any]:
        candidate = {"index": 0, "content": {"role": "model", "parts": [{"text": text}] if text else []}}
        return {
            "responseId": "r",
            "modelVersion": "m",
            "candidates": [candidate | ({"finishReason": finish} if finish else {})],
            **more,
        }

    return Wire(
        VENDORS[label],
        answer("Hello", usageMetadata=counts),
        b"",
        (_sse(answer("Hel", None)), _sse(answer("lo", None))),
        (_sse(answer("", usageMetadata=counts)),),
        (_sse(answer("")),),
        usage=("usageMetadata",),
    )


def _bedrock() -> Wire:
    counts = {"inputTokens": 1, "outputTokens": 2, "totalTokens": 3}
    message = {"role": "assistant", "content": [{"text": "Hello"}]}
    stop = frame("contentBlockStop", {"contentBlockIndex": 0}) + frame("messageStop", {"stopReason": "end_turn"})
    return Wire(
        VENDORS["bedrock"],
        {"output": {"message": message}, "stopReason": "end_turn", "usage": counts, "metrics": {"latencyMs": 1}},
        frame("messageStart", {"role": "assistant"}),
        tuple(  # type: ignore[arg-type]  # two
            frame("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": text}}) for text in ("Hel", "lo")
        ),
        (stop, frame("metadata", {"usage": counts, "metrics": {"latencyMs": 1}})),
        (stop,),
        stream_type="application/vnd.amazon.eventstream",
    )


def _cohere() -> Wire:
    counts = {
        "billed_units": {"input_tokens": 1, "output_tokens": 2},
        "tokens": {"input_tokens": 1, "output_tokens": 2},
    }

    def event(kind: str, **fields: Any) -> bytes:
        return _sse({"type": kind, **fields}, kind)

    def end(**more: Any) -> tuple[bytes, ...]:
        return (event("content-end", index=0), event("message-end", delta={"finish_reason": "COMPLETE", **more}))

    head = event("message-start", id="c", delta={"message": {"role": "assistant"}})
    head += event("content-start", index=0, delta={"message": {"content": {"type": "text", "text": ""}}})
    message = {"role": "assistant", "content": [{"type": "text", "text": "Hello"}]}
    return Wire(
        VENDORS["cohere"],
        {"id": "c", "finish_reason": "COMPLETE", "message": message, "usage": counts},
        head,
        tuple(  # type: ignore[arg-type]  # two
            event("content-delta", index=0, delta={"message": {"content": {"text": text}}}) for text in ("Hel", "lo")
        ),
        end(usage=counts),
        end(),
        _sse(b"[DONE]"),
    )


def _ollama() -> Wire:
    counts = {"prompt_eval_count": 1, "eval_count": 2}

    def answer(text: str, **more: Any) -> dict[str, Any]:
        return {
            "model": "m",
            "created_at": "2026-01-01T00:00:00Z",
            "message": {"role": "assistant", "content": text},
            **more,
        }

    done = {"done": True, "done_reason": "stop"}
    return Wire(
        VENDORS["ollama"],
        answer("Hello", **done, **counts),
        b"",
        (_line(answer("Hel", done=False)), _line(answer("lo", done=False))),
        (_line(answer("", **done, **counts)),),
        (_line(answer("", **done)),),
        stream_type="application/x-ndjson",
        usage=tuple(counts),
    )


WIRES: dict[str, Wire] = {
    wire.vendor.label: wire
    for wire in (
        _openai(),
        _responses(),
        _anthropic(),
        _gemini("gemini"),
        _gemini("vertex"),
        _bedrock(),
        _cohere(),
        _ollama(),
    )
}
