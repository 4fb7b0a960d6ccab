"""How a server that speaks OpenAI's protocol deviates from OpenAI: data, no code."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

OutputLimit = Literal["as_given", "max_tokens", "max_completion_tokens_for_reasoning_models"]
ReasoningField = Literal["none", "reasoning_content", "reasoning", "thinking_part"]


@dataclass(frozen=True, slots=True)
class Dialect:
    """The deviations of one vendor. The defaults are those of a compatible server that takes whatever it is given."""

    name: str = "openai_compatible"
    unsupported: frozenset[str] = frozenset()
    """Parameters of a chat request that the vendor refuses; they are dropped, and noted."""
    renamed: Mapping[str, str] = field(default_factory=dict)
    output_limit: OutputLimit = "as_given"
    reasoning: ReasoningField = "reasoning_content"
    """Where the reasoning text of earlier turns goes; `none`: it is dropped, and noted."""
    reasoning_details: bool = False
    """Whether signed reasoning blocks go back as OpenRouter's `reasoning_details`."""
    keeps_extras: bool = True
    """Whether messages, parts and tools may carry fields that are not OpenAI's (`cache_control`, `annotations`)."""
    asks_for_stream_usage: bool = True
    """Whether a stream brings token counts only when `stream_options.include_usage` asks for them."""


COMPATIBLE = Dialect()

OPENAI = Dialect(
    name="openai",
    unsupported=frozenset({"top_k"}),
    output_limit="max_completion_tokens_for_reasoning_models",
    reasoning="none",
    keeps_extras=False,
)
"""Source: https://platform.openai.com/docs/api-reference/chat/create"""

GROQ = Dialect(
    name="groq",
    unsupported=frozenset({"top_k", "logprobs", "top_logprobs", "logit_bias"}),
    reasoning="reasoning",
    keeps_extras=False,
)
"""Source: https://console.groq.com/docs/openai#currently-unsupported-openai-features"""

OPENROUTER = Dialect(name="openrouter", reasoning="reasoning", reasoning_details=True)
"""Source: https://openrouter.ai/docs/use-cases/reasoning-tokens#preserving-reasoning-blocks"""

DEEPSEEK = Dialect(name="deepseek", output_limit="max_tokens")
"""`reasoning_content` must be sent back once a tool was called.

Source: https://api-docs.deepseek.com/api/create-chat-completion, https://api-docs.deepseek.com/guides/thinking_mode
"""

MISTRAL = Dialect(
    name="mistral",
    unsupported=frozenset({"top_k", "logprobs", "top_logprobs", "logit_bias", "user", "stream_options"}),
    renamed={"seed": "random_seed"},
    output_limit="max_tokens",
    reasoning="thinking_part",
    keeps_extras=False,
    asks_for_stream_usage=False,
)
"""Unknown parameters are refused (422); streams bring token counts unasked.

Source: https://docs.mistral.ai/api/endpoint/chat, https://docs.mistral.ai/capabilities/reasoning
"""

OLLAMA = Dialect(name="ollama", output_limit="max_tokens", reasoning="reasoning")
"""Source: https://docs.ollama.com/api/openai-compatibility"""
