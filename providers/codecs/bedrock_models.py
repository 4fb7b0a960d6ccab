"""What a model behind Bedrock accepts, told from its id: Converse is one shape, its models are not one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, Literal

from . import anthropic_models

Effort = Literal["", "thinking", "reasoningConfig", "reasoning_effort"]

_EARLY_CACHING: Final = re.compile(r"claude-3-5-(haiku|sonnet-20241022)")


@dataclass(frozen=True, slots=True)
class Family:
    """One vendor's models behind Bedrock. The defaults are those of a model that the id tells nothing of: all is sent."""

    name: str = ""
    pattern: str = ""
    additional: Mapping[str, str] = field(default_factory=dict)
    """Canonical parameters that Converse lacks and the model has, with their name in `additionalModelRequestFields`."""
    own: frozenset[str] | None = frozenset()
    """Further fields of a request that are the model's own, and go there too; None: whatever is not known."""
    effort: Effort = ""
    """How `reasoning_effort` is said."""
    choices: frozenset[str] = frozenset({"any", "tool"})
    """What `toolChoice` takes beside `auto`. Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ToolChoice.html"""
    formats: str = ""
    """Ids with structured outputs, as an expression. Source: https://docs.aws.amazon.com/bedrock/latest/userguide/structured-output.html"""
    caches: bool = False
    """Whether prompts have cache points. Source: https://docs.aws.amazon.com/bedrock/latest/userguide/prompt-caching.html"""
    hears_system: bool = True
    """Source: https://docs.aws.amazon.com/bedrock/latest/userguide/conversation-inference-supported-models-features.html"""


UNKNOWN: Final = Family(additional={"top_k": "top_k"}, own=None, caches=True)

FAMILIES: Final = (
    Family(
        "claude",
        r"anthropic\.claude|claude-",
        additional={"top_k": "top_k"},
        own=frozenset({"thinking", "output_config", "anthropic_beta", "context_management", "reasoning_config"}),
        effort="thinking",
    ),
    Family(
        "nova2",
        r"amazon\.nova-2-",
        additional={"top_k": "inferenceConfig.topK"},
        own=frozenset({"reasoningConfig"}),
        effort="reasoningConfig",
        caches=True,
    ),
    Family("nova", r"amazon\.nova", additional={"top_k": "inferenceConfig.topK"}, caches=True),
    Family("titan", r"amazon\.titan", choices=frozenset(), hears_system=False),
    Family(
        "gpt-oss",
        r"openai\.gpt-oss",
        own=frozenset({"reasoning_effort"}),
        effort="reasoning_effort",
        choices=frozenset({"any"}),
        formats=".",
    ),
    Family(
        "mistral-7b", r"mistral\.mi[sx]tral-\d", additional={"top_k": "top_k"}, choices=frozenset(), hears_system=False
    ),
    Family(
        "mistral",
        r"mistral\.",
        additional={"top_k": "top_k"},
        choices=frozenset({"any"}),
        formats=r"magistral|ministral|voxtral|mistral-large-3",
    ),
    Family(
        "command-r",
        r"cohere\.command-r",
        additional={name: name for name in ("seed", "frequency_penalty", "presence_penalty")} | {"top_k": "k"},
        own=frozenset({"documents", "preamble", "prompt_truncation", "search_queries_only"}),
        choices=frozenset(),
    ),
    Family("command", r"cohere\.command", additional={"top_k": "k"}, choices=frozenset(), hears_system=False),
    Family("llama", r"meta\.llama", choices=frozenset()),
    Family("deepseek", r"deepseek\.", choices=frozenset({"any"}), formats=r"\.v3"),
    Family("open-weight", r"(qwen|google|minimax|moonshot(ai)?|nvidia)\.", choices=frozenset({"any"}), formats="."),
)
"""Model parameters: https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters.html,
for Nova https://docs.aws.amazon.com/nova/latest/userguide/complete-request-schema.html,
for Nova's thinking https://docs.aws.amazon.com/nova/latest/nova2-userguide/extended-thinking.html"""


@dataclass(frozen=True, slots=True)
class Traits:
    """A model: its family and, for Claude, its generation."""

    model: str
    family: Family
    claude: anthropic_models.Traits

    @property
    def is_claude(self) -> bool:
        """Whether Anthropic's rules hold."""
        return self.family.name == "claude"

    @property
    def is_nova(self) -> bool:
        """Whether Amazon Nova's rules hold."""
        return self.family.name.startswith("nova")

    @property
    def choices(self) -> frozenset[str]:
        """What `toolChoice` takes; Claude before 3 has no tools."""
        old = self.is_claude and self.claude.version is not None and not self.claude.since(3)
        return frozenset() if old or re.search(r"claude-(v\d|instant)", self.model) else self.family.choices

    @property
    def formats(self) -> bool:
        """Whether `outputConfig.textFormat` is taken."""
        if self.is_claude:
            return self.claude.formats
        return bool(self.family.formats and re.search(self.family.formats, self.model))

    @property
    def strict_tools(self) -> bool:
        """Whether a tool may be `strict`: where there are structured outputs, and where nothing is known."""
        return self.formats or not self.family.name

    @property
    def caches(self) -> bool:
        """Whether cache points are taken: Claude since 3.7, and a few before."""
        if self.is_claude:
            return self.claude.version is None or self.claude.since(3, 7) or bool(_EARLY_CACHING.search(self.model))
        return self.family.caches

    @property
    def caches_tools(self) -> bool:
        """Nova caches messages and system only."""
        return self.caches and not self.is_nova

    @property
    def caches_for_an_hour(self) -> bool:
        """Whether a cache point may say how long it lasts: Claude since 4.5."""
        return not self.family.name or (self.is_claude and self.claude.since(4, 5))

    @property
    def signs(self) -> bool:
        """Whether reasoning comes signed, and goes back."""
        return not self.family.name or self.is_claude

    @property
    def hears_system_inside(self) -> bool:
        """Whether system messages may stand inside the conversation."""
        return self.is_claude and self.claude.hears_system_inside


@lru_cache(maxsize=256)
def traits_of(model: str) -> Traits:
    """The traits of an id or ARN, whatever profile it is reached by (`us.`, `global.`, `arn:...:inference-profile/...`)."""
    family = next((one for one in FAMILIES if re.search(one.pattern, model)), UNKNOWN)
    return Traits(model, family, anthropic_models.traits_of(model))
