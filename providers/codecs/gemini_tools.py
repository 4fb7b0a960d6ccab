"""Tools and the choice among them, in both directions.

Source: https://ai.google.dev/gemini-api/docs/function-calling
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from ...pipeline.types import ChatRequest, FunctionDefinition, Tool
from .gemini_models import Traits
from .gemini_names import Json, camel
from .gemini_schema import json_schema_of, put_schema
from .notes import Note

_NATIVE: Final = frozenset(
    {"googleSearch", "googleSearchRetrieval", "googleMaps", "codeExecution", "urlContext", "fileSearch", "computerUse"}
    | {"enterpriseWebSearch", "retrieval", "mcpServers", "parallelAiSearch", "exaAiSearch"}
)
_ALIASES: Final = {
    "web_search": "googleSearch",
    "web_search_preview": "googleSearch",
    "code_interpreter": "codeExecution",
}
"""OpenAI's names for what Gemini has under its own."""

_DECLARED: Final = ("behavior", "response", "responseJsonSchema")
_MODES: Final = {"auto": "AUTO", "required": "ANY", "any": "ANY", "none": "NONE", "validated": "VALIDATED"}


def tools_of(request: ChatRequest, traits: Traits, note: Note) -> list[Json]:
    """The tools: all functions in one entry, the vendor's own kinds as they are, other vendors' dropped."""
    tools = request.tools or ()
    functions = [_declaration(tool, tool.function, traits, note) for tool in tools if tool.function is not None]
    native = [made for tool in tools if tool.function is None and (made := _native(tool, note)) is not None]
    if isinstance(request.extra.get("web_search_options"), dict) and {"googleSearch": {}} not in native:
        native.append({"googleSearch": {}})
        note("web_search_options", "emulated", "sent as the tool googleSearch")
    return [*native, *([{"functionDeclarations": functions}] if functions else [])]


def _native(tool: Tool, note: Note) -> Json | None:
    given = {camel(name): value for name, value in tool.extra.items()}
    if own := {name: value for name, value in given.items() if name in _NATIVE}:
        return own
    name = _ALIASES.get(tool.type, camel(tool.type))
    if name in _NATIVE:
        if tool.type in _ALIASES:
            note("tools", "renamed", f"{tool.type} is {name} here")
        return {name: {} if tool.type in _ALIASES else given}
    note("tools", "dropped", f"Gemini has no tools of the type {tool.type[:40]!r}")
    return None


def _declaration(tool: Tool, function: FunctionDefinition, traits: Traits, note: Note) -> Json:
    body: Json = {"name": function.name}
    if function.description is not None:
        body["description"] = function.description
    if function.parameters:
        put_schema(body, function.parameters, "parameters", "parametersJsonSchema", traits, note)
    if function.strict:
        note("tools.strict", "dropped", "Gemini has no strict tools; the mode VALIDATED is near to it")
    if tool.cache_control is not None:
        note("cache_control", "dropped", "Gemini caches by itself, or by cachedContent")
    return body | {name: function.extra[name] for name in _DECLARED if name in function.extra}


def function_calling_config(request: ChatRequest, tools: Iterable[Json], note: Note) -> Json | None:
    """The choice; None to leave it to the vendor (`AUTO`)."""
    if request.parallel_tool_calls is False:
        note("parallel_tool_calls", "dropped", "Gemini calls as many tools as it likes")
    if request.tool_choice is None:
        return None
    if not any("functionDeclarations" in tool for tool in tools):
        if request.tool_choice not in ("auto", "none"):
            note("tool_choice", "dropped", "there are no functions to choose from")
        return None
    config = _choice(request.tool_choice)
    if config is None:
        note("tool_choice", "dropped", "expected auto, required, none or named functions")
    return config


def _choice(choice: str | dict[str, Any]) -> Json | None:
    match choice:
        case str() if choice in _MODES:
            return {"mode": _MODES[choice]}
        case {"type": "function", "function": {"name": str(name)}} | {"type": "tool", "name": str(name)}:
            return {"mode": "ANY", "allowedFunctionNames": [name]}
        case {"type": "allowed_tools", "allowed_tools": {"mode": str(mode), "tools": [*tools]}} if mode in _MODES:
            names = [_name(tool) for tool in tools]
            # AUTO takes no list of names; VALIDATED is AUTO that does
            return {
                "mode": "VALIDATED" if mode == "auto" else _MODES[mode],
                "allowedFunctionNames": [one for one in names if one],
            }
    return None


def _name(tool: Any) -> str | None:
    function = tool.get("function") if isinstance(tool, dict) else None
    return function.get("name") if isinstance(function, dict) else None


def canonical_tools(tools: Iterable[Json]) -> list[Json]:
    """The tools of a request to the vendor."""
    made: list[Json] = []
    for tool in tools:
        made += [{"type": name, name: value} for name, value in tool.items() if name != "functionDeclarations"]
        made += [_function(one) for one in tool.get("functionDeclarations") or ()]
    return made


def _function(declaration: Json) -> Json:
    function = {
        name: value for name, value in declaration.items() if name not in ("parameters", "parametersJsonSchema")
    }
    schema = declaration.get("parametersJsonSchema") or json_schema_of(declaration.get("parameters"))
    return {"type": "function", "function": function | ({"parameters": schema} if schema else {})}


def canonical_choice(config: Json) -> str | Json | None:
    """`tool_choice` of a request to the vendor; None where OpenAI has no word for it."""
    names = config.get("allowedFunctionNames")
    mode = str(config.get("mode") or "AUTO").upper()
    if not isinstance(names, list) or not names:
        return {"AUTO": "auto", "ANY": "required", "NONE": "none", "VALIDATED": "validated"}.get(mode)
    if mode == "ANY" and len(names) == 1:
        return {"type": "function", "function": {"name": names[0]}}
    tools = [{"type": "function", "function": {"name": name}} for name in names]
    word = {"ANY": "required", "VALIDATED": "auto"}.get(mode)
    return {"type": "allowed_tools", "allowed_tools": {"mode": word, "tools": tools}} if word else None
