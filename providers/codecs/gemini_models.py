"""What a Gemini model accepts, told from its name."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

_NAME: Final = re.compile(r"gemini-(?:(?:pro|flash|flash-lite)-)?(?P<major>\d)(?:[.-](?P<minor>\d))?(?!\d)")
_FAMILY: Final = re.compile(r"flash-lite|flash|pro")
_NEWEST: Final = (3, 5)
"""What `gemini-flash-latest` is at least."""

_BUDGETS: Final = {"pro": (128, 32_768), "flash-lite": (512, 24_576), "flash": (1, 24_576)}


@dataclass(frozen=True, slots=True)
class Traits:
    """The generation of a model. `version` None means that the name tells nothing: then every parameter is sent."""

    family: str | None
    version: tuple[int, int] | None

    def since(self, *version: int) -> bool:
        """Whether the model is known to be of this version or a newer one."""
        return self.version is not None and self.version >= version

    @property
    def thinks(self) -> bool:
        """Thinking came with 2.5."""
        return self.version is None or self.since(2, 5)

    @property
    def thinks_by_level(self) -> bool:
        """Since 3 a level says how hard to think; before, a budget of tokens.

        Source: https://ai.google.dev/gemini-api/docs/thinking#levels-budgets
        """
        return self.version is None or self.since(3)

    @property
    def levels(self) -> tuple[str, ...]:
        """The thinking levels, lowest first. 3 Pro had only two; Pro models since have no `MINIMAL`.

        Source: https://ai.google.dev/gemini-api/docs/thinking#thinking-levels
        """
        if self.family != "pro":
            return ("MINIMAL", "LOW", "MEDIUM", "HIGH")
        return ("LOW", "MEDIUM", "HIGH") if self.version is None or self.since(3, 1) else ("LOW", "HIGH")

    @property
    def budget(self) -> tuple[int, int]:
        """The least and the most tokens of a thinking budget.

        Source: https://ai.google.dev/gemini-api/docs/thinking#set-budget
        """
        return _BUDGETS[self.family or "flash"]

    @property
    def can_stop_thinking(self) -> bool:
        """Of the models that take a budget, all but Pro take 0."""
        return not self.thinks_by_level and self.family != "pro"

    @property
    def takes_json_schema(self) -> bool:
        """`responseJsonSchema` and `parametersJsonSchema`, beside the OpenAPI subset that all models take.

        Source: https://ai.google.dev/gemini-api/docs/structured-output#json_schema_support
        """
        return self.version is None or self.since(2, 5)

    @property
    def checks_signatures(self) -> bool:
        """Since 3 a function call of the current turn without a signature is a 400.

        Source: https://ai.google.dev/gemini-api/docs/thought-signatures
        """
        return self.since(3)

    @property
    def takes_media_in_results(self) -> bool:
        """Images and documents inside function responses, since 3.

        Source: https://ai.google.dev/gemini-api/docs/function-calling#multimodal
        """
        return self.version is None or self.since(3)


@lru_cache(maxsize=256)
def traits_of(model: str) -> Traits:
    """The traits of a model's name, with or without `models/` or a resource path before it."""
    found = _NAME.search(model)
    family = _FAMILY.search(model)
    version = (int(found["major"]), int(found["minor"] or 0)) if found else None
    if version is None and re.search(r"gemini-.*latest$", model):
        version = _NEWEST
    return Traits(family[0] if family else None, version)
