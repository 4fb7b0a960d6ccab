"""What the simulated model says: a pure function of the prompt and the dice."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, TypeAlias

from .phrases import reply_to, thoughts
from .prompt import Prompt, Tool, count_tokens, first_tokens
from .reading import Json, canonical, compact, mapping
from .schema import instance_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .dice import Dice

Ending: TypeAlias = Literal["stop", "stop_sequence", "length", "tool_calls"]

_COMMON_WORDS = frozenset({"call", "current", "fetch", "find", "from", "list", "make", "tool", "with"})
_PLACE = re.compile(r"\b(?:in|for|at)\s+([A-Z][\w-]+(?:\s[A-Z][\w-]+)*)")
_QUOTED_RESULT_CHARACTERS = 400
_FRAGMENT_CHARACTERS = 7


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call of a tool; `arguments` satisfy the tool's schema, `id_part` is unique within the answer."""

    name: str
    arguments: Json
    id_part: str

    @property
    def tokens(self) -> int:
        """What the call costs in output tokens."""
        return count_tokens(self.name) + count_tokens(compact(self.arguments))


@dataclass(frozen=True, slots=True)
class Answer:
    """One finished answer; `stop_sequence` is the caller's sequence that ended it, if one did."""

    text: str
    reasoning: str = ""
    calls: tuple[ToolCall, ...] = ()
    ending: Ending = "stop"
    stop_sequence: str | None = None

    @property
    def reasoning_tokens(self) -> int:
        """Output tokens spent on reasoning; part of `tokens`."""
        return count_tokens(self.reasoning)

    @property
    def tokens(self) -> int:
        """All output tokens."""
        return self.reasoning_tokens + count_tokens(self.text) + sum(call.tokens for call in self.calls)


def answer(prompt: Prompt, dice: Dice) -> Answer:
    """The model's answer to `prompt`, cut to its stop sequences and then to its token limit.

    A tool is called when the caller forces one, or (`auto`) when the last user message mentions the tool's name
    or a telling word of it; two tools mentioned are two parallel calls. After tool results the answer quotes them.
    """
    calls = _calls(prompt, dice)
    reasoning = thoughts(prompt.effort, dice.child("reasoning"))
    if calls:
        return _limited(Answer("", reasoning, calls, "tool_calls"), prompt.max_tokens)
    return _limited(_stopped(Answer(_text(prompt, dice), reasoning), prompt.stop), prompt.max_tokens)


def pieces_of(text: str) -> list[str]:
    """`text` as the chunks of a stream: words with the white space before them; joined they are `text`."""
    return re.findall(r"\s*\S+|\s+$", text)


def fragments_of(text: str) -> list[str]:
    """`text` in fragments of a few characters, as vendors stream JSON arguments."""
    return [text[start : start + _FRAGMENT_CHARACTERS] for start in range(0, len(text), _FRAGMENT_CHARACTERS)]


def _text(prompt: Prompt, dice: Dice) -> str:
    spoken = _report(prompt.results) if prompt.results else reply_to(prompt.text, dice.child("text"))
    if prompt.schema is None:
        return spoken
    if not prompt.schema:
        return compact({"answer": spoken})
    return compact(instance_of(prompt.schema, dice.child("schema"), _hints(prompt.text)))


def _report(results: tuple[str, ...]) -> str:
    quoted = " and ".join(result[:_QUOTED_RESULT_CHARACTERS] for result in results)
    return f"The tool returned: {quoted}"


def _calls(prompt: Prompt, dice: Dice) -> tuple[ToolCall, ...]:
    chosen = _chosen(prompt)
    hints = _hints(prompt.text)
    return tuple(
        _call(tool, dice.child("tool", index), hints)
        for index, tool in enumerate(chosen if prompt.parallel else chosen[:1])
    )


def _chosen(prompt: Prompt) -> list[Tool]:
    if prompt.forced is not None:
        return [tool for tool in prompt.tools if tool.name == prompt.forced]
    if prompt.tool_choice == "none":
        return []
    mentioned = [] if prompt.results else [tool for tool in prompt.tools if _mentions(prompt.text, tool.name)]
    return mentioned or (list(prompt.tools[:1]) if prompt.tool_choice == "required" else [])


def _mentions(text: str, name: str) -> bool:
    lowered = text.lower()
    if name.lower() in lowered:
        return True
    words = re.findall(r"[A-Za-z][a-z]{3,}", re.sub(r"[_\-.]", " ", name))
    telling = [word.lower() for word in words if word.lower() not in _COMMON_WORDS]
    return any(re.search(rf"\b{word}", lowered) for word in telling)


def _call(tool: Tool, dice: Dice, hints: Mapping[str, str]) -> ToolCall:
    arguments = mapping(instance_of(tool.schema, dice, hints))
    return ToolCall(tool.name, arguments, dice.child("id", canonical(arguments)).token(24))


def _hints(text: str) -> dict[str, str]:
    place = _PLACE.search(text)
    return dict.fromkeys(("city", "location", "place"), place[1] if place else "Paris")


def _stopped(said: Answer, sequences: tuple[str, ...]) -> Answer:
    found = [(said.text.index(sequence), sequence) for sequence in sequences if sequence in said.text]
    if not found:
        return said
    position, sequence = min(found)
    return replace(said, text=said.text[:position], ending="stop_sequence", stop_sequence=sequence)


def _limited(said: Answer, limit: int | None) -> Answer:
    # Real models cut tool arguments in the middle; a call that does not fit is left out here instead.
    if limit is None or said.tokens <= limit:
        return said
    reasoning = first_tokens(said.reasoning, limit)
    text = first_tokens(said.text, limit - count_tokens(reasoning))
    return Answer(text, reasoning, (), "length")
