"""`response_format`: structured outputs where the model has them, a forced tool where it has not.

Source: https://platform.claude.com/docs/en/build-with-claude/structured-outputs
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from ...pipeline.types import ChatRequest
from .anthropic_models import Traits
from .notes import Note

ANSWER_TOOL: Final = "answer_as_json"
"""The tool whose arguments are the answer. It never shows in a response."""

_UNSUPPORTED: Final = frozenset(
    {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength"}
    | {"maxItems", "uniqueItems", "minProperties", "maxProperties", "patternProperties", "propertyNames"}
)
_LISTS: Final = ("anyOf", "oneOf", "allOf", "prefixItems")
_MAPS: Final = ("properties", "$defs", "definitions")


def answers_by_tool(request: ChatRequest, traits: Traits) -> bool:
    """Whether the answer will come as the arguments of `ANSWER_TOOL`. The same for encoding and decoding."""
    schema = _wanted_schema(request)
    if schema is None or (traits.formats and _is_schema(request)) or traits.always_thinks:
        return False
    names = {tool.function.name for tool in request.tools or () if tool.function}
    free = request.tool_choice in (None, "auto") and "thinking" not in request.extra and ANSWER_TOOL not in names
    return free and schema.get("type", "object") == "object"


def put_format(body: dict[str, Any], request: ChatRequest, traits: Traits, note: Note) -> None:
    """Put `response_format` into `body`. Comes after the tools and before anything that a forced tool excludes."""
    schema = _wanted_schema(request)
    if schema is None:
        return
    if traits.formats and _is_schema(request):
        config = {"type": "json_schema", "schema": strict_schema(schema, note)}
        body["output_config"] = {**(body.get("output_config") or {}), "format": config}
        note("response_format", "renamed", "sent as output_config.format")
    elif answers_by_tool(request, traits):
        _force_tool(body, request, schema)
        note("response_format", "emulated", "the answer is asked for as a forced tool's arguments")
    else:
        note(
            "response_format",
            "dropped",
            "this model has no such format, and no tool can be forced beside this request's tools or thinking",
        )


def _wanted_schema(request: ChatRequest) -> dict[str, Any] | None:
    wanted = request.response_format
    if wanted is None or wanted.type == "text":
        return None
    schema = (wanted.json_schema or {}).get("schema")
    return schema if isinstance(schema, dict) else {"type": "object"}


def _is_schema(request: ChatRequest) -> bool:
    """A named schema, rather than any JSON object."""
    wanted = request.response_format
    return wanted is not None and isinstance((wanted.json_schema or {}).get("schema"), dict)


def _force_tool(body: dict[str, Any], request: ChatRequest, schema: dict[str, Any]) -> None:
    described = (request.response_format.json_schema or {}).get("description") if request.response_format else None
    tool = {
        "name": ANSWER_TOOL,
        "description": described or "Give the final answer. Call this instead of answering in text.",
        "input_schema": {"type": "object", **schema},
    }
    body["tool_choice"] = {"type": "any"} if body.get("tools") else {"type": "tool", "name": ANSWER_TOOL}
    body["tools"] = [*body.get("tools", ()), tool]


def strict_schema(schema: dict[str, Any], note: Note) -> dict[str, Any]:
    """The schema as far as the vendor takes it: objects are closed, bounds become part of the description."""
    lost = schema.keys() & _UNSUPPORTED
    result = {key: _inner(key, value, note) for key, value in schema.items() if key not in _UNSUPPORTED}
    if schema.get("type") == "object" or "properties" in schema:
        if schema.get("additionalProperties") is not False:
            note("response_format.json_schema.additionalProperties", "clamped", "objects take no additional properties")
        result["additionalProperties"] = False
    if lost:
        note("response_format.json_schema.bounds", "emulated", f"moved into descriptions: {', '.join(sorted(lost))}")
        bounds = json.dumps({key: schema[key] for key in sorted(lost)}, ensure_ascii=False)
        result["description"] = f"{schema['description']} {bounds}" if schema.get("description") else bounds
    return result


def _inner(key: str, value: Any, note: Note) -> Any:
    if key in _MAPS and isinstance(value, Mapping):
        return {name: strict_schema(one, note) if isinstance(one, dict) else one for name, one in value.items()}
    if key in _LISTS and isinstance(value, list):
        return [strict_schema(one, note) if isinstance(one, dict) else one for one in value]
    return strict_schema(value, note) if key == "items" and isinstance(value, dict) else value
