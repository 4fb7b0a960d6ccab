"""How a server that speaks OpenAI's protocol deviates from OpenAI: data, no code."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, get_args

from ..pipeline.types import Operation

if TYPE_CHECKING:
    from collections.abc import Mapping

OutputLimit = Literal["as_given", "max_tokens", "max_completion_tokens_for_reasoning_models"]
ALL_OPERATIONS: frozenset[Operation] = frozenset(get_args(Operation))
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
    operations: frozenset[Operation] = ALL_OPERATIONS
    """What the vendor has endpoints for."""
    other_unsupported: Mapping[Operation, frozenset[str]] = field(default_factory=dict)
    """`unsupported`, of other operations than chat."""
    other_renamed: Mapping[Operation, Mapping[str, str]] = field(default_factory=dict)
    """`renamed`, of other operations than chat."""
    embedding_inputs: int | None = None
    """The most inputs of one embeddings request; a larger one is sent in parts. None: no limit is known."""
    embedding_tokens: int | None = None
    """The most tokens of all inputs of one embeddings request together."""
    packs_vectors: bool = False
    """Whether vectors are asked for as base64 where the caller says nothing: a third of the bytes, and quicker to read."""
    least_response_tokens: int = 0
    """The least that the vendor's Responses API takes as `max_output_tokens`."""
    speech_events: bool = False
    """Whether streamed speech comes as events, asked for by `stream`, rather than as the sound itself."""


COMPATIBLE = Dialect()

OPENAI = Dialect(
    name="openai",
    unsupported=frozenset({"top_k"}),
    output_limit="max_completion_tokens_for_reasoning_models",
    reasoning="none",
    keeps_extras=False,
    operations=ALL_OPERATIONS - {"rerank"},
    embedding_inputs=2048,
    embedding_tokens=300_000,
    packs_vectors=True,
    least_response_tokens=16,
)
"""Source: https://platform.openai.com/docs/api-reference/chat/create, https://platform.openai.com/docs/api-reference/embeddings/create"""

AZURE = replace(OPENAI, name="azure")
"""What is deployed may have any name, so a reasoning model is only known by a deployment that is called like it.

Source: https://learn.microsoft.com/en-us/azure/ai-foundry/openai/reference
"""

GROQ = Dialect(
    name="groq",
    unsupported=frozenset({"top_k", "logprobs", "top_logprobs", "logit_bias"}),
    reasoning="reasoning",
    keeps_extras=False,
    operations=frozenset({"chat", "speech", "transcription"}),
)
"""Source: https://console.groq.com/docs/openai#currently-unsupported-openai-features, https://console.groq.com/docs/api-reference"""

OPENROUTER = Dialect(name="openrouter", reasoning="reasoning", reasoning_details=True)
"""Source: https://openrouter.ai/docs/use-cases/reasoning-tokens#preserving-reasoning-blocks"""

DEEPSEEK = Dialect(name="deepseek", output_limit="max_tokens", operations=frozenset({"chat"}))
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
    operations=ALL_OPERATIONS - {"image", "rerank"},
    other_unsupported={
        "embeddings": frozenset({"user"}),
        "speech": frozenset({"instructions", "speed", "stream_format"}),
        "transcription": frozenset({"prompt", "response_format", "include", "chunking_strategy"}),
    },
    other_renamed={"embeddings": {"dimensions": "output_dimension"}},
    embedding_inputs=256,
    embedding_tokens=16_384,
    speech_events=True,
)
"""Unknown parameters are refused (422); streams bring token counts unasked. What its embeddings take at most, only its errors say
("Too many inputs in request", "Too many tokens in batch. Max is 16384").

Source: https://docs.mistral.ai/api/endpoint/chat, https://docs.mistral.ai/capabilities/reasoning,
https://docs.mistral.ai/api/endpoint/embeddings, https://docs.mistral.ai/api/endpoint/audio/speech
"""

OLLAMA = Dialect(
    name="ollama",
    output_limit="max_tokens",
    reasoning="reasoning",
    operations=frozenset({"chat", "embeddings", "image"}),
)
"""Source: https://docs.ollama.com/api/openai-compatibility"""

TOGETHER = Dialect(operations=ALL_OPERATIONS - {"moderation"})
"""Source: https://docs.together.ai/reference"""

HUGGINGFACE = Dialect(operations=frozenset({"chat"}))
"""Source: https://huggingface.co/docs/inference-providers/index#http--curl"""

XAI = Dialect(operations=frozenset({"chat", "image"}))
"""Source: https://docs.x.ai/docs/api-reference"""

LLAMACPP = Dialect(operations=frozenset({"chat", "embeddings", "rerank"}))
"""Source: https://github.com/ggml-org/llama.cpp/tree/master/tools/server#openai-compatible-api-endpoints"""

VLLM = Dialect(operations=frozenset({"chat", "embeddings", "transcription", "rerank"}))
"""Source: https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html"""

SIMULATED = replace(OPENAI, operations=ALL_OPERATIONS)
"""The embedded vendor: OpenAI's protocol, and reranking besides."""
