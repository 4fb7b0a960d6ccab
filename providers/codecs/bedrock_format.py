"""`response_format`: structured outputs where the model has them, a forced tool where it has not.

Source: https://docs.aws.amazon.com/bedrock/latest/userguide/structured-output.html
"""

from __future__ import annotations

from typing import Any

from ...pipeline.types import ChatRequest
from .anthropic_format import ANSWER_TOOL, strict_schema
from .bedrock_models import Traits
from .notes import Note
from .plain_json import write_json


def answers_by_tool(request: ChatRequest, traits: Traits) -> bool:
    """Whether the answer will come as the arguments of `ANSWER_TOOL`. The same for encoding and decoding."""
    schema = _wanted_schema(request)
    if schema is None or (traits.formats and _is_schema(request)) or not traits.choices:
        return False
    if traits.is_claude and (traits.claude.always_thinks or "thinking" in _additional(request)):
        return False
    names = {tool.function.name for tool in request.tools or () if tool.function}
    free = request.tool_choice in (None, "auto") and ANSWER_TOOL not in names
    return free and schema.get("type", "object") == "object"


def put_format(body: dict[str, Any], request: ChatRequest, traits: Traits, note: Note) -> None:
    """Put `response_format` into `body`. Comes after the tools and before anything that a forced tool excludes."""
    schema = _wanted_schema(request)
    if schema is None:
        return
    if traits.formats and _is_schema(request):
        _put_schema(body, request, strict_schema(schema, note))
        note("response_format", "renamed", "sent as outputConfig.textFormat")
    elif answers_by_tool(request, traits):
        _force_tool(body, request, schema, traits)
        note("response_format", "emulated", "the answer is asked for as a forced tool's arguments")
    else:
        reason = "this model has no such format, and no tool can be forced beside this request's tools or thinking"
        note("response_format", "dropped", reason)


def _wanted_schema(request: ChatRequest) -> dict[str, Any] | None:
    wanted = request.response_format
    if wanted is None or wanted.type == "text":
        return None
    schema = (wanted.json_schema or {}).get("schema")
    return schema if isinstance(schema, dict) else {"type": "object"}


def _is_schema(request: ChatRequest) -> bool:
    """A named schema, rather than any JSON object."""
    return isinstance(_named(request).get("schema"), dict)


def _named(request: ChatRequest) -> dict[str, Any]:
    return (request.response_format.json_schema or {}) if request.response_format else {}


def _additional(request: ChatRequest) -> dict[str, Any]:
    given = request.extra.get("additionalModelRequestFields")
    return {**request.extra, **(given if isinstance(given, dict) else {})}


def _put_schema(body: dict[str, Any], request: ChatRequest, schema: dict[str, Any]) -> None:
    named = {name: value for name in ("name", "description") if (value := _named(request).get(name))}
    definition = {**named, "schema": write_json(schema).decode()}
    format_ = {"type": "json_schema", "structure": {"jsonSchema": definition}}
    body["outputConfig"] = {**body.get("outputConfig", {}), "textFormat": format_}


def _force_tool(body: dict[str, Any], request: ChatRequest, schema: dict[str, Any], traits: Traits) -> None:
    described = _named(request).get("description") or "Give the final answer. Call this instead of answering in text."
    json_schema = {"type": "object", **schema}
    tool = {"toolSpec": {"name": ANSWER_TOOL, "description": described, "inputSchema": {"json": json_schema}}}
    tools = body.get("toolConfig", {}).get("tools", [])
    alone = not tools and "tool" in traits.choices
    choice: dict[str, Any] = {"tool": {"name": ANSWER_TOOL}} if alone else {"any": {}}
    body["toolConfig"] = {"tools": [*tools, tool], "toolChoice": choice}
    body["additionalModelRequestFields"].pop("tool_choice", None)  # Claude's own must not stand beside Converse's
