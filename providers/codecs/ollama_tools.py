"""Tool calls: the server's have arguments that are objects, and often no ids.

Source: https://docs.ollama.com/capabilities/tool-calling
"""

from __future__ import annotations

import hashlib
from typing import Any

from pydantic_core import to_json

from ...pipeline.types import ChatRequest, Tool, ToolCall
from .notes import Note
from .plain_json import json_object

Json = dict[str, Any]


def call_fields(call: Json, number: int, created_at: str) -> Json:
    """A tool call as plain data. `number` is its place in the answer.

    Without an id it gets one that follows from when it was made, its place and its content: the same bytes give the
    same id, another turn gives another.
    """
    function = call["function"]
    arguments = function.get("arguments")
    text = arguments if isinstance(arguments, str) else to_json(arguments or {}).decode()
    name = function["name"]
    return {
        "id": call.get("id") or _id(created_at, str(number), name, text),
        "type": "function",
        "function": {"name": name, "arguments": text},
    }


def _id(*parts: str) -> str:
    return f"call_{hashlib.sha256(chr(0).join(parts).encode('utf-8', 'replace')).hexdigest()[:12]}"


def sent_call(call: ToolCall, number: int, note: Note) -> Json:
    """A tool call of an earlier answer, as the server takes it back."""
    if call.function is None:
        custom = call.extra.get("custom") or {}
        name, arguments = custom.get("name", ""), {"input": custom.get("input", "")}
    else:
        name, arguments = call.function.name, _object(call.function.arguments, note)
    return {"id": call.id, "function": {"index": number, "name": name, "arguments": arguments}}


def _object(arguments: str, note: Note) -> Json:
    if not arguments.strip():
        return {}
    parsed = json_object(arguments)
    if parsed is None:
        reason = "not a JSON object; sent as {'invalid_arguments': <the text>}"
        note("messages.tool_calls.arguments", "emulated", reason)
        return {"invalid_arguments": arguments}
    return parsed


def tools_of(request: ChatRequest, note: Note) -> list[Json]:
    """The tools that may be called. The server knows no choice: `none` sends no tools, a named one only that."""
    tools = [tool for one in request.tools or () if (tool := _tool(one, note)) is not None]
    names = _chosen(request.tool_choice, note) if request.tool_choice is not None else None
    if request.parallel_tool_calls is False and tools:
        note("parallel_tool_calls", "dropped", "the model decides how many tools it calls at once")
    return tools if names is None else [tool for tool in tools if tool["function"]["name"] in names]


def _chosen(choice: str | Json, note: Note) -> set[str] | None:
    """The names of the tools to be sent; None for all."""
    match choice:
        case "auto":
            return None
        case "none":
            note("tool_choice", "emulated", "the server knows no choice; no tools are sent")
            return set()
        case {"type": "function", "function": {"name": str(name)}}:
            note("tool_choice", "emulated", "the server knows no choice; only this tool is sent, and cannot be forced")
            return {name}
    note("tool_choice", "dropped", "the server knows no choice among tools")
    return None


def _tool(tool: Tool, note: Note) -> Json | None:
    if tool.function is None:
        note("tools", "dropped", f"the server has no tools of the type {tool.type[:40]!r}")
        return None
    for name, given in (("tools.cache_control", tool.cache_control), ("tools.strict", tool.function.strict)):
        if given:
            note(name, "dropped", "the server has no such mark")
    function = {name: value for name, value in tool.function.to_dict().items() if name != "strict"}
    return {"type": "function", "function": function}
