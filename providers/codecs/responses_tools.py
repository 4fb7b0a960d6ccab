"""Tools, and which of them to call: Responses has the functions' fields on the tool itself.

Source: https://platform.openai.com/docs/guides/migrate-to-responses#5-update-function-definitions
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ..foreign import is_foreign_tool

if TYPE_CHECKING:
    from ...pipeline.types import ChatRequest, Tool
    from ..dialect import Dialect
    from .notes import Note
    from .responses_content import Item

_NO_PARAMETERS: Final = {"type": "object", "properties": {}}
_FLAT: Final = ("function", "custom")
_FUNCTION: Final = frozenset({"name", "description", "parameters", "strict"})


def tools_of(request: ChatRequest, dialect: Dialect, note: Note) -> list[Item]:
    """The tools; built-in ones as they came. Chat's `web_search_options` become the built-in tool."""
    tools = [_tool(tool, dialect, note) for tool in request.tools or () if _takes(tool, note)]
    options = request.extra.get("web_search_options")
    if isinstance(options, dict):
        note("web_search_options", "renamed", "sent as the tool web_search")
        tools.append({"type": "web_search", **_search(options)})
    return tools


def _takes(tool: Tool, note: Note) -> bool:
    if foreign := is_foreign_tool(tool.type):
        note("tools", "dropped", "the Responses API has no such built-in tool")
    return not foreign


def _search(options: dict[str, Any]) -> Item:
    place = options.get("user_location")
    if isinstance(place, dict) and isinstance(place.get("approximate"), dict):
        return {**options, "user_location": {"type": "approximate", **place["approximate"]}}
    return options


def _tool(tool: Tool, dialect: Dialect, note: Note) -> Item:
    fields = tool.to_dict()
    if fields.pop("cache_control", None) is not None and not dialect.keeps_extras:
        note("cache_control", "dropped", "the Responses API does not take it")
    if tool.function is not None:
        own = fields.pop("function")
        # a tool that does not say is not strict in a chat, and strict here
        return {**fields, "parameters": _NO_PARAMETERS, "strict": False, **own}
    custom = fields.pop("custom", None)
    return {**fields, **_custom(custom)} if isinstance(custom, dict) else fields


def _custom(custom: dict[str, Any]) -> Item:
    form = custom.get("format")
    if isinstance(form, dict) and isinstance(form.get("grammar"), dict):
        return {**custom, "format": {"type": form.get("type", "grammar"), **form["grammar"]}}
    return custom


def choice_of(choice: str | dict[str, Any]) -> str | Item:
    """`tool_choice` with the tool's name beside its type."""
    if isinstance(choice, str):
        return "required" if choice == "any" else choice
    kind = choice.get("type") or ("function" if "function" in choice else None)
    if kind in _FLAT and isinstance(choice.get(kind), dict):
        return {"type": kind, "name": choice[kind].get("name")}
    if kind == "allowed_tools" and isinstance(allowed := choice.get("allowed_tools"), dict):
        return {"type": kind, **allowed, "tools": [choice_of(tool) for tool in allowed.get("tools") or ()]}
    return choice


def canonical_tool(tool: Item) -> Item:
    """A tool in chat's shape. `strict: null` keeps what only Responses means by leaving it out."""
    if tool.get("type") == "custom":
        form = tool.get("format")
        fields = {name: value for name, value in tool.items() if name not in ("type", "format")}
        if isinstance(form, dict) and form.get("type") == "grammar":
            form = {"type": "grammar", "grammar": {name: form[name] for name in form if name != "type"}}
        return {"type": "custom", "custom": fields if form is None else {**fields, "format": form}}
    if tool.get("type") != "function" or "name" not in tool:
        return tool
    function = {"strict": None} | {name: value for name, value in tool.items() if name in _FUNCTION}
    rest = {name: value for name, value in tool.items() if name not in _FUNCTION}
    return {**rest, "type": "function", "function": function}


def canonical_choice(choice: Any) -> Any:
    """`tool_choice` in chat's shape."""
    if not isinstance(choice, dict):
        return choice
    kind = choice.get("type")
    if kind in _FLAT and "name" in choice:
        return {"type": kind, kind: {"name": choice["name"]}}
    if kind == "allowed_tools" and isinstance(choice.get("tools"), list):
        tools = [canonical_choice(tool) for tool in choice["tools"]]
        return {"type": kind, kind: {"mode": choice.get("mode", "auto"), "tools": tools}}
    return choice
