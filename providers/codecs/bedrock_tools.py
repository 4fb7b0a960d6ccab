"""Tools and the choice among them, in both directions.

Source: https://docs.aws.amazon.com/bedrock/latest/userguide/tool-use-inference-call.html
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from ...pipeline.types import ChatRequest, FunctionDefinition, Tool
from .bedrock_content import Block, cache_point, kind_of, with_marks
from .bedrock_models import Traits
from .notes import Note

_NATIVE: Final = frozenset({"systemTool", "toolSpec", "cachePoint"})


def put_tools(body: dict[str, Any], request: ChatRequest, traits: Traits, note: Note) -> None:
    """Put `toolConfig` into `body`, whose `messages` are there: a conversation with tool calls must have one."""
    talks_of_tools = sorted(_names(body["messages"]))
    tools = [block for tool in request.tools or () for block in _tool(tool, traits, note)]
    if request.tool_choice == "none" and tools and not talks_of_tools:
        note("tool_choice", "emulated", "Converse has no such choice; the tools were not sent")
        return
    if not tools and talks_of_tools:
        note(
            "tools",
            "emulated",
            "the vendor demands tools where the conversation has tool calls; declared by their names",
        )
        tools = [_named(name) for name in talks_of_tools]
    if not tools:
        if request.tool_choice is not None:
            note("tool_choice", "dropped", "there are no tools to choose from")
        return
    choice = _choice(request.tool_choice, traits, note)
    body["toolConfig"] = {"tools": tools} | ({"toolChoice": choice} if choice is not None else {})
    _put_parallel(body, request, choice, traits, note)


def _names(turns: Sequence[dict[str, Any]]) -> set[str]:
    blocks = [block for turn in turns for block in turn["content"]]
    called = {block["toolUse"]["name"] for block in blocks if "toolUse" in block}
    return called or ({"unknown_tool"} if any("toolResult" in block for block in blocks) else set())


def _named(name: str) -> Block:
    return {"toolSpec": {"name": name, "inputSchema": {"json": {"type": "object"}}}}


def _tool(tool: Tool, traits: Traits, note: Note) -> list[Block]:
    if tool.function is not None:
        return [{"toolSpec": _function(tool.function, traits, note)}, *cache_point(tool.cache_control)]
    if tool.type in _NATIVE and tool.type in tool.extra:
        return [{tool.type: tool.extra[tool.type]}, *cache_point(tool.cache_control)]
    note("tools", "dropped", f"Converse has no tools of the type {tool.type[:40]!r}")
    return []


def _function(function: FunctionDefinition, traits: Traits, note: Note) -> Block:
    spec: Block = {"name": function.name}
    if function.description:
        spec["description"] = function.description
    spec["inputSchema"] = {"json": {"type": "object", **(function.parameters or {"properties": {}})}}
    if function.strict and not traits.strict_tools:
        note("tools.strict", "dropped", "this model has no strict tools")
    elif function.strict is not None and traits.strict_tools:
        spec["strict"] = function.strict
    return spec


def _choice(choice: str | dict[str, Any] | None, traits: Traits, note: Note) -> Block | None:
    match choice:
        case None:
            return None
        case "auto":
            return {"auto": {}}
        case "required" | "any":
            return _forced({"any": {}}, traits, note)
        case {"type": "function", "function": {"name": str(name)}} | {"type": "tool", "name": str(name)}:
            return _forced({"tool": {"name": name}}, traits, note)
        case {"type": "custom", "custom": {"name": str(name)}}:
            return _forced({"tool": {"name": name}}, traits, note)
    reason = (
        "the conversation has tool calls, so tools must be sent"
        if choice == "none"
        else "expected auto, required or a named function"
    )
    note("tool_choice", "dropped", reason)
    return None


def _forced(choice: Block, traits: Traits, note: Note) -> Block | None:
    if kind_of(choice) in traits.choices:
        return choice
    if "any" in traits.choices:
        note("tool_choice", "clamped", "this model cannot be made to use a named tool; it must use one")
        return {"any": {}}
    note("tool_choice", "dropped", "this model decides for itself whether to use a tool")
    return None


def _put_parallel(body: dict[str, Any], request: ChatRequest, choice: Block | None, traits: Traits, note: Note) -> None:
    """Only Claude has it, in a choice of its own, which must not stand beside Converse's."""
    parallel = request.parallel_tool_calls
    if parallel is None or (parallel and not traits.is_claude):
        return
    if traits.is_claude and choice in (None, {"auto": {}}):
        body["toolConfig"].pop("toolChoice", None)
        said = {"type": "auto", "disable_parallel_tool_use": not parallel}
        body["additionalModelRequestFields"] = {**body.get("additionalModelRequestFields", {}), "tool_choice": said}
        note("parallel_tool_calls", "renamed", "sent as additionalModelRequestFields.tool_choice")
    elif not parallel:
        note("parallel_tool_calls", "dropped", "Converse has no such parameter for this model and choice")


def tools_of(blocks: Iterable[Block]) -> tuple[Tool, ...]:
    """The tools of a request to the vendor."""
    return tuple(_tool_of(block, mark) for block, mark in with_marks(list(blocks)))


def _tool_of(block: Block, mark: dict[str, Any]) -> Tool:
    match block:
        case {"toolSpec": {"name": str(name), "inputSchema": {"json": dict(schema)}} as spec}:
            ours = {key: spec[key] for key in ("description", "strict") if spec.get(key) is not None}
            function = FunctionDefinition.model_construct(name=name, parameters=schema, **ours)
            return Tool.model_construct(type="function", function=function, **mark)
    return Tool.model_construct(type=kind_of(block), **block, **mark)


def choice_of(choice: Block) -> dict[str, Any]:
    """`tool_choice` of a request to the vendor."""
    match choice:
        case {"tool": {"name": str(name)}}:
            return {"tool_choice": {"type": "function", "function": {"name": name}}}
        case {"any": _}:
            return {"tool_choice": "required"}
    return {"tool_choice": "auto"}
