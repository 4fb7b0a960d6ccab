"""How a server that speaks OpenAI's protocol deviates from OpenAI: data, no code."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, get_args

from ..pipeline.types import Operation
from .foreign import FOREIGN, PARAMETERS

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
    foreign: frozenset[str] = FOREIGN
    """Parameters of other protocols that it does not take: a conversation that comes from there leaves them behind, noted."""
    parts: frozenset[str] | None = None
    """The types of parts that messages may have; None: all but those of other protocols."""
    documents: bool = False
    """Whether files are parts `document_url`."""
    tools: tuple[str, ...] | None = ("function",)
    """How the types of tools begin that it takes; None: all."""
    developers: bool = True
    """Whether there is a role `developer`; else it is `system`."""
    named_results: bool = True
    """Whether results of tools may carry the function's name."""
    rich_results: bool = False
    """Whether results of tools may be more than text."""
    allowed_tools: bool = False
    """Whether `tool_choice` may be a choice of several tools."""
    any_tool: bool = False
    """Whether `tool_choice` may be `any`, which elsewhere is called `required`."""
    efforts: Mapping[str, str] = field(default_factory=dict)
    """Names of `reasoning_effort` that it does not know, and the nearest that it does."""
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
    counts_tokens: bool = False
    """Whether it counts the tokens of a prompt at `/responses/input_tokens`."""
    speech_events: bool = False
    """Whether streamed speech comes as events, asked for by `stream`, rather than as the sound itself."""


_OF_SERVERS = FOREIGN - PARAMETERS["servers"]
_OPENAIS_PARTS = frozenset({"text", "image_url", "input_audio", "file", "refusal"})

COMPATIBLE = Dialect(foreign=frozenset(), tools=None, any_tool=True, allowed_tools=True)
"""Whatever the caller says, unless no server in the world takes it: some compatible server is another gateway."""

OPENAI = Dialect(
    name="openai",
    unsupported=frozenset({"top_k"}),
    output_limit="max_completion_tokens_for_reasoning_models",
    reasoning="none",
    keeps_extras=False,
    parts=_OPENAIS_PARTS,
    tools=("function", "custom"),
    allowed_tools=True,
    operations=ALL_OPERATIONS - {"rerank"},
    embedding_inputs=2048,
    embedding_tokens=300_000,
    packs_vectors=True,
    least_response_tokens=16,
    counts_tokens=True,
)
"""Source: https://platform.openai.com/docs/api-reference/chat/create, https://platform.openai.com/docs/api-reference/embeddings/create"""

AZURE = replace(OPENAI, name="azure", counts_tokens=False)
"""What is deployed may have any name, so a reasoning model is only known by a deployment that is called like it.

Source: https://learn.microsoft.com/en-us/azure/ai-foundry/openai/reference
"""

GROQ = Dialect(
    name="groq",
    unsupported=frozenset(
        {"top_k", "logprobs", "top_logprobs", "logit_bias", "modalities", "audio", "verbosity", "web_search_options"}
        | {"safety_identifier", "prompt_cache_key", "moderation"}
    ),
    reasoning="reasoning",
    keeps_extras=False,
    foreign=FOREIGN - PARAMETERS["groq"],
    parts=frozenset({"text", "image_url", "document"}),
    tools=("function", "browser_search", "code_interpreter"),
    developers=False,
    named_results=False,
    efforts={"minimal": "low", "xhigh": "high", "max": "high"},
    operations=frozenset({"chat", "speech", "transcription"}),
)
"""Source: https://console.groq.com/docs/openai#currently-unsupported-openai-features, https://console.groq.com/docs/api-reference"""

OPENROUTER = Dialect(
    name="openrouter",
    reasoning="reasoning",
    reasoning_details=True,
    foreign=FOREIGN - PARAMETERS["openrouter"] - PARAMETERS["servers"],
    tools=("function", "openrouter:"),
)
"""Source: https://openrouter.ai/docs/api-reference/parameters, https://openrouter.ai/docs/use-cases/reasoning-tokens#preserving-reasoning-blocks"""

DEEPSEEK = Dialect(
    name="deepseek",
    output_limit="max_tokens",
    foreign=FOREIGN - {"thinking"},
    developers=False,
    operations=frozenset({"chat"}),
)
"""`reasoning_content` must be sent back once a tool was called.

Source: https://api-docs.deepseek.com/api/create-chat-completion, https://api-docs.deepseek.com/guides/thinking_mode
"""

MISTRAL = Dialect(
    name="mistral",
    unsupported=frozenset(
        {"logit_bias", "user", "stream_options", "modalities", "audio", "store", "verbosity", "web_search_options"}
        | {"safety_identifier", "moderation"}
    ),
    renamed={"seed": "random_seed"},
    foreign=FOREIGN - PARAMETERS["mistral"],
    parts=frozenset({"text", "image_url", "input_audio", "document_url", "file", "reference", "thinking"}),
    developers=False,
    tools=("function", "image_generation", "document_library"),
    documents=True,
    any_tool=True,
    rich_results=True,
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

TOGETHER = Dialect(name="together", foreign=_OF_SERVERS, developers=False, operations=ALL_OPERATIONS - {"moderation"})
"""Source: https://docs.together.ai/reference"""

HUGGINGFACE = Dialect(name="huggingface", foreign=_OF_SERVERS, developers=False, operations=frozenset({"chat"}))
"""Source: https://huggingface.co/docs/inference-providers/index#http--curl"""

XAI = Dialect(name="xai", tools=("function", "live_search"), operations=frozenset({"chat", "image"}))
"""Source: https://docs.x.ai/docs/api-reference"""

LLAMACPP = Dialect(name="llamacpp", foreign=_OF_SERVERS, operations=frozenset({"chat", "embeddings", "rerank"}))
"""Source: https://github.com/ggml-org/llama.cpp/tree/master/tools/server#openai-compatible-api-endpoints"""

VLLM = Dialect(
    name="vllm",
    foreign=_OF_SERVERS - {"documents"},
    operations=frozenset({"chat", "embeddings", "transcription", "rerank"}),
)
"""Source: https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html"""

SIMULATED = replace(OPENAI, operations=ALL_OPERATIONS, counts_tokens=False)
"""The embedded vendor: OpenAI's protocol, and reranking besides."""
