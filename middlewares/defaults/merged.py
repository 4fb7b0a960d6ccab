"""What several rules together say of one request, and the request that it makes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ...pipeline.facts import DefaultApplied
from ...pipeline.types import ChatRequest, Message, Operation, Request, TextPart
from .fields import OUTPUT_LIMITS
from .rules import DefaultsRule

Said = tuple[Any, str]
"""A value, and the rule that it comes from."""


class Merged(NamedTuple):
    """What holds for requests of one operation under some rules: the first that says something of a field wins, the lowest cap holds."""

    fill: Mapping[str, Said]
    force: Mapping[str, Said]
    caps: Mapping[str, Said]
    texts: Mapping[str, Said]
    """`system`, `system_prefix`, `system_suffix`."""

    @classmethod
    def of(cls, rules: Sequence[tuple[str, DefaultsRule]], operation: Operation) -> Merged:
        """Join the rules, given with their names in their order."""
        fill: dict[str, Said] = {}
        force: dict[str, Said] = {}
        caps: dict[str, Said] = {}
        texts: dict[str, Said] = {}
        for label, rule in rules:
            for into, values in ((fill, rule.filled[operation]), (force, rule.forced[operation])):
                for name, value in values.items():
                    if not (name in OUTPUT_LIMITS and _any_limit(into)):
                        into[name] = _joined(into.get(name), value, label)
            for name, most in rule.max.items():
                _lower(caps, name, most, label)
            for name in ("system", "system_prefix", "system_suffix") if operation == "chat" else ():
                if (text := getattr(rule, name)) is not None:
                    texts.setdefault(name, (text, label))
        return cls(fill, force, caps, texts)

    def apply(self, request: Request) -> tuple[Request, list[DefaultApplied]]:
        """The request as it is to be sent (the same object where nothing changes), and what was done to it."""
        changes: dict[str, Any] = {}
        done: list[DefaultApplied] = []
        for name, (value, label) in self.fill.items():
            _fill(request, changes, done, name, value, label)
        for name, (value, label) in self.force.items():
            _force(request, changes, done, name, value, label)
        for name, (most, label) in self.caps.items():
            _cap(request, changes, done, name, most, label)
        if self.texts and isinstance(request, ChatRequest):
            changes["messages"] = _with_system(request.messages, self.texts, done)
            if changes["messages"] is request.messages:
                del changes["messages"]
        return (request.but(**changes) if changes else request), done


def _any_limit(values: Mapping[str, Said]) -> bool:
    return any(name in values for name in OUTPUT_LIMITS)


def _joined(before: Said | None, value: Any, label: str) -> Said:
    if before is None:
        return value, label
    both = isinstance(before[0], Mapping) and isinstance(value, Mapping)
    return ({**value, **before[0]}, before[1]) if both else before


def _lower(caps: dict[str, Said], name: str, most: float, label: str) -> None:
    """Both names of the output limit are one cap, under the name that came first."""
    known = next((other for other in OUTPUT_LIMITS if other in caps), name) if name in OUTPUT_LIMITS else name
    if known not in caps or most < caps[known][0]:
        caps[known] = (most, label)


def _now(request: Request, changes: Mapping[str, Any], name: str) -> Any:
    return changes[name] if name in changes else getattr(request, name, None)


def _fill(
    request: Request, changes: dict[str, Any], done: list[DefaultApplied], name: str, value: Any, label: str
) -> None:
    said = getattr(request, name)
    if said is None and name in OUTPUT_LIMITS and isinstance(request, ChatRequest):
        said = request.output_limit
    if name == "metadata" and said is not None:
        if missing := {key: text for key, text in value.items() if key not in said}:
            changes[name] = {**said, **missing}
            done.append(DefaultApplied(name, "set", label))
    elif said is None:
        changes[name] = value
        done.append(DefaultApplied(name, "set", label))


def _force(
    request: Request, changes: dict[str, Any], done: list[DefaultApplied], name: str, value: Any, label: str
) -> None:
    said = _now(request, changes, name)
    new = {**(said or {}), **value} if name == "metadata" else value
    if new != said:
        changes[name] = new
        done.append(DefaultApplied(name, "forced", label))
    for other in OUTPUT_LIMITS if name in OUTPUT_LIMITS else ():
        if other != name and _now(request, changes, other) is not None:
            changes[other] = None


def _cap(
    request: Request, changes: dict[str, Any], done: list[DefaultApplied], name: str, most: float, label: str
) -> None:
    """Lower what is above. No output limit at all is above every cap; of other fields the vendor's default is left alone."""
    names = OUTPUT_LIMITS if name in OUTPUT_LIMITS else (name,)
    said = {each: value for each in names if (value := _now(request, changes, each)) is not None}
    above = [each for each, value in said.items() if isinstance(value, (int, float)) and value > most]
    if not said and name in OUTPUT_LIMITS and isinstance(request, ChatRequest):
        above = [name]
    for each in above:
        changes[each] = most
        done.append(DefaultApplied(each, "capped", label))


def _with_system(
    messages: tuple[Message, ...], texts: Mapping[str, Said], done: list[DefaultApplied]
) -> tuple[Message, ...]:
    """The conversation with the system prompt that is to stand before it."""
    lead = next(
        (place for place, each in enumerate(messages) if each.role not in ("system", "developer")), len(messages)
    )
    heads = list(messages[:lead])
    if not heads and "system" in texts:
        heads = [Message(role="system", content=texts["system"][0])]
        done.append(DefaultApplied("system", "set", texts["system"][1]))
    for name, place, before in (("system_prefix", 0, True), ("system_suffix", -1, False)):
        if name not in texts:
            continue
        text, label = texts[name]
        if heads:
            heads[place] = _joined_text(heads[place], text, before=before)
        else:
            heads = [Message(role="system", content=text)]
        done.append(DefaultApplied(name, "set", label))
    return (*heads, *messages[lead:]) if heads != list(messages[:lead]) else messages


def _joined_text(message: Message, text: str, *, before: bool) -> Message:
    if isinstance(message.content, tuple):
        part = TextPart(text=text)
        return message.but(content=(part, *message.content) if before else (*message.content, part))
    own = message.content or ""
    return message.but(content="\n\n".join(filter(None, (text, own) if before else (own, text))))
