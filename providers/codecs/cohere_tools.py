"""Tools and the choice among them, in both directions.

Source: https://docs.cohere.com/docs/tool-use-parameters
"""

from __future__ import annotations

from typing import Any, Final

from ...pipeline.types import ChatRequest, Tool
from .notes import Note

Json = dict[str, Any]

_CHOICES: Final = {"auto": None, "required": "REQUIRED", "any": "REQUIRED", "none": "NONE"}
_INBOUND: Final = {"REQUIRED": "required", "NONE": "none"}


def put_tools(body: Json, request: ChatRequest, note: Note) -> None:
    """Put tools, `strict_tools` and `tool_choice` into `body`. A named function is emulated: it alone is sent, and required."""
    tools = [tool for one in request.tools or () if (tool := _tool(one, note)) is not None]
    names, choice = _choice(request.tool_choice, note)
    if names is not None:
        tools = [tool for tool in tools if tool["function"]["name"] in names]
        note("tool_choice", "emulated", "only the tools to choose from are sent")
    if request.parallel_tool_calls is False and tools:
        note("parallel_tool_calls", "dropped", "the model decides how many tools it calls at once")
    if not tools:
        if request.tool_choice is not None:
            note("tool_choice", "dropped", "there are no tools to choose from")
        return
    body["tools"] = tools
    if choice is not None:
        body["tool_choice"] = choice
    _put_strict(body, request, note)


def _tool(tool: Tool, note: Note) -> Json | None:
    if tool.function is None:
        note("tools", "dropped", f"the vendor has no tools of the type {tool.type[:40]!r}")
        return None
    if tool.cache_control is not None:
        note("tools.cache_control", "dropped", "the vendor caches by itself")
    function: Json = {"name": tool.function.name}
    if tool.function.description is not None:
        function["description"] = tool.function.description
    function["parameters"] = tool.function.parameters or {"type": "object", "properties": {}}
    return {"type": "function", "function": function}


def _choice(choice: str | Json | None, note: Note) -> tuple[set[str] | None, str | None]:
    """The names to choose from (None: all), and the vendor's word."""
    match choice:
        case None:
            return None, None
        case str() if choice in _CHOICES:
            return None, _CHOICES[choice]
        case {"type": "function", "function": {"name": str(name)}} | {"type": "custom", "custom": {"name": str(name)}}:
            return {name}, "REQUIRED"
        case {"type": "allowed_tools", "allowed_tools": {"mode": str(mode), "tools": list(allowed)}} if (
            mode in _CHOICES
        ):
            return {(one.get("function") or {}).get("name", "") for one in allowed}, _CHOICES[mode]
    note("tool_choice", "dropped", "expected auto, required, none or a named function")
    return None, None


def _put_strict(body: Json, request: ChatRequest, note: Note) -> None:
    """The vendor is strict with all tools or with none. A caller's own `strict_tools` goes before."""
    wanted = [tool.function.strict is True for tool in request.tools or () if tool.function]
    if "strict_tools" in body or not any(wanted):
        return
    body["strict_tools"] = True
    note("tools.strict", "renamed" if all(wanted) else "clamped", "sent as strict_tools, which holds for all tools")


def choice_of(choice: Any) -> Any:
    """`tool_choice` of a request to the vendor, in OpenAI's words."""
    return _INBOUND.get(choice, choice) if isinstance(choice, str) else choice
