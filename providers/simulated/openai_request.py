"""Reads an OpenAI chat completions request, and refuses what OpenAI refuses.

Source: https://platform.openai.com/docs/api-reference/chat/create
"""

from __future__ import annotations

from .prompt import Prompt, Segment, Tool, ToolChoice, identity_of, segment_of
from .reading import Json, integer, mapping, objects, string, strings, text_in
from .refusal import Refusal

_EFFORTS = {"minimal": 1, "low": 1, "medium": 2, "high": 4, "xhigh": 6}
_MOST_CHOICES = 128


def read_chat(body: Json, model: str) -> Prompt:
    """The prompt of a chat completions body. Raises `Refusal` in OpenAI's words."""
    _check(body)
    messages = objects(body["messages"])
    _check_tool_messages(messages)
    choice, forced = _tool_choice(body.get("tool_choice"))
    tools = _tools(body)
    if forced is not None and forced not in {tool.name for tool in tools}:
        raise Refusal(400, f"Tool choice '{forced}' not found in 'tools' parameter.", "tool_choice")
    return Prompt(
        model=model,
        identity=identity_of({**body, "model": model}),
        text=next((text_in(message.get("content")) for message in reversed(messages) if _is_user(message)), ""),
        segments=_segments(body, messages),
        results=_results(messages),
        tools=tools,
        tool_choice=choice,
        forced=forced,
        parallel=body.get("parallel_tool_calls") is not False,
        schema=_schema(mapping(body.get("response_format"))),
        effort=_EFFORTS.get(string(body.get("reasoning_effort")), 0),
        max_tokens=integer(body.get("max_completion_tokens")) or integer(body.get("max_tokens")),
        stop=strings(body.get("stop")),
        choices=integer(body.get("n")) or 1,
        stream=body.get("stream") is True,
        include_usage=mapping(body.get("stream_options")).get("include_usage") is True,
    )


def _check(body: Json) -> None:
    if not string(body.get("model")):
        raise Refusal(400, "you must provide a model parameter")
    if "messages" not in body:
        raise Refusal(400, "Missing required parameter: 'messages'.", "messages", "missing_required_parameter")
    if not isinstance(body["messages"], list) or not all(isinstance(item, dict) for item in body["messages"]):
        raise Refusal(400, "Invalid type for 'messages': expected an array of objects.", "messages", "invalid_type")
    if not body["messages"]:
        problem = (
            "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array instead."
        )
        raise Refusal(400, problem, "messages", "empty_array")
    if body.get("stream_options") is not None and body.get("stream") is not True:
        problem = "The 'stream_options' parameter is only allowed when 'stream' is enabled."
        raise Refusal(400, problem, "stream_options")
    for name, most in (("max_tokens", None), ("max_completion_tokens", None), ("n", _MOST_CHOICES)):
        _check_count(body, name, most)


def _check_count(body: Json, name: str, most: int | None) -> None:
    value = body.get(name)
    if value is None:
        return
    if (count := integer(value)) is None:
        problem = f"Invalid type for '{name}': expected an integer, but got {type(value).__name__} instead."
        raise Refusal(400, problem, name, "invalid_type")
    if count < 1:
        problem = f"Invalid '{name}': integer below minimum value. Expected a value >= 1, but got {count} instead."
        raise Refusal(400, problem, name, "integer_below_min_value")
    if most is not None and count > most:
        problem = f"Invalid '{name}': integer above maximum value. Expected a value <= {most}, but got {count} instead."
        raise Refusal(400, problem, name, "integer_above_max_value")


def _check_tool_messages(messages: list[Json]) -> None:
    open_calls: list[str] = []
    for index, message in enumerate(messages):
        if message.get("role") == "tool":
            if string(message.get("tool_call_id")) not in open_calls:
                # The misspelling is OpenAI's own.
                problem = "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with 'tool_calls'."
                raise Refusal(400, problem, f"messages.[{index}].role")
            open_calls.remove(string(message.get("tool_call_id")))
            continue
        _check_answered(open_calls, index)
        open_calls = [string(call.get("id")) for call in objects(message.get("tool_calls"))]
    _check_answered(open_calls, len(messages))


def _check_answered(open_calls: list[str], index: int) -> None:
    if open_calls:
        problem = (
            "An assistant message with 'tool_calls' must be followed by tool messages responding to each "
            f"'tool_call_id'. The following tool_call_ids did not have response messages: {', '.join(open_calls)}"
        )
        raise Refusal(400, problem, f"messages.[{index}].role")


def _is_user(message: Json) -> bool:
    return message.get("role") == "user"


def _results(messages: list[Json]) -> tuple[str, ...]:
    found: list[str] = []
    for message in reversed(messages):
        if message.get("role") != "tool":
            break
        found.append(text_in(message.get("content")))
    return tuple(reversed(found))


def _tools(body: Json) -> tuple[Tool, ...]:
    functions = [mapping(tool.get("function")) for tool in objects(body.get("tools")) if tool.get("type") == "function"]
    return tuple(Tool(string(function.get("name")), mapping(function.get("parameters"))) for function in functions)


def _tool_choice(value: object) -> tuple[ToolChoice, str | None]:
    if isinstance(value, dict):
        return "required", string(mapping(value.get("function")).get("name"))
    return ("none", None) if value == "none" else ("required", None) if value == "required" else ("auto", None)


def _schema(response_format: Json) -> Json | None:
    if response_format.get("type") == "json_object":
        return {}
    if response_format.get("type") == "json_schema":
        return mapping(mapping(response_format.get("json_schema")).get("schema"))
    return None


def _segments(body: Json, messages: list[Json]) -> tuple[Segment, ...]:
    found = [segment_of("tools", tool) for tool in objects(body.get("tools"))]
    for message in messages:
        content = message.get("content")
        blocks: list[Json | str] = [*objects(content)] or ([content] if isinstance(content, str) else [])
        found += [segment_of(string(message.get("role")), block) for block in blocks]
        found += [segment_of("tool_calls", call) for call in objects(message.get("tool_calls"))]
    return tuple(found)
