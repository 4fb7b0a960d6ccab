"""Whether two answers to one request are the same."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Sequence

from ...pipeline.errors import ConfigError
from ...pipeline.types import ChatResponse, Response

Comparison = bool | str | Sequence[str]
"""True: the same. False, or a name, or several: what differs. An empty list is the same."""

Compare = Callable[[Response, Response], Comparison | Awaitable[Comparison]]
"""`(the call's answer, the shadow's) -> Comparison`, plain or async."""

_MAY_DIFFER = frozenset({"id", "created", "model", "usage", "object", "system_fingerprint", "service_tier"})
"""What two equal answers may differ in."""


def differences(call: Response, shadow: Response) -> tuple[str, ...]:
    """In what two answers differ: of chats `text`, `tool_calls`, `finish_reason`; of others `answer`. Empty if in nothing."""
    if not (isinstance(call, ChatResponse) and isinstance(shadow, ChatResponse)):
        return () if _essence(call) == _essence(shadow) else ("answer",)
    found = {
        "text": [choice.message.text for choice in call.choices] != [choice.message.text for choice in shadow.choices],
        "tool_calls": _tools(call) != _tools(shadow),
        "finish_reason": [choice.finish_reason for choice in call.choices]
        != [choice.finish_reason for choice in shadow.choices],
    }
    return tuple(name for name, differs in found.items() if differs)


async def compared(compare: Compare | None, call: Response, shadow: Response) -> tuple[str, ...]:
    """The differences, by the user's own function if there is one. Raises what it raises, and `ConfigError` for what is no comparison."""
    if compare is None:
        return differences(call, shadow)
    found = compare(call, shadow)
    said = await found if inspect.isawaitable(found) else found
    if isinstance(said, bool):
        return () if said else ("compare",)
    if isinstance(said, str):
        return (said,) if said else ()
    if isinstance(said, Sequence) and all(isinstance(one, str) for one in said):
        return tuple(said)
    raise ConfigError(f"Shadow.compare: expected True, False or names of differences, found {type(said).__name__}.")


def _tools(response: ChatResponse) -> list[list[tuple[str, str]]]:
    return [
        [
            (call.function.name, call.function.arguments)
            for call in choice.message.tool_calls or ()
            if call.function is not None
        ]
        for choice in response.choices
    ]


def _essence(response: Response) -> dict[str, object]:
    return {name: value for name, value in response.to_dict().items() if name not in _MAY_DIFFER}
