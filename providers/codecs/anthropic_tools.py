"""Tools and the choice among them, in both directions.

Source: https://platform.claude.com/docs/en/agents-and-tools/tool-use/overview
"""

from __future__ import annotations

import re
from typing import Any, Final

from ...pipeline.types import ChatRequest, FunctionDefinition, Tool
from .anthropic_models import Traits
from .notes import Note

_NATIVE_TYPE: Final = re.compile(r"_\d{8}$|^mcp_toolset$")
_EXTRAS: Final = ("allowed_callers", "defer_loading", "eager_input_streaming", "input_examples")
_CHOICES: Final = {"auto": "auto", "required": "any", "any": "any", "none": "none"}


def tools_of(request: ChatRequest, traits: Traits, note: Note) -> list[dict[str, Any]]:
    """The tools, in the vendor's shape. Its own kinds (web search ...) pass as they are, other vendors' are dropped."""
    return [tool for one in request.tools or () if (tool := _tool(one, traits, note)) is not None]


def _tool(tool: Tool, traits: Traits, note: Note) -> dict[str, Any] | None:
    if tool.function is not None:
        return _function(tool, tool.function, traits, note)
    if _NATIVE_TYPE.search(tool.type) or "input_schema" in tool.extra:
        return tool.to_dict()
    note("tools", "dropped", f"the Messages API has no tools of the type {tool.type[:40]!r}")
    return None


def _function(tool: Tool, function: FunctionDefinition, traits: Traits, note: Note) -> dict[str, Any]:
    body: dict[str, Any] = {"name": function.name}
    if function.description is not None:
        body["description"] = function.description
    body["input_schema"] = {"type": "object", **(function.parameters or {"properties": {}})}
    if function.strict is not None and _takes_strict(function.strict, traits, note):
        body["strict"] = function.strict
    if tool.cache_control is not None:
        body["cache_control"] = tool.cache_control
    return body | {name: tool.extra[name] for name in _EXTRAS if name in tool.extra}


def _takes_strict(strict: bool, traits: Traits, note: Note) -> bool:
    if traits.formats:
        return True
    if strict:
        note("tools.strict", "dropped", "this model has no strict tools")
    return False


def tool_choice_of(request: ChatRequest, tools: list[dict[str, Any]], note: Note) -> dict[str, Any] | None:
    """The choice, with `parallel_tool_calls` in it; None to leave it to the vendor (`auto`)."""
    parallel = request.parallel_tool_calls
    if not tools:
        if request.tool_choice is not None:
            note("tool_choice", "dropped", "there are no tools to choose from")
        return None
    choice = _choice(request.tool_choice, note)
    if choice is None and parallel is False:
        choice = {"type": "auto"}
    if choice is not None and parallel is not None and choice["type"] != "none":
        choice["disable_parallel_tool_use"] = not parallel
    return choice


def _choice(choice: str | dict[str, Any] | None, note: Note) -> dict[str, Any] | None:
    match choice:
        case None:
            return None
        case str() if choice in _CHOICES:
            return {"type": _CHOICES[choice]}
        case {"type": "function", "function": {"name": str(name)}} | {"type": "custom", "custom": {"name": str(name)}}:
            return {"type": "tool", "name": name}
        case {"type": "tool", "name": str(name)}:
            return {"type": "tool", "name": name}
        case {"type": "allowed_tools", "allowed_tools": {"mode": str(mode)}} if mode in _CHOICES:
            note("tool_choice.allowed_tools", "dropped", "the Messages API chooses among all tools, one, or none")
            return {"type": _CHOICES[mode]}
    note("tool_choice", "dropped", "expected auto, required, none or a named function")
    return None


def tool_of(body: dict[str, Any]) -> Tool:
    """A tool of a request to the vendor."""
    if body.get("type", "custom") != "custom" or "name" not in body:
        return Tool.model_construct(**body)
    ours = {"description": "description", "parameters": "input_schema", "strict": "strict"}
    function = FunctionDefinition.model_construct(
        name=body["name"], **{to: body[key] for to, key in ours.items() if body.get(key) is not None}
    )
    rest = {key: value for key, value in body.items() if key not in {"name", "type", *ours.values()}}
    return Tool.model_construct(type="function", function=function, **rest)


def choice_of(body: dict[str, Any]) -> dict[str, Any]:
    """`tool_choice` and `parallel_tool_calls` of a request to the vendor."""
    names: dict[str, str | dict[str, Any]] = {"auto": "auto", "any": "required", "none": "none"}
    named = {"type": "function", "function": {"name": body.get("name", "")}}
    fields: dict[str, Any] = {"tool_choice": names.get(body.get("type", ""), named)}
    if "disable_parallel_tool_use" in body:
        fields["parallel_tool_calls"] = not body["disable_parallel_tool_use"]
    return fields
