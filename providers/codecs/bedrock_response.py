"""A complete answer of Converse as a chat response.

Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from pydantic import ValidationError

from ...pipeline.errors import ResponseValidationError
from ...pipeline.types import ChatResponse, FinishReason
from .anthropic_format import ANSWER_TOOL
from .bedrock_assistant import fields_of, joined_text, layout_of, text_of
from .bedrock_content import Block
from .bedrock_usage import usage_of
from .plain_json import json_object, write_json

FINISH: Final[Mapping[str, FinishReason]] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
    "malformed_model_output": "stop",
    "malformed_tool_use": "stop",
}

EXTRAS: Final = ("metrics", "trace", "additionalModelResponseFields", "performanceConfig")
"""What the response keeps under the vendor's own names: the latency it measured, its guardrail's trace ..."""


def decode_response(body: bytes, *, model: str, created: int, answer_tool: bool, provider: str) -> ChatResponse:
    """Raises `ResponseValidationError` for what is no answer of Converse. `model` is what was asked: the vendor does not say."""
    data = json_object(body)
    try:
        return _response(data or {}, model, created, answer_tool=answer_tool)
    except (ValidationError, LookupError, TypeError, AttributeError) as error:
        raise ResponseValidationError(
            "Expected an answer of Converse, found something else. Is base_url the vendor's?", provider=provider
        ) from error


def _response(data: dict[str, Any], model: str, created: int, *, answer_tool: bool) -> ChatResponse:
    content = data["output"]["message"]["content"]
    blocks = as_answer(content) if answer_tool else content
    native = data["stopReason"]
    message = fields_of(blocks) | {"content": joined_text(blocks)}
    if annotations := tuple(annotations_of(blocks)):
        message["annotations"] = annotations
    if layout := layout_of(blocks):
        message["provider_blocks"] = tuple(layout)
    finish = finish_of(native, has_tools="tool_calls" in message)
    choice = {"index": 0, "message": message, "finish_reason": finish, "native_finish_reason": native}
    head = {"created": created, "model": model_of(data, model), "choices": (choice,)}
    usage = usage_of(data["usage"]) if data.get("usage") else None
    return ChatResponse.model_validate(head | {"usage": usage} | extras_of(data))


def model_of(data: Mapping[str, Any], asked: str) -> str:
    """The model that answered, which only a prompt router tells."""
    router = (data.get("trace") or {}).get("promptRouter") or {}
    return router.get("invokedModelId") or asked


def finish_of(native: str | None, *, has_tools: bool) -> FinishReason | None:
    """The vendor's word in OpenAI's terms; None only for none. A forced answer tool that is shown as text is a `stop`."""
    if native is None:
        return None
    reason = FINISH.get(native, "tool_calls" if has_tools else "stop")
    return "stop" if reason == "tool_calls" and not has_tools else reason


def as_answer(blocks: Sequence[Block]) -> list[Block]:
    """The blocks with the arguments of the forced answer tool as what they are: the answer's text."""
    return [
        {"text": write_json(block["toolUse"].get("input") or {}).decode()} if is_answer(block) else block
        for block in blocks
    ]


def is_answer(block: Block) -> bool:
    """Whether this is the forced answer tool."""
    return "toolUse" in block and block["toolUse"].get("name") == ANSWER_TOOL


def extras_of(data: Mapping[str, Any]) -> dict[str, Any]:
    """The response's further fields, and the tier that served it under OpenAI's name."""
    tier = (data.get("serviceTier") or {}).get("type")
    return {name: data[name] for name in EXTRAS if data.get(name)} | ({"service_tier": tier} if tier else {})


def annotations_of(blocks: Sequence[Block]) -> Iterator[dict[str, Any]]:
    """Citations, with the place in the whole text that each one supports."""
    start = 0
    for block in blocks:
        end = start + len(text_of(block) or "")
        for citation in block.get("citationsContent", {}).get("citations") or ():
            yield annotation_of(citation, start, end)
        start = end


def annotation_of(citation: Mapping[str, Any], start: int, end: int) -> dict[str, Any]:
    """One citation; of the web in OpenAI's shape, of documents in the vendor's, with `start_index` and `end_index`."""
    place = {"start_index": start, "end_index": end}
    web = (citation.get("location") or {}).get("web") or {}
    if web.get("url"):
        cited = {"url": web["url"], "title": citation.get("title") or "", **place}
        return {"type": "url_citation", "url_citation": cited}
    return {"type": "citation", **citation, **place}
