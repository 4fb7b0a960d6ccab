"""What other protocols left in a conversation, taken out of a body in OpenAI's form, or put as this vendor takes it.

Every vendor's answers, tools and parameters may be in the request that a conversation goes on with; each note says what is lost.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from .in_words import in_words

if TYPE_CHECKING:
    from ..dialect import Dialect
    from .notes import Action

Json = dict[str, Any]
Say = Callable[[str, "Action", str], None]

_OPENAIS_MESSAGE: Final = frozenset(
    {"role", "content", "name", "tool_calls", "tool_call_id", "refusal", "audio", "function_call", "annotations"}
    | {"reasoning_details", "cache_control", "prefix"}
)
_OPENAIS_TOOL: Final = frozenset({"type", "function", "custom", "cache_control"})
_OF_ANSWERS: Final = (
    "provider_blocks",
    "is_error",
    "tool_name",
    "executed_tools",
    "token_id",
    "caller",
    "toolset_name",
)
"""Fields of messages, tool calls and tools that no server of OpenAI's protocol reads."""
_LEFT_UNSAID: Final = frozenset({"provider_blocks", "token_id", "caller", "toolset_name", "executed_tools"})
"""Lost without loss: what the message says, it says elsewhere too."""
_FOREIGN_PARTS: Final = frozenset(
    {"document", "image", "search_result", "tool_reference", "container_upload", "tool_addition", "tool_removal"}
    | {"gemini_part", "guardContent", "cachePoint", "searchResult", "citationsContent", "toolAddition"}
    | {"toolRemoval", "video", "audio", "thinking"}
)
_ATTACHED: Final = "(attached to the next message)"


def fit_guests(body: Json, messages: Sequence[Json], extra: Collection[str], dialect: Dialect, say: Say) -> None:
    """Everything in `body` that is another protocol's, out of it or in this one's form.

    `messages`: those of the body that are more than a text; `extra`: its fields beside OpenAI's.
    """
    for name in sorted(dialect.foreign.intersection(extra)) if extra else ():
        if body.pop(name, None) is not None:
            say(name, "dropped", f"{dialect.name} has no such parameter")
    if dialect.foreign and isinstance(thinking := body.get("thinking"), dict) and thinking.keys() - {"type"}:
        body["thinking"] = {"type": "disabled" if thinking.get("type") == "disabled" else "enabled"}
        say("thinking", "clamped", f"{dialect.name} can think or not, without a budget")
    if (nearest := dialect.efforts.get(body.get("reasoning_effort") or "")) is not None:
        body["reasoning_effort"] = nearest
        say("reasoning_effort", "clamped", f"sent as {nearest}, the nearest that {dialect.name} knows")
    if "tools" in body or "tool_choice" in body:
        _fit_tools(body, dialect, say)
    rich = False
    for message in messages:
        if len(message) > 2 or message["role"] == "developer":
            _fit_fields(message, dialect, say)
        if isinstance(message.get("content"), list):
            message["content"] = list(_fit_parts(message["content"], dialect, say))
            rich = rich or message["role"] == "tool"
    if rich and not dialect.rich_results:
        body["messages"] = list(_with_attachments(body["messages"], say))


def _fit_tools(body: Json, dialect: Dialect, say: Say) -> None:
    if body.get("tools"):
        body["tools"] = [_fit_tool(tool, dialect, say) for tool in body["tools"] if _takes(tool, dialect, say)]
        if not body["tools"]:
            body.pop("tools")
            body.pop("tool_choice", None)
            body.pop("parallel_tool_calls", None)
    choice = body.get("tool_choice")
    if choice == "any" and not dialect.any_tool:
        body["tool_choice"] = "required"
        say("tool_choice", "renamed", f"{dialect.name} calls it required")
    elif isinstance(choice, dict) and "function" in choice and not dialect.keeps_extras:
        choice.setdefault("type", "function")
    if isinstance(choice, dict) and choice.get("type") == "allowed_tools" and not dialect.allowed_tools:
        _emulate_allowed(body, choice.get("allowed_tools") or {}, dialect, say)


def _takes(tool: Json, dialect: Dialect, say: Say) -> bool:
    kind = tool["type"]
    if dialect.tools is None or kind.startswith(dialect.tools):
        return True
    say("tools", "dropped", f"{dialect.name} has no such built-in tool")
    return False


def _fit_tool(tool: Json, dialect: Dialect, say: Say) -> Json:
    if tool["type"] not in ("function", "custom"):
        return tool
    if dropped := tool.keys() - _OPENAIS_TOOL:
        say("tools.extras", "dropped", f"{dialect.name} knows no {', '.join(sorted(dropped))[:80]}")
    fitted = {name: value for name, value in tool.items() if name in _OPENAIS_TOOL}
    if None in (fitted.get("function") or {}).values():  # which says nothing, and is refused
        fitted["function"] = {name: value for name, value in fitted["function"].items() if value is not None}
    return fitted


def _emulate_allowed(body: Json, allowed: Json, dialect: Dialect, say: Say) -> None:
    names = {(tool.get("function") or {}).get("name") for tool in allowed.get("tools") or ()}
    body["tool_choice"] = allowed.get("mode") or "auto"
    body["tools"] = [tool for tool in body.get("tools") or () if (tool.get("function") or {}).get("name") in names]
    say("tool_choice", "emulated", f"{dialect.name} gets the allowed tools alone")


def _fit_fields(message: Json, dialect: Dialect, say: Say) -> None:
    for call in message.get("tool_calls") or ():
        for name in _OF_ANSWERS:
            call.pop(name, None)
        if not dialect.keeps_extras:
            call.pop("cache_control", None)
    for name in _OF_ANSWERS:
        if message.pop(name, None) and name not in _LEFT_UNSAID:
            say(f"messages.{name}", "dropped", f"{dialect.name} does not take it")
    if message["role"] == "tool" and not dialect.named_results:
        message.pop("name", None)  # its call's id says as much
    if message["role"] == "developer" and not dialect.developers:
        message["role"] = "system"
        say("messages.developer", "renamed", f"{dialect.name} calls it system")
    if not dialect.reasoning_details and message.pop("reasoning_details", None):
        say("messages.reasoning_details", "dropped", f"{dialect.name} takes no signed reasoning of others back")
    if message["role"] == "assistant" and not dialect.keeps_extras:
        for name in sorted(message.keys() - _OPENAIS_MESSAGE - {dialect.reasoning}):
            del message[name]
            say(f"messages.{name[:40]}", "dropped", f"{dialect.name} does not take it")


def _fit_parts(parts: list[Json], dialect: Dialect, say: Say) -> Iterator[Json]:
    for part in parts:
        kind = part["type"]
        if (text := in_words(part)) is not None:
            say(f"messages.content.{kind}", "emulated", "sent as text")
            yield {"type": "text", "text": text}
        elif (kind in _FOREIGN_PARTS) if dialect.parts is None else (kind not in dialect.parts):
            say(f"messages.content.{kind[:40]}", "dropped", f"{dialect.name} has no such content")
        elif kind == "file":
            yield from _fit_file(part, dialect, say)
        else:
            part.pop("citations", None)
            part.pop("mime_type", None)
            yield part


def _fit_file(part: Json, dialect: Dialect, say: Say) -> Iterator[Json]:
    """A file, unless it lies in another vendor's store: those have addresses instead of ids."""
    file = part["file"]
    file.pop("mime_type", None)
    data, place = file.get("file_data"), file.get("file_id") or ""
    if not data and "://" in place:
        say("messages.content.file", "dropped", f"{dialect.name} takes bytes, or files that it keeps itself")
    elif not dialect.documents:
        yield part
    elif data:
        say("messages.content.file", "renamed", "sent as a document_url")
        yield {"type": "document_url", "document_url": data}
    else:
        yield {"type": "file", "file_id": place}


def _with_attachments(messages: list[Json], say: Say) -> Iterator[Json]:
    """Results of tools hold text; their pictures and files follow in a message of the user's."""
    held: list[Json] = []
    for message in messages:
        if message["role"] != "tool":
            if held:
                yield {"role": "user", "content": held}
                held = []
        elif isinstance(message["content"], list):
            texts = [part for part in message["content"] if part["type"] == "text"]
            others = [part for part in message["content"] if part["type"] != "text"]
            if others:
                say("messages.tool.content", "emulated", "what is not text follows in a message of the user's")
                held += others
                texts = texts or [{"type": "text", "text": _ATTACHED}]
            message["content"] = texts or ""
        yield message
    if held:
        yield {"role": "user", "content": held}
