"""Plain functions as tools: what a model must know of them is made from their signature and docstring."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, NotRequired, get_args, get_origin, get_type_hints

from pydantic import ConfigDict, PydanticSchemaGenerationError, TypeAdapter
from pydantic.errors import PydanticInvalidForJsonSchema
from pydantic_core import to_json
from typing_extensions import TypedDict

from .errors import ConfigError
from .types import FunctionDefinition, Tool

Function = Callable[..., Any]
Functions = Iterable[Function] | Mapping[str, Function]
"""Functions under their own names, or under others."""

_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


@dataclass(frozen=True, slots=True)
class FunctionTool:
    """A function that a model may call. Made by `function_tool`."""

    name: str
    description: str | None
    schema: Mapping[str, Any]
    """JSON schema of the arguments."""
    function: Function
    arguments: TypeAdapter[dict[str, Any]]

    def read(self, arguments: str) -> dict[str, Any]:
        """The arguments, validated. Raises `pydantic.ValidationError` for what the function does not take."""
        return self.arguments.validate_json(arguments or "{}")

    async def run(self, arguments: Mapping[str, Any]) -> str:
        """The function's result as text for a model: text as it is, everything else as JSON.

        An async function runs on the event loop, a plain one in a thread, so that it may wait without holding up others.
        """
        if _is_async(self.function):
            result = await self.function(**arguments)
        else:
            result = await asyncio.to_thread(self.function, **arguments)
            result = await result if isinstance(result, Awaitable) else result
        return result if isinstance(result, str) else to_json(result, fallback=str).decode()

    def tool(self) -> Tool:
        """What the model is told."""
        known = FunctionDefinition(name=self.name, description=self.description, parameters=dict(self.schema))
        return Tool(type="function", function=known)


def function_tools(functions: Functions) -> dict[str, FunctionTool]:
    """The functions by name. Raises `ConfigError` for none, for two of one name, and for what cannot be described."""
    pairs = [*functions.items()] if isinstance(functions, Mapping) else [(None, function) for function in functions]
    tools = [function_tool(function, name) for name, function in pairs]
    by_name = {tool.name: tool for tool in sorted(tools, key=lambda tool: tool.name)}
    if not by_name:
        raise ConfigError("tools: expected at least one function, found none.")
    if len(by_name) < len(tools):
        raise ConfigError(
            "tools: expected functions of different names, found two of one. Give a mapping: {name: function}."
        )
    return by_name


def function_tool(function: Function, name: str | None = None) -> FunctionTool:
    """A function as a tool: parameters from its type hints (`Annotated[..., Field(description=...)]` too), the description from its docstring."""
    if not callable(function):
        raise ConfigError(f"tools: expected functions, found {type(function).__name__}.")
    known = name or str(getattr(function, "__name__", type(function).__name__))
    try:
        arguments: TypeAdapter[dict[str, Any]] = TypeAdapter(_arguments(known, function))
        schema = _untitled(arguments.json_schema())
    except (PydanticSchemaGenerationError, PydanticInvalidForJsonSchema, NameError) as error:
        raise ConfigError(
            f"tools.{known}: expected type hints that JSON can be read into, found others ({type(error).__name__})."
        ) from error
    return FunctionTool(known, inspect.getdoc(function), schema, function, arguments)


def _is_async(function: Function) -> bool:
    called = function if inspect.isroutine(function) else type(function).__call__
    return inspect.iscoroutinefunction(called)


def _arguments(name: str, function: Function) -> Any:
    hints = get_type_hints(function if inspect.isroutine(function) else type(function).__call__, include_extras=True)
    fields: dict[str, Any] = {}
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind not in _NAMED:
            raise ConfigError(
                f"tools.{name}: expected parameters with names, found {parameter}. Wrap the function in one that has."
            )
        hint = hints.get(parameter.name, Any)
        fields[parameter.name] = hint if parameter.default is inspect.Parameter.empty else _optional(hint)
    make: Any = TypedDict  # mypy knows it as a statement only
    made = make(name, fields)
    made.__pydantic_config__ = ConfigDict(extra="forbid")
    return made


def _optional(hint: Any) -> Any:
    if get_origin(hint) is Annotated:
        kind, *notes = get_args(hint)
        return NotRequired[Annotated[kind, *notes]]
    return NotRequired[hint]


def _untitled(schema: Any, *, names: bool = False) -> Any:
    """Titles repeat the names and cost tokens. `names`: whether the keys are a caller's names, one of which may be `title`."""
    if isinstance(schema, list):
        return [_untitled(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: _untitled(item, names=key in ("properties", "$defs") and not names)
        for key, item in schema.items()
        if names or key != "title"
    }
