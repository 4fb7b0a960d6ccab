"""Reads an Anthropic Messages request, and refuses what Anthropic refuses.

Source: https://docs.claude.com/en/api/messages
"""

from __future__ import annotations

from .prompt import Prompt, Segment, Tool, ToolChoice, cache_mark, identity_of, segment_of
from .reading import Json, integer, mapping, objects, string, strings, text_in
from .refusal import Refusal
from .signatures import is_signed

_LEAST_BUDGET = 1024


def read_messages(body: Json, model: str, signing_key: str) -> Prompt:
    """The prompt of a Messages body. Raises `Refusal` in Anthropic's words."""
    _check(body)
    messages = objects(body["messages"])
    _check_messages(messages)
    _check_tool_results(messages)
    _check_signatures(messages, signing_key)
    choice = mapping(body.get("tool_choice"))
    thinking = mapping(body.get("thinking"))
    tools = _tools(body)
    forced = string(choice.get("name")) if choice.get("type") == "tool" else None
    if forced is not None and forced not in {tool.name for tool in tools}:
        raise Refusal(400, f"Tool '{forced}' not found in provided tools")
    return Prompt(
        model=model,
        identity=identity_of({**body, "model": model}),
        text=_last_user_text(messages),
        segments=_segments(body, messages),
        results=tuple(text_in(block.get("content")) for block in _blocks(messages[-1]) if _is_result(block)),
        tools=tools,
        tool_choice=_tool_choice(choice),
        forced=forced,
        parallel=choice.get("disable_parallel_tool_use") is not True,
        schema=_schema(body),
        effort=_effort(body, thinking),
        show_reasoning=thinking.get("display") != "omitted",
        max_tokens=integer(body.get("max_tokens")),
        stop=strings(body.get("stop_sequences")),
        stream=body.get("stream") is True,
    )


def _check(body: Json) -> None:
    for name in ("model", "messages", "max_tokens"):
        if name not in body:
            raise Refusal(400, f"{name}: Field required")
    if not isinstance(body["messages"], list) or not all(isinstance(item, dict) for item in body["messages"]):
        raise Refusal(400, "messages: Input should be a valid list")
    if not body["messages"]:
        raise Refusal(400, "messages: at least one message is required")
    limit = integer(body["max_tokens"])
    if limit is None:
        raise Refusal(400, "max_tokens: Input should be a valid integer")
    if limit < 1:
        raise Refusal(400, "max_tokens: Input should be greater than or equal to 1")
    _check_thinking(mapping(body.get("thinking")), limit)


def _check_thinking(thinking: Json, limit: int) -> None:
    if thinking.get("type") != "enabled":
        return
    budget = integer(thinking.get("budget_tokens"))
    if budget is None:
        raise Refusal(400, "thinking.enabled.budget_tokens: Field required")
    if budget < _LEAST_BUDGET:
        raise Refusal(400, f"thinking.enabled.budget_tokens: Input should be greater than or equal to {_LEAST_BUDGET}")
    if limit <= budget:
        raise Refusal(400, "`max_tokens` must be greater than `thinking.budget_tokens`.")


def _check_messages(messages: list[Json]) -> None:
    for index, message in enumerate(messages):
        if message.get("role") == "system":
            problem = 'messages: Unexpected role "system". The Messages API accepts a top-level `system` parameter, not "system" as an input message role.'
            raise Refusal(400, problem)
        if message.get("role") not in ("user", "assistant"):
            raise Refusal(400, f"messages.{index}.role: Input should be 'user' or 'assistant'")
        optional = index == len(messages) - 1 and message.get("role") == "assistant"
        if not message.get("content") and not optional:
            problem = "all messages must have non-empty content except for the optional final assistant message"
            raise Refusal(400, f"messages.{index}: {problem}")


def _check_tool_results(messages: list[Json]) -> None:
    expected: list[str] = []
    for index, message in enumerate(messages):
        found = [string(block.get("tool_use_id")) for block in _blocks(message) if _is_result(block)]
        if strangers := [identifier for identifier in found if identifier not in expected]:
            problem = (
                f"unexpected `tool_use_id` found in `tool_result` blocks: {', '.join(strangers)}. Each `tool_result` "
                "block must have a corresponding `tool_use` block in the previous message."
            )
            raise Refusal(400, f"messages.{index}.content.0: {problem}")
        _check_answered(expected, found, index - 1)
        expected = [string(block.get("id")) for block in _blocks(message) if block.get("type") == "tool_use"]
    _check_answered(expected, [], len(messages) - 1)


def _check_answered(expected: list[str], found: list[str], index: int) -> None:
    if missing := [identifier for identifier in expected if identifier not in found]:
        problem = (
            f"`tool_use` ids were found without `tool_result` blocks immediately after: {', '.join(missing)}. Each "
            "`tool_use` block must have a corresponding `tool_result` block in the next message."
        )
        raise Refusal(400, f"messages.{index}: {problem}")


def _check_signatures(messages: list[Json], signing_key: str) -> None:
    for index, message in enumerate(messages):
        for position, block in enumerate(_blocks(message)):
            if block.get("type") == "thinking" and not is_signed(
                string(block.get("thinking")), string(block.get("signature")), signing_key
            ):
                raise Refusal(400, f"messages.{index}.content.{position}: Invalid `signature` in `thinking` block")


def _blocks(message: Json) -> list[Json]:
    return objects(message.get("content"))


def _is_result(block: Json) -> bool:
    return block.get("type") == "tool_result"


def _last_user_text(messages: list[Json]) -> str:
    texts = (text_in(message.get("content")) for message in reversed(messages) if message.get("role") == "user")
    return next(filter(None, texts), "")


def _tools(body: Json) -> tuple[Tool, ...]:
    own = [tool for tool in objects(body.get("tools")) if "input_schema" in tool]
    return tuple(Tool(string(tool.get("name")), mapping(tool.get("input_schema"))) for tool in own)


def _tool_choice(choice: Json) -> ToolChoice:
    kind = choice.get("type")
    return "none" if kind == "none" else "required" if kind in ("any", "tool") else "auto"


def _schema(body: Json) -> Json | None:
    wanted = mapping(mapping(body.get("output_config")).get("format") or body.get("output_format"))
    return mapping(wanted.get("schema")) if wanted.get("type") == "json_schema" else None


def _effort(body: Json, thinking: Json) -> int:
    if thinking.get("type") not in ("enabled", "adaptive"):
        return 0
    efforts = {"low": 1, "medium": 2, "high": 4, "xhigh": 6, "max": 8}
    return efforts.get(string(mapping(body.get("output_config")).get("effort")), 2)


def _segments(body: Json, messages: list[Json]) -> tuple[Segment, ...]:
    found = [segment_of("tools", tool) for tool in objects(body.get("tools"))]
    found += [segment_of("system", block) for block in _content(body.get("system"))]
    for message in messages:
        found += [segment_of(string(message.get("role")), block) for block in _content(message.get("content"))]
    mark = cache_mark(body)
    if mark and found:
        # A mark on the request itself stands for a mark on the last block.
        found[-1] = Segment(found[-1].text, found[-1].tokens, mark)
    return tuple(found)


def _content(value: object) -> list[Json]:
    return objects(value) or ([{"type": "text", "text": value}] if isinstance(value, str) and value else [])
