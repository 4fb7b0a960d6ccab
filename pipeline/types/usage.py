"""Token counts, meaning the same for every vendor."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

UsageSource = Literal["provider", "partial", "tokenizer", "missing"]
"""Who counted: the vendor; the vendor, before a stream was cut; we, by estimate; nobody."""


class _Details(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow")


class PromptTokensDetails(_Details):
    """Parts of `prompt_tokens`; each is included in it."""

    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    audio_tokens: int | None = None


class CompletionTokensDetails(_Details):
    """Parts of `completion_tokens`; each is included in it."""

    reasoning_tokens: int | None = None
    audio_tokens: int | None = None


class Usage(BaseModel):
    """Tokens of one exchange, in OpenAI's terms.

    `prompt_tokens` includes tokens read from and written to the vendor's cache; `completion_tokens` includes
    reasoning. Codecs of vendors that count otherwise (Anthropic) add up before they make one of these.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0
    prompt_tokens_details: PromptTokensDetails | None = None
    completion_tokens_details: CompletionTokensDetails | None = None

    @property
    def cached_tokens(self) -> int:
        """Prompt tokens that the vendor read from its cache."""
        return (self.prompt_tokens_details.cached_tokens if self.prompt_tokens_details else None) or 0

    @property
    def cache_write_tokens(self) -> int:
        """Prompt tokens that the vendor wrote to its cache."""
        return (self.prompt_tokens_details.cache_write_tokens if self.prompt_tokens_details else None) or 0

    @property
    def reasoning_tokens(self) -> int:
        """Completion tokens spent on reasoning."""
        return (self.completion_tokens_details.reasoning_tokens if self.completion_tokens_details else None) or 0

    def anomalies(self) -> tuple[str, ...]:
        """Which invariants do not hold, by name; empty when the counts are consistent."""
        prompt, completion, total, cached, written, reasoning = parts = self.parts()
        if agree(*parts):
            return ()
        found = []
        if cached + written > prompt:
            found.append("cached_exceeds_prompt")
        if reasoning > completion:
            found.append("reasoning_exceeds_completion")
        if total and total != prompt + completion:
            found.append("total_is_not_the_sum")
        if prompt < 0 or completion < 0 or total < 0:
            found.append("negative")
        return tuple(found)

    def parts(self) -> tuple[int, int, int, int, int, int]:
        """Prompt, completion, total; of the prompt read from and written to the vendor's cache; of the completion reasoning.

        The fields in one step: pydantic's attributes cost several times as much as a dictionary's items.
        """
        fields = self.__dict__
        read, spent = fields["prompt_tokens_details"], fields["completion_tokens_details"]
        cached = written = reasoning = 0
        if read is not None:
            details = read.__dict__
            cached, written = details["cached_tokens"] or 0, details["cache_write_tokens"] or 0
        if spent is not None:
            reasoning = spent.__dict__["reasoning_tokens"] or 0
        return fields["prompt_tokens"], fields["completion_tokens"], fields["total_tokens"], cached, written, reasoning

    def to_dict(self) -> dict[str, Any]:
        """Plain data: only what was set."""
        return self.model_dump(mode="json", exclude_unset=True)


def agree(prompt: int, completion: int, total: int, cached: int, written: int, reasoning: int) -> bool:
    """Whether these parts of a usage do not contradict each other."""
    return (
        cached + written <= prompt
        and reasoning <= completion
        and total == prompt + completion
        and prompt >= 0
        and completion >= 0
    )
