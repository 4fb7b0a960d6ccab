"""A complete answer of the Messages API as a chat response.

Source: https://platform.claude.com/docs/en/api/messages/create
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from pydantic import ValidationError

from ...pipeline.errors import ResponseValidationError
from ...pipeline.types import ChatResponse, FinishReason
from .anthropic_assistant import fields_of, joined_text, layout_of
from .anthropic_content import Block
from .anthropic_errors import body_error
from .anthropic_format import ANSWER_TOOL
from .anthropic_usage import usage_of
from .plain_json import json_object, write_json

FINISH: Final[dict[str, FinishReason]] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
"""Source: https://platform.claude.com/docs/en/build-with-claude/handling-stop-reasons"""

EXTRAS: Final = ("stop_sequence", "stop_details", "container", "context_management", "diagnostics")
"""What the response keeps under the vendor's own names, where it is not null.

Why its safety system stopped an answer is in `stop_details`, not in the message's `refusal`: the model did not say it.
"""


def decode_response(body: bytes, *, created: int, answer_tool: bool, provider: str) -> ChatResponse:
    """Raises `ResponseValidationError` for what is no message, and the error's own class for an error in a 200."""
    data = json_object(body)
    if data is not None and data.get("type") == "error":
        raise body_error(data, provider)
    if data is None or not _is_message(data):
        raise _no_message(provider)
    blocks = as_answer(data["content"]) if answer_tool else data["content"]
    counts = data.get("usage") or {}
    fields = {
        "id": data.get("id") or "",
        "created": created,
        "model": data.get("model") or "",
        "choices": (_choice(data, blocks),),
        "usage": usage_of(counts) if counts else None,
        **extras_of(data),
        **tier_of(counts),
    }
    try:
        return ChatResponse.model_validate(fields)
    except ValidationError as error:
        raise _no_message(provider) from error


def _no_message(provider: str) -> ResponseValidationError:
    return ResponseValidationError(
        "Expected a message of the Messages API, found something else. Is base_url the vendor's?", provider=provider
    )


def _is_message(data: dict[str, Any]) -> bool:
    content = data.get("content")
    return isinstance(content, list) and all(map(is_block, content)) and isinstance(data.get("usage") or {}, dict)


def is_block(block: Any) -> bool:
    """Whether a block has what its type promises."""
    match block:
        case {"type": "text"}:
            return isinstance(block.get("text"), str)
        case {"type": "tool_use"}:
            return isinstance(block.get("id"), str) and isinstance(block.get("name"), str)
        case {"type": str()}:
            return True
    return False


def _choice(data: dict[str, Any], blocks: list[Block]) -> dict[str, Any]:
    message = fields_of(blocks) | {"content": joined_text(blocks)}
    if annotations := tuple(annotations_of(blocks)):
        message["annotations"] = annotations
    if layout := layout_of(blocks):
        message["provider_blocks"] = tuple(layout)
    native = data.get("stop_reason")
    finish = finish_of(native, has_tools="tool_calls" in message)
    return {"index": 0, "message": message, "finish_reason": finish, "native_finish_reason": native}


def finish_of(native: str | None, *, has_tools: bool) -> FinishReason | None:
    """The vendor's word in OpenAI's terms; None only for none. A forced answer tool that is shown as text is a `stop`."""
    if native is None:
        return None
    reason = FINISH.get(native, "tool_calls" if has_tools else "stop")
    return "stop" if reason == "tool_calls" and not has_tools else reason


def as_answer(blocks: Sequence[Block]) -> list[Block]:
    """The blocks with the arguments of the forced answer tool as what they are: the answer's text."""
    return [
        {"type": "text", "text": write_json(block.get("input") or {}).decode()} if _is_answer(block) else block
        for block in blocks
    ]


def _is_answer(block: Block) -> bool:
    return block["type"] == "tool_use" and block.get("name") == ANSWER_TOOL


def extras_of(data: dict[str, Any]) -> dict[str, Any]:
    """The response's further fields."""
    return {name: data[name] for name in EXTRAS if data.get(name) is not None}


def tier_of(counts: dict[str, Any]) -> dict[str, Any]:
    """OpenAI's `service_tier`, which the vendor counts as usage."""
    tier = counts.get("service_tier")
    return {"service_tier": tier} if isinstance(tier, str) else {}


def annotations_of(blocks: Sequence[Block]) -> Iterator[dict[str, Any]]:
    """Citations, with the place in the whole text that each one supports."""
    start = 0
    for block in blocks:
        if block["type"] == "text":
            end = start + len(block["text"])
            yield from (annotation_of(citation, start, end) for citation in block.get("citations") or ())
            start = end


def annotation_of(citation: dict[str, Any], start: int, end: int) -> dict[str, Any]:
    """One citation; of the web in OpenAI's shape, of documents in the vendor's, with `start_index` and `end_index`."""
    place = {"start_index": start, "end_index": end}
    if isinstance(citation.get("url"), str):
        cited = {"url": citation["url"], "title": citation.get("title") or "", **place}
        return {"type": "url_citation", "url_citation": cited, "cited_text": citation.get("cited_text")}
    return {**citation, **place}
