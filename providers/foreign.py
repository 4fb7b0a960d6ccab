"""Names that only one vendor's protocol knows: what a conversation must leave behind when it goes on elsewhere."""

from __future__ import annotations

import re
from typing import Final

_ANTHROPIC = frozenset(
    {"thinking", "output_config", "output_format", "container", "mcp_servers", "context_management", "cache_control"}
    | {"inference_geo", "speed", "diagnostics", "user_profile_id", "workspace_id", "compaction", "fallbacks", "thread"}
    | {"fallback_credit_token", "billing_policy", "betas"}
)
_GEMINI = frozenset(
    {"generationConfig", "toolConfig", "safetySettings", "cachedContent", "labels", "modelArmorConfig", "serviceTier"}
    | {"thinkingConfig", "responseMimeType", "responseSchema", "responseJsonSchema", "responseModalities"}
    | {"speechConfig", "mediaResolution", "imageConfig", "audioTimestamp", "enableEnhancedCivicAnswers"}
    | {"routingConfig", "modelConfig", "responseLogprobs", "candidateCount", "maxOutputTokens", "stopSequences"}
    | {"topP", "topK", "audioTranscriptionConfig", "translationConfig", "enableAffectiveDialog"}
)
_BEDROCK = frozenset(
    {"additionalModelRequestFields", "additionalModelResponseFieldPaths", "guardrailConfig", "outputConfig"}
    | {"performanceConfig", "promptVariables", "requestMetadata"}
)
_COHERE = frozenset({"documents", "citation_options", "safety_mode", "strict_tools", "thinking", "priority", "k", "p"})
_OLLAMA = frozenset({"options", "keep_alive", "think", "format", "truncate", "shift"})
_GROQ = frozenset(
    {"reasoning_format", "include_reasoning", "citation_options", "documents", "compound_custom", "search_settings"}
    | {"disable_tool_validation", "exclude_domains", "include_domains"}
)
_MISTRAL = frozenset({"safe_prompt", "prompt_mode", "random_seed", "guardrails", "min_tokens"})
_OPENROUTER = frozenset(
    {"provider", "models", "route", "transforms", "plugins", "usage", "reasoning", "include_reasoning", "preset"}
)
_SERVERS = frozenset(
    {"min_p", "repetition_penalty", "echo", "safety_model", "chat_template_kwargs", "guided_json", "guided_regex"}
    | {"guided_choice", "guided_grammar", "best_of", "ignore_eos"}
)
"""Of vLLM, llama.cpp, Together and the like."""


def _snake(name: str) -> str:
    return re.sub(r"[A-Z]", lambda letter: f"_{letter[0].lower()}", name)


RESPONSES: Final = frozenset(
    {"include", "instructions", "previous_response_id", "conversation", "truncation", "background", "max_tool_calls"}
    | {"reasoning", "text", "context_management", "prompt"}
)
"""Parameters of OpenAI's Responses API that its Chat Completions do not know."""

PARAMETERS: Final = {
    "anthropic": _ANTHROPIC,
    "gemini": _GEMINI | frozenset(map(_snake, _GEMINI - {"serviceTier", "topP", "topK"})),
    "bedrock": _BEDROCK,
    "cohere": _COHERE,
    "ollama": _OLLAMA,
    "groq": _GROQ,
    "mistral": _MISTRAL,
    "openrouter": _OPENROUTER,
    "servers": _SERVERS,
    "responses": RESPONSES,
}
"""Fields of chat requests beside OpenAI's, by who has them. Sources: the codecs' and dialects' own."""

FOREIGN: Final = frozenset().union(*PARAMETERS.values())

_ANTHROPICS_TOOL = re.compile(r"_20\d{6}$")
"""`web_search_20250305`; OpenAI writes dates with more lines: `web_search_2025_08_26`."""
_TOOLS = frozenset({"systemTool", "cachePoint", "mcp_toolset"})
_GOOGLES_TOOL = re.compile(r"[a-z]+[A-Z]\w*$|retrieval$")


def is_foreign_tool(kind: str) -> bool:
    """Whether it is a built-in tool of Anthropic's, Google's, Amazon's or OpenRouter's, by its type's spelling."""
    return (
        kind in _TOOLS
        or kind.startswith("openrouter:")
        or bool(_ANTHROPICS_TOOL.search(kind) or _GOOGLES_TOOL.match(kind))
    )
