"""Messages as the conventions write them: JSON text, redacted first, cut to size without breaking the JSON.

Source: https://github.com/open-telemetry/semantic-conventions/tree/v1.41.0/docs/gen-ai (gen-ai-input-messages.json and its siblings)
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from ..facts import CapturedContent
from ..types import (
    AudioPart,
    ChatRequest,
    ChatResponse,
    Choice,
    FilePart,
    ImagePart,
    Message,
    Part,
    RefusalPart,
    TextPart,
    Tool,
)
from . import names

if TYPE_CHECKING:
    from ..record import Record
    from .meaning import Meaning
    from .policy import Redact
    from .schema import Generation

_STRUCTURE = frozenset({"type", "role", "modality", "mime_type", "finish_reason"})
"""Keys whose values are ours and are neither redacted nor cut."""

_CUT = "...[cut]"
_SHORTEST = 16


def content_of(record: Record, generation: Generation) -> tuple[dict[str, str], dict[str, str]]:
    """The content attributes of the call's span, and those of its content event; both empty unless content is captured."""
    meaning = record.trace.meaning if record.trace else None
    if meaning is None or meaning.capture == "off":
        return {}, {}
    captured = capture(meaning, generation)
    found = {
        names.INPUT_MESSAGES.name: captured.input_messages,
        names.OUTPUT_MESSAGES.name: captured.output_messages,
        names.TOOL_DEFINITIONS.name: captured.tool_definitions,
    }
    present = {name: text for name, text in found.items() if text is not None}
    return (present if meaning.capture != "event" else {}), (present if meaning.capture != "span" else {})


def capture(meaning: Meaning, generation: Generation) -> CapturedContent:
    """The content of a call as JSON text."""
    request, response, policy = meaning.request, meaning.response, meaning.policy
    sent = request if isinstance(request, ChatRequest) else None
    answered = response if isinstance(response, ChatResponse) else None

    def text(items: Sequence[dict[str, Any]] | None) -> str | None:
        return to_json(items, policy.redact, policy.content_bytes) if items else None

    return CapturedContent(
        input_messages=text([_message(message) for message in sent.messages] if sent else None),
        output_messages=text([_answer(choice, generation) for choice in answered.choices] if answered else None),
        tool_definitions=text([_tool(tool) for tool in sent.tools] if sent and sent.tools else None),
    )


def to_json(items: Sequence[dict[str, Any]], redact: Redact | None, limit_bytes: int) -> str:
    """`items` as JSON text of at most `limit_bytes` bytes. Redacts before it cuts: half a secret is not recognised as one."""
    whole = [_each_text(item, redact) for item in items] if redact else list(items)
    text = _dumps(whole)
    length = limit_bytes
    while _size(text) > limit_bytes and length > _SHORTEST:
        length //= 2
        text = _dumps([_each_text(item, lambda value, most=length: _shortened(value, most)) for item in whole])  # type: ignore[misc]  # mypy cannot infer a lambda with a default
    while _size(text) > limit_bytes and whole:
        whole = whole[1:]
        text = _dumps([_each_text(item, lambda value: _shortened(value, _SHORTEST)) for item in whole])
    return text


def _each_text(value: Any, change: Redact, key: str = "") -> Any:
    if isinstance(value, str):
        return value if key in _STRUCTURE else change(value)
    if isinstance(value, dict):
        return {name: _each_text(item, change, name) for name, item in value.items()}
    return [_each_text(item, change) for item in value] if isinstance(value, (list, tuple)) else value


def _shortened(text: str, most: int) -> str:
    return text if len(text) <= most else text[:most] + _CUT


def _dumps(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)


def _size(text: str) -> int:
    return len(text.encode())


def _message(message: Message) -> dict[str, Any]:
    role = "system" if message.role == "developer" else message.role
    found: dict[str, Any] = {"role": role, "parts": list(_parts(message))}
    return found | ({"name": message.name} if message.name else {})


def _answer(choice: Choice, generation: Generation) -> dict[str, Any]:
    found = _message(choice.message)
    if generation == "g2":
        reason = choice.finish_reason or "error"
        found["finish_reason"] = "tool_call" if reason == "tool_calls" else reason
    return found


def _parts(message: Message) -> Iterable[dict[str, Any]]:
    if message.reasoning_content:
        yield {"type": "reasoning", "content": message.reasoning_content}
    if message.role == "tool":
        yield {"type": "tool_call_response", "id": message.tool_call_id, "response": message.text}
    elif isinstance(message.content, str):
        yield {"type": "text", "content": message.content}
    else:
        yield from (_part(part) for part in message.content or ())
    if message.refusal:
        yield {"type": "refusal", "content": message.refusal}
    for call in message.tool_calls or ():
        function = call.function
        yield {
            "type": "tool_call",
            "id": call.id,
            "name": function.name if function else call.type,
            "arguments": function.arguments if function else "",
        }


def _part(part: Part) -> dict[str, Any]:
    if isinstance(part, TextPart):
        return {"type": "text", "content": part.text}
    if isinstance(part, RefusalPart):
        return {"type": "refusal", "content": part.refusal}
    if isinstance(part, ImagePart):
        return _media("image", part.image_url.url)
    if isinstance(part, AudioPart):
        return _blob("audio", f"audio/{part.input_audio.format}", len(part.input_audio.data))
    if isinstance(part, FilePart):
        return _media("document", part.file.file_data or "", part.file.file_id)
    return {"type": part.type}


def _media(modality: str, url: str, file_id: str | None = None) -> dict[str, Any]:
    if file_id is not None:
        return {"type": "file", "modality": modality, "file_id": file_id}
    if url.startswith("data:"):
        return _blob(modality, url[5:].partition(";")[0], len(url))
    return {"type": "uri", "modality": modality, "uri": url}


def _blob(modality: str, mime_type: str, size: int) -> dict[str, Any]:
    """Media are not copied into spans: their size is shown instead of their bytes."""
    return {"type": "blob", "modality": modality, "mime_type": mime_type, "content": "", "omitted_characters": size}


def _tool(tool: Tool) -> dict[str, Any]:
    function = tool.function
    if function is None:
        return {"type": tool.type, "name": tool.type}
    described = {"description": function.description} if function.description else {}
    return {"type": tool.type, "name": function.name} | described
