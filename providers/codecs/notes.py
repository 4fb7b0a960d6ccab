"""How a codec says what it changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from ...pipeline.call import Call
from ...pipeline.facts import TRANSLATION, Translation

Action = Literal["kept", "renamed", "clamped", "emulated", "dropped"]

Note = Callable[[str, Action, str], None]
"""`note(parameter, action, reason)`. The reason never holds content."""


def notes_of(call: Call) -> Note:
    """Notes become `TRANSLATION` facts, each once: a call is encoded again for every attempt."""
    seen = set(call.trail(TRANSLATION))

    def note(parameter: str, action: Action, reason: str) -> None:
        fact = Translation(parameter, action, reason)
        if fact not in seen:
            seen.add(fact)
            call.add(TRANSLATION, fact)

    return note
