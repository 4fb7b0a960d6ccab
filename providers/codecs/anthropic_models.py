"""What a Claude model accepts, told from its name: parameters come and go with the generations."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

Version = tuple[int, int]

_FAMILY: Final = r"(?P<family>opus|sonnet|haiku|fable|mythos|instant)"
_NAMES: Final = (
    re.compile(rf"claude-{_FAMILY}-(?P<major>\d{{1,2}})(?:[-.](?P<minor>\d{{1,2}}))?(?![\d.])"),
    re.compile(rf"claude-(?P<major>\d)(?:[-.](?P<minor>\d))?-{_FAMILY}"),
)
_ALWAYS_THINKING: Final = frozenset({"fable", "mythos"})


@dataclass(frozen=True, slots=True)
class Traits:
    """The generation of a model. `version` None means that the name tells nothing: then every parameter is sent.

    Source: https://platform.claude.com/docs/en/about-claude/models/migration-guide
    """

    family: str | None
    version: Version | None

    def since(self, *version: int) -> bool:
        """Whether the model is known to be of this version or a newer one."""
        return self.version is not None and self.version >= version

    @property
    def takes_sampling(self) -> bool:
        """`temperature`, `top_p` and `top_k` are a 400 from 4.7 on.

        Source: https://platform.claude.com/docs/en/about-claude/models/migration-guide#migrating-to-claude-opus-4-7
        """
        return not self.since(4, 7)

    @property
    def takes_one_of_temperature_and_top_p(self) -> bool:
        """From 4.1 on both together are a 400.

        Source: https://docs.claude.com/en/docs/about-claude/models/migrating-to-claude-4
        """
        return self.since(4, 1)

    @property
    def thinks(self) -> bool:
        """Extended thinking came with 3.7."""
        return self.version is None or self.since(3, 7)

    @property
    def thinks_adaptively(self) -> bool:
        """Effort instead of a token budget: since 4.6, and the only way from 4.7 on.

        Source: https://platform.claude.com/docs/en/build-with-claude/adaptive-thinking
        """
        return self.since(4, 6)

    @property
    def always_thinks(self) -> bool:
        """Models whose thinking cannot be switched off; they reject the attempt."""
        return self.family in _ALWAYS_THINKING

    @property
    def thinks_by_default(self) -> bool:
        """From 5 on thinking must be switched off explicitly."""
        return self.since(5, 0)

    @property
    def formats(self) -> bool:
        """Structured outputs (`output_config.format`, `strict` tools).

        Source: https://platform.claude.com/docs/en/build-with-claude/structured-outputs
        """
        return self.since(4, 5)

    @property
    def hears_system_inside(self) -> bool:
        """System messages inside the conversation: Opus from 4.8, the others from 5 on.

        Source: https://platform.claude.com/docs/en/build-with-claude/mid-conversation-system-messages
        """
        return self.since(5, 0) or (self.family == "opus" and self.since(4, 8))

    @property
    def efforts(self) -> tuple[str, ...]:
        """The levels of `output_config.effort`, lowest first; empty where there is no such parameter.

        Source: https://platform.claude.com/docs/en/build-with-claude/effort
        """
        if self.since(4, 7):
            return ("low", "medium", "high", "xhigh", "max")
        return ("low", "medium", "high", "max") if self.since(4, 6) else ()

    @property
    def default_max_tokens(self) -> int:
        """`max_tokens` for a caller who named none: what every model of the generation can write.

        Source: https://platform.claude.com/docs/en/about-claude/models/overview
        """
        if self.since(3, 7):
            return 32_000
        return 8_192 if self.since(3, 5) else 4_096


@lru_cache(maxsize=256)
def traits_of(model: str) -> Traits:
    """The traits of a model's name, whatever a cloud put before or behind it (`us.anthropic.claude-...-v1:0`, `...@20250929`)."""
    for pattern in _NAMES:
        if found := pattern.search(model):
            return Traits(found["family"], (int(found["major"]), int(found["minor"] or 0)))
    return Traits(None, None)
